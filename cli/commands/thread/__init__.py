"""Look at a thread: a request and those that follow it."""
