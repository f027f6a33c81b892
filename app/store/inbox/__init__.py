"""Deliveries as they arrive: into the database, or onto disk while it is away. Start with `inbox.py`."""
