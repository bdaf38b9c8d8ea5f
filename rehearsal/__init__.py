"""
Rehearsal: a Messages API server that plays a script, on loopback.

It validates, counts, caches, seals and fails as the real API does,
but every word it says was written by the author of the script.
It knows nothing of the product: it speaks HTTP and reads a JSON file,
and stands on the standard library alone.

A reply never passes for a real model's:
its ``model`` field ends in " (rehearsed)"
and every response carries the header ``x-rehearsed: true``.
"""
