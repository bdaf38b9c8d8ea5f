"""The command line: its commands, the views of a request, the client of the service."""
