"""The embedded server and the worker: started, watched, restarted, backed up."""
