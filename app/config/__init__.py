"""Read tidegate.toml and check it. Start with `load.py`."""
