"""The world: one door per vendor or resource; each port of contracts is implemented here once."""
