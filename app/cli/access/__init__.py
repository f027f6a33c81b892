"""`tidegate access …`: who people are and who may do what. Start with `commands.py`."""
