"""Tools: their definitions and results."""
