"""`tidegate …`: one file a noun; each command calls one pipeline function or read. Start with `main.py`."""
