"""Take deliveries in and plan their deployments. Start with `receive.py`, then `plan.py`."""
