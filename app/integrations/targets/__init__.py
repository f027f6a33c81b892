"""One file a product for what a release is put on. Start with `protocol.py`."""
