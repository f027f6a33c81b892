"""The SCIM 2.0 server at `/scim/v2` (RFC 7643, RFC 7644): identity providers write users and groups, and the access map follows.

A request's writes, its statements to the access map and its audit entries are one transaction: a deactivation holds when it is
answered. The protocol is scim2-server's. This file decides who may call, what is recorded, and how refusals look. Next:
`clients.py`, `turns.py`, `pipeline/people/serve_scim.py`, `store/scim/resources.py`.
"""

from __future__ import annotations

import logging
import math
from typing import Any, cast

from flask import Blueprint, Response, g, request
from flask.blueprints import BlueprintSetupState
from scim2_flask import ScimServer
from scim2_flask.extension import METHODS
from scim2_models import (
    Error,
    InvalidValueException,
    PayloadTooLargeException,
    SCIMException,
    UnauthorizedException,
    UniquenessException,
)
from scim2_server.handler import ScimHandler
from scim2_server.memory import InMemoryStorage
from scim2_server.requests import ScimRequest
from scim2_server.service import ScimService

from app.bootstrap import Process
from app.domain.errors import BadRequest, BadToken, GateError, NotAllowed, Overloaded, RateLimited, StoreUnavailable
from app.pipeline.people.scim_token import ScimCaller
from app.pipeline.people.serve_scim import ScimWriter
from app.web.scim.clients import Clients
from app.web.scim.service import Service, make_provider, standard
from app.web.scim.turns import Turns
from app.web.wire.errors import status_of
from app.web.wire.origin import origin_of
from app.web.wire.request import FAULT, sender_of

PREFIX = "/scim/v2"
LARGEST_BODY = 1024 * 1024
RETRY_AFTER_SECONDS = 5

_log = logging.getLogger(__name__)


class _Handler:
    """Serves every request with a storage of its own: that of the caller's source."""

    def __init__(self, process: Process, service: ScimService) -> None:
        self._services, self._service = process.services, service
        self._storage_of = process.scim_storages(service.provider)

    def __getattr__(self, operation: str) -> Any:
        """Return an operation of the library's handler (ScimHandler)."""

        def serve(scim_request: ScimRequest) -> Any:
            storage = self._storage_of(ScimWriter.of(self._services, scim_request.subject))
            return getattr(ScimHandler(self._service, storage), operation)(scim_request)

        return serve


class _Server(ScimServer):
    """The library's routes, with our callers, limits and errors."""

    def __init__(self, process: Process) -> None:
        provider = make_provider()
        super().__init__(InMemoryStorage(), provider, url_prefix=PREFIX)  # this storage is never used: see _Handler
        self.service = Service(provider)
        self.handler = cast(ScimHandler, _Handler(process, self.service))
        self._clients = Clients(process.services)
        self._places = Turns()
        self._settings = process.settings
        self._base_url = str(process.settings.public_url).rstrip("/") + PREFIX

    def enter(self) -> None:
        """Admit a request with a valid token, one of each source at a time; raises GateError. Strangers are refused at once."""
        if fault := request.environ.get(FAULT):
            raise fault
        address = origin_of(request.remote_addr or "", request.headers, self._settings).address
        caller = self._clients.admit(request.headers.get("Authorization", ""), sender_of(address))
        self._places.take(caller.token.source)
        g.scim_caller = caller
        self._clients.note(caller)

    def leave(self, _fault: BaseException | None) -> None:
        """Make room for the next one."""
        if caller := g.pop("scim_caller", None):
            self._places.leave(caller.token.source)

    def get_subject(self) -> ScimCaller:
        """Return the caller."""
        return cast(ScimCaller, g.scim_caller)

    def read_request(self) -> ScimRequest:
        """Read the request; locations in the answer have the public URL, whatever the Host header says."""
        scim_request = super().read_request()
        scim_request.base_url = self._base_url
        return scim_request

    def read_body(self, scim_request: ScimRequest) -> bytes:
        """Read the body; raises PayloadTooLargeException."""
        body: bytes = request.stream.read(LARGEST_BODY + 1)
        if len(body) > LARGEST_BODY:
            raise PayloadTooLargeException(detail=f"a request has at most {LARGEST_BODY} bytes")
        return standard(body) if scim_request.method == "PATCH" else body

    def add_bases(self, state: BlueprintSetupState) -> None:
        """Serve under the base URL without a slash at its end, or with two: a redirection would lose a client with a body."""
        for number, rule in enumerate(("", "//", "//<path:path>")):
            endpoint = f"{self.name}.base{number}"
            state.app.add_url_rule(f"{PREFIX}{rule}", endpoint, self.serve, methods=METHODS, merge_slashes=False)

    def serve(self, **_: str) -> Response:
        """Serve a request by its path, which the library reads without slashes at its ends."""
        return self._to_response(self.handler.handle(self.read_request()))

    def refuse(self, fault: GateError) -> Response:
        """Render the gate's error as a SCIM error (RFC 7644 §3.12)."""
        answer = self._to_response(self.service.error_response(_scim_error(fault)))
        if isinstance(fault, RateLimited):
            answer.headers["Retry-After"] = str(math.ceil(fault.retry_after))
        elif isinstance(fault, StoreUnavailable | Overloaded):
            answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return answer

    def unknown(self, fault: Exception) -> Response:
        """Log an unexpected error, and answer without detail."""
        _log.error("unexpected error: %s", type(fault).__name__, exc_info=fault)
        return self._to_response(self.service.error_response(fault))


def make_blueprint(process: Process) -> Blueprint:
    """Make the SCIM server's routes."""
    server = _Server(process)
    blueprint = server.create_blueprint()
    blueprint.record(server.add_bases)
    blueprint.before_request(server.enter)
    blueprint.teardown_request(server.leave)
    blueprint.register_error_handler(GateError, server.refuse)
    blueprint.register_error_handler(Exception, server.unknown)
    return blueprint


def _scim_error(fault: GateError) -> SCIMException:
    match fault:
        case BadToken():
            return UnauthorizedException(detail=str(fault))
        case BadRequest():
            return InvalidValueException(detail=str(fault))
        case NotAllowed():  # the only thing that a present state forbids is a duplicate (RFC 7644 §3.12)
            return UniquenessException(detail=str(fault))
        case _:
            status = status_of(fault)
            return SCIMException.from_error(Error(status=status, detail=str(fault) if status != 500 else "internal error"))
