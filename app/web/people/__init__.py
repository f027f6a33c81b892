"""People and programs that call: sign-in, sessions, proof of who calls. Start with `callers.py`."""
