"""The tables, one file for each subject. All tables together: `metadata.py`."""
