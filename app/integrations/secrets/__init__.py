"""One file a product for secrets by reference. Start with `protocol.py`."""
