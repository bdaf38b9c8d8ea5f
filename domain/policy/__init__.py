"""What an agent may do: rules of settings files, matched against whole tool calls."""
