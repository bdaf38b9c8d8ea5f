"""Prices as people read them."""


def in_euros(cents):
    """Return cents as euros: 1205 is 12.05."""
    return f"{cents // 100}.{cents % 100:02d}"
