"""
The kill matrix: one request, disturbed in every way, and proved whole each time.

`python -m tests.kill_matrix` strikes processes of a running request, waits for its end without any
help, and reads the rehearsal's journal, the store and the histories to see that nothing was lost,
nothing done twice and nothing left behind.
"""
