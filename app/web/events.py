"""`/events/<source>`: identity sources report changes here (Okta's event hooks, EventBridge's API destinations)."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from app.bootstrap import Process
from app.pipeline.people.hear_hint import hear_hint, hooks_of

CHALLENGE = "X-Okta-Verification-Challenge"
LARGEST = 1024 * 1024


def make_blueprint(process: Process) -> Blueprint:
    """Make the two routes of `/events/<source>`."""
    blueprint = Blueprint("events", __name__)

    @blueprint.get("/events/<source>")
    def verify(source: str) -> Response:
        """Answer Okta's one-time verification (developer.okta.com, event hooks, "Verify an event hook")."""
        return jsonify(hooks_of(process.services, source).answer(request.headers.get(CHALLENGE)))

    @blueprint.post("/events/<source>")
    def take(source: str) -> tuple[Response, int]:
        request.max_content_length = LARGEST
        new = hear_hint(process.services, source, request.headers.get("Authorization", ""), request.get_data(cache=False))
        return jsonify(new=new), 202

    return blueprint
