"""Read tidegate.toml and check it. Start with `load.py`; each table of the file has a file in `tables/`."""
