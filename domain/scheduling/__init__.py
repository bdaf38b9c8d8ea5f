"""Scheduling: task states, ready tasks and budgets."""
