"""One file a product for who people are. Start with `protocol.py`."""
