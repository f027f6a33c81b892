"""The decision: what it depends on, how it is made, what would change it. Start with `judgement.py`."""
