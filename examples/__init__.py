"""Examples: things to run and to copy from."""
