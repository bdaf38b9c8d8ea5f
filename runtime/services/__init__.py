"""The embedded server and the worker: start, monitoring, restarts, backups."""
