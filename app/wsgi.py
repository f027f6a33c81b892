"""`app.wsgi:app`, for any WSGI server."""

from __future__ import annotations

from app.settings import tell_ready
from app.web.factory import create_app

app = create_app()
tell_ready()
