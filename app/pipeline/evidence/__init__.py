"""The evidence: facts about all that a deployment brings. `decide/` asks; start with `gather.py`."""
