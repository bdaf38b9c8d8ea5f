"""The demonstration: one request, carried out from plan to tested branch with a rehearsed model."""
