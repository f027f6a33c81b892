"""One file a product for who is told that something happened. Start with `protocol.py`."""
