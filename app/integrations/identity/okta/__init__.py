"""People and groups of an Okta org. Start with `source.py`."""
