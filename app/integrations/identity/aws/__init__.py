"""Users, roles and groups of an AWS account. Start with `source.py`."""
