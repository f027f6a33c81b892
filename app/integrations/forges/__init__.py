"""One file a product for what a forge says: verify signatures and parse deliveries. Start with `protocol.py`."""
