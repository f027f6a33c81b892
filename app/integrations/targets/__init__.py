"""The targets that a release is put on, one file a product. Start with `protocol.py`."""
