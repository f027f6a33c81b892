"""`tidegate policy …`: one file a verb that needs more than a few lines. Start with `commands.py`."""
