"""Short-lived tokens from grants, one file a product. Start with `protocol.py`."""
