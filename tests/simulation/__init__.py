"""Deterministic simulation: the real workflow classes, a seeded event queue, no server, no real
time.

One seed is one schedule of crashes, failures, lost results, late people and replays: `temporal`
runs it, `activities` is what the workflows reach, `invariants` states what must always hold.
"""
