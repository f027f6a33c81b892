"""A request as the server hands it over, made into a WSGI environment, or refused if it contradicts itself.

A proxy and the gate must not read one ambiguous request as two different ones: RFC 9112 §6.3 and §11.2.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any, Protocol

from app.domain.errors import BadDelivery, GateError, UnsupportedContent

_ONCE = frozenset({"authorization", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"})
_FORGES = ("x-forgejo-", "x-gitea-", "x-github-", "x-gogs-", "x-hub-")
_BASE: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}
FAULT = "tidegate.fault"
# body and headers as they came, beside WSGI's own forms of them: werkzeug would copy the body three times
BODY = "tidegate.body"
HEADERS = "tidegate.headers"


class Headers(Protocol):
    """RSGI's headers: names are lower case; a value that is not visible ASCII is left out."""

    def items(self) -> list[tuple[str, str]]:
        """List names and values, repeated ones too."""
        ...


class Scope(Protocol):
    """RSGI's description of a request (granian's docs/spec/RSGI.md)."""

    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str

    @property
    def headers(self) -> Headers:
        """The headers."""
        ...


def environ_of(scope: Scope) -> dict[str, Any]:
    """Make the WSGI environment, without a body; a fault of the request stands in it under `FAULT`."""
    host, _, port = scope.server.rpartition(":")
    environ = _BASE | {
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string.encode().decode("latin-1"),  # PEP 3333: bytes, as latin-1
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "wsgi.url_scheme": scope.scheme,
    }
    headers: dict[str, str] = {}
    repeated: str | None = None
    for name, value in scope.headers.items():
        if "_" in name:  # WSGI could not tell it from the name with a hyphen
            continue
        if name in headers:
            value = f"{headers[name]}, {value}"
            if name in _ONCE or name.startswith(_FORGES):
                repeated = name
        headers[name] = environ[_variable(name)] = value
    environ[HEADERS] = headers
    fault = BadDelivery(f"the header {repeated} appears more than once") if repeated else _contradiction(headers)
    if fault is not None:
        environ[FAULT] = fault
    return environ


@lru_cache(maxsize=256)
def _variable(name: str) -> str:
    upper = name.upper().replace("-", "_")
    return upper if upper in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{upper}"


def _contradiction(headers: dict[str, str]) -> GateError | None:
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if "content-length" in headers:
            return BadDelivery("the length is given twice: in Content-Length and by Transfer-Encoding")
        if coding.strip().lower() != "chunked":
            return BadDelivery("the only transfer coding that is accepted is chunked")
    if "content-encoding" in headers and headers["content-encoding"].strip().lower() not in ("", "identity"):
        return UnsupportedContent("a body must not have a content encoding")
    return None


def announced_length(environ: dict[str, Any]) -> int | None:
    """Return the announced length of the body: 0 if there is none, None if it comes in chunks."""
    if "HTTP_TRANSFER_ENCODING" in environ:
        return None
    return int(environ.get("CONTENT_LENGTH") or 0)  # the server has checked that it is a number


@lru_cache(maxsize=1024)
def sender_of(address: str) -> str:
    """Return what counts as one sender: an IPv4 address, or an IPv6 network of 64 bits, as one customer has it."""
    bare = address.strip("[]")
    if ":" not in bare:
        return bare
    try:
        return str(int(IPv6Address(bare.partition("%")[0])) >> 64)
    except ValueError:
        return bare
