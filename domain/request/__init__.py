"""The request: its input, its task table, its status and how that is shown."""
