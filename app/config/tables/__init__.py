"""The tables of tidegate.toml, a file each: the keys, the faults against other tables, and the resulting value.

All tables together: `file.py`. The form of single values: `fields.py`.
"""
