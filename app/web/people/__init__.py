"""People and programs that call: sign-in, sessions, and proof of the caller. Start with `callers.py`."""
