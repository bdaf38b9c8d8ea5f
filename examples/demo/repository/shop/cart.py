"""A shopping cart: goods, their prices in cents, and what they come to."""


class Cart:
    """Lines of goods, in the order in which they were added."""

    def __init__(self):
        self._lines = []

    def add(self, name, cents, quantity=1):
        """Put goods into the cart; a price is for one piece."""
        if quantity < 1:
            raise ValueError("quantity must be at least 1")
        self._lines.append((name, cents, quantity))

    def total(self):
        """Return what the goods come to, in cents."""
        return sum(cents for _, cents, _ in self._lines)
