"""A request as it arrives: read, traced to its origin, answered with a problem document. Start with `request.py`."""
