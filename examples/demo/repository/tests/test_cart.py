import unittest

from shop.cart import Cart


class CartTest(unittest.TestCase):
    def test_an_empty_cart_costs_nothing(self):
        self.assertEqual(0, Cart().total())

    def test_quantities_count(self):
        cart = Cart()
        cart.add("tea", 450, quantity=2)
        cart.add("cup", 1200)
        self.assertEqual(2100, cart.total())

    def test_a_quantity_of_nothing_is_refused(self):
        with self.assertRaises(ValueError):
            Cart().add("tea", 450, quantity=0)
