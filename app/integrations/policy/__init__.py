"""The policy engine, which says whether an action is allowed, one file a product. Start with `protocol.py`."""
