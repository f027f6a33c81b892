"""What the steps ask of the outside: services, the stores, the record of what happened. Start with `services.py`."""
