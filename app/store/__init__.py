"""What is remembered: the only room that speaks SQL. Start with `schema/line.py`."""
