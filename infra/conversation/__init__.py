"""Conversations: their log in the store and how they open."""
