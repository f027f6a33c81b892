"""The rules in force: watched (`source.py`), read whole (`load.py`), bound to adapters (`bind.py`), secrets resolved."""
