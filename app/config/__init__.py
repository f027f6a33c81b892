"""Read tidegate.toml and check it. Start with `load.py`; a table of the file is a file of `tables/`."""
