"""The five stages of a deployment, and going back. Start with `stage.py`, then `identify.py`."""
