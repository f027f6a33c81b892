"""The resources that SCIM clients have written. Start with `resources.py`."""
