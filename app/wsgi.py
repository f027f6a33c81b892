"""`app.wsgi:front` for granian's RSGI; `app.wsgi:app` for a WSGI server behind a proxy that waits for slow clients."""

from __future__ import annotations

from app.bootstrap import freeze_loaded
from app.settings import forbid_inspection, tell_ready
from app.web.factory import create_app, create_front

forbid_inspection()
app = create_app()
front = create_front(app)
freeze_loaded()
tell_ready()
