"""Fakes of the ports on one store in memory: they keep what the real ones promise.

A repeat has one effect, leases are fenced, the target moves by compare-and-swap. The simulator
drives them from a seed, the workflow tests from scripted replies; `before` is where either lets
a call fail or wait. tests/workflows/test_fakes.py tests the promises.
"""
