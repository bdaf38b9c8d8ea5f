"""An agent's tools: a file each, found by the registry and carried out by the dispatcher."""
