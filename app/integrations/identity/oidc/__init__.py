"""Tokens of OpenID Connect issuers. Start with `validator.py`."""
