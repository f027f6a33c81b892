"""Questions to the policies outside the line: before a push, about everybody, about the past. Start with `decide_push.py`."""
