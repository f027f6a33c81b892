"""Decisions of people: votes, overrides, proposals. Start with `vote.py`."""
