"""Celery's messages, and the Redis transport beneath them. Start with `wakes.py`."""
