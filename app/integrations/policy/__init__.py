"""One file a product for whether an action is allowed. Start with `protocol.py`."""
