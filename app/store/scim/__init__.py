"""What SCIM clients have written, and their tokens. Start with `resources.py`."""
