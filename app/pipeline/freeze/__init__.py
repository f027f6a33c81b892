"""Freezes: when they are in force, how they recur, how one is added. Start with `freeze.py`."""
