"""The Celery tasks, and nothing else: name them, bind the correlation id, send the next message. Start with `celery.py`."""
