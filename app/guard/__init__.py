"""The rules in force: watched, loaded, bound to adapters. Start with `source.py`."""
