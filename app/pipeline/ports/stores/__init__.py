"""What the steps ask of the database, a file a subject. `app/store` implements it. Start with `unit.py`."""
