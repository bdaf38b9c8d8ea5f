import unittest

from shop.prices import in_euros


class PricesTest(unittest.TestCase):
    def test_cents_have_two_digits(self):
        self.assertEqual("12.05", in_euros(1205))
