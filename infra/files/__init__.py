"""Files of a worktree: confined access and search."""
