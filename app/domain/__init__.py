"""Frozen values and pure functions, standard library only. Start with `event.py`."""
