"""`tidegate access …`: people, and who may do what. Start with `commands.py`."""
