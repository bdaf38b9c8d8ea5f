"""Approvals: the rules that judge a tool call, and the inbox where questions wait for people."""
