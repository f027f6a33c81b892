"""Notices to people and programs outside, through an outbox. Start with `tell.py`, then `notify.py`."""
