"""Roles as files: a prompt with front matter, one file a role."""
