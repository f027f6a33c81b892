"""What people decide: votes, overrides, proposals. Start with `vote.py`."""
