"""What SCIM clients have written. Start with `resources.py`."""
