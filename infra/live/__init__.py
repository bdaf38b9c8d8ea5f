"""What a model says while it says it: a file for each running call, beside every history.

A side channel of one host: nothing waits for it, nothing depends on it, and it is gone with the
call. The words that count are the log's, in the store.
"""
