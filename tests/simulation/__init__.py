"""
Deterministic simulation: the real workflow classes, a seeded event queue, no server, no real time.

One seed is one schedule of crashes, failures, lost results, late people and replays; `world` runs
it, `fakes` is what the workflows reach, `invariants` says what must hold whatever happened.
"""
