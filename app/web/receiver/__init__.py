"""Webhooks of forges: read without a thread, verified, answered after the commit. Start with `hooks.py`."""
