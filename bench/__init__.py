"""`make bench`: what the gate does in a second, on this machine, in one run. Start with `__main__.py`."""
