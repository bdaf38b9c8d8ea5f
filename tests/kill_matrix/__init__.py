"""The kill matrix: one request whose processes are killed at every moment, audited each time.

`python -m tests.kill_matrix` kills processes of a running request, waits for its end without any
help, and reads the rehearsal's journal, the store and the histories: nothing may be lost, done
twice or left behind.
"""
