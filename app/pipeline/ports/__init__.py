"""The ports of the steps: services, stores and the recorder of audit entries. Start with `services.py`."""
