"""Time: order, waiting, messages, children, continue-as-new.

Decisions longer than a line live in domain.
"""
