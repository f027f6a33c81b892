"""The SCIM 2.0 server at `/scim/v2`. Start with `server.py`."""
