"""Deliveries from the first commit on: in the database, or on disk while it is away. Start with `inbox.py`."""
