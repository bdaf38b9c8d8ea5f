"""The outside, without Temporal: git, store, worktrees, sandbox, files, the model's client."""
