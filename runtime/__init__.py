"""How processes run: settings, connection, embedded server, supervision, logging."""
