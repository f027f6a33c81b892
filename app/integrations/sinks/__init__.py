"""The sinks that notices go to, one file a product. Start with `protocol.py`."""
