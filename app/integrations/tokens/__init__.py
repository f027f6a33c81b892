"""One file a product for short-lived tokens from grants. Start with `protocol.py`."""
