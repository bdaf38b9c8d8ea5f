"""Decisions: pure functions, values in, a decision out. No await, clock, randomness or I/O."""
