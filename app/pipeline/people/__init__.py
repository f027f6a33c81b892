"""People and their accounts: the access map, identity sources, sign-in and links. Start with `access_map.py`."""
