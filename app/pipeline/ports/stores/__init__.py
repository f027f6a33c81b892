"""The ports to the database, one file for each subject. `app/store` implements them. Start with `unit.py`."""
