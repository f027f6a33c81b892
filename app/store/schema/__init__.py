"""The tables, a file a subject. All of them together: `metadata.py`."""
