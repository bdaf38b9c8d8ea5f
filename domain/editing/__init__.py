"""Editing: a file as lines, matching, edits, diffs and syntax checks."""
