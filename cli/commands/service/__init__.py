"""Look at the background service; have systemd start it."""
