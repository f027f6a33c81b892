"""The verifying side of tokens: the issuer's description and its public keys."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from app.bootstrap import Process
from app.integrations.tokens.issuer import discovery, jwks


def make_blueprint(process: Process) -> Blueprint:
    """Make the two documents that verifiers fetch (OpenID Connect Discovery 1.0 §4)."""
    blueprint = Blueprint("wellknown", __name__)

    @blueprint.get("/.well-known/openid-configuration")
    def configuration() -> Response:
        return _let_cache(jsonify(discovery(str(process.settings.public_url).rstrip("/"))))

    @blueprint.get("/.well-known/jwks.json")
    def keys() -> Response:
        return _let_cache(jsonify(jwks(process.published_keys.jwks())))

    return blueprint


def _let_cache(response: Response) -> Response:
    response.headers["Cache-Control"] = "public, max-age=300"
    return response
