"""Everything that `tidegate up` starts on one machine: servers from wheels, and the Procfile. Start with `up.py`."""
