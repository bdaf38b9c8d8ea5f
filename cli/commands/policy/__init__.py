"""See what agents may do in a repository, and which rule decides on a call."""
