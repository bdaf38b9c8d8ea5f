"""Pooled worktrees: leases, fences, restores, checkpoints."""
