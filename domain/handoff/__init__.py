"""Handing an agent's work over: what is kept of it by rule, and how the next window is told."""
