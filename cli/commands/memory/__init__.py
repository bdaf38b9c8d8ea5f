"""See, accept, forget and search what agents remember of a repository."""
