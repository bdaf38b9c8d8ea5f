"""Memory and context: what an agent is shown of its repository."""
