"""Celery only here: name the tasks, bind the correlation id, send the next message. Start with `celery.py`."""
