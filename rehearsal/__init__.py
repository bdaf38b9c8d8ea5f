"""Rehearsal: a Messages API server on loopback that answers from a script.

It validates requests, counts tokens, caches prompts, signs thinking and fails as the real API does;
the texts of its replies come from the script.
It knows nothing of the product: it serves HTTP, reads a JSON file
and needs only the standard library.

Its replies cannot be mistaken for a real model's:
their ``model`` field ends in " (rehearsed)"
and every response has the header ``x-rehearsed: true``.
"""
