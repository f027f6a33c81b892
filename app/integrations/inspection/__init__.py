"""One file a detector for what a push brings, and `inspector.py` that runs them all. Start with `protocol.py`."""
