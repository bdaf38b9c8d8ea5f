"""
How processes run: settings, connection, embedded server, supervision, logging. Not what they do.
"""
