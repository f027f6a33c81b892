"""`tidegate policy …`: a verb of more than a few lines has its own file. Start with `commands.py`."""
