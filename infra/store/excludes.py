"""What a person ignores beside .gitignore: the store's worktrees ignore it too."""

import secrets
from pathlib import Path


def write_excludes(store: Path, patterns: bytes) -> None:
    """Make these the patterns that every worktree of a store ignores; whole, or not at all."""
    file = store / "info" / "exclude"
    try:
        if file.read_bytes() == patterns:
            return
    except FileNotFoundError:
        if not patterns:
            return
    fresh = file.with_name(f"exclude.{secrets.token_hex(4)}")
    fresh.write_bytes(patterns)
    fresh.replace(file)
