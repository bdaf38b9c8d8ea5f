"""Watch a request: what is known of it, what its agents say, and a person's keys."""
