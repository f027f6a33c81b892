"""`/api/v1`: one file a subject. Start with `api.py`; what it can do: `operations.py`."""
