"""Secrets by reference, one file a product. Start with `protocol.py`."""
