"""`/api/v1`: one file a subject. Start with `api.py`; all operations are listed in `operations.py`."""
