"""Take deliveries in and plan what they bring. Start with `receive.py`, then `plan.py`."""
