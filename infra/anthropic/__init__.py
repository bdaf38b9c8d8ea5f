"""The client of the Messages API."""
