"""The decision: its case, how it is made, and what would change it. Start with `judgement.py`."""
