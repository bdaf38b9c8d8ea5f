"""The memories of a repository, kept in its store, and the search of them and of conversations."""
