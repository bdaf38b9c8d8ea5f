"""The demonstration: one request from plan to tested branch, with a rehearsed model."""
