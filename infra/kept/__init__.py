"""What the store keeps of a request, for those who look at it: it is only read here."""
