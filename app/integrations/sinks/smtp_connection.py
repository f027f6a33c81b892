"""A connection to a mail server: smtplib, held to one time for all, a size, and TLS with a verified certificate.

RFC 3207 (STARTTLS) and RFC 8314 (TLS from the first byte).
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.domain.errors import SinkUnavailable

CONNECT_SECONDS = 5.0
MOST_BYTES = 64 * 1024  # of all that a server says


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where the server is, and who says so. `ca_file` stands in for the authorities that the system trusts."""

    host: str
    port: int
    tls: Literal["starttls", "implicit", "none"]
    ca_file: Path | None
    we_are: str
    seconds: float


@contextmanager
def connect(place: MailServer) -> Iterator[smtplib.SMTP]:
    """Connect, and hang up at the end; raises SinkUnavailable, or what smtplib, ssl and socket raise."""
    context = None if place.tls == "none" else _context(place.ca_file)
    server = _Implicit(place, context=context) if place.tls == "implicit" else _Connection(place)
    try:
        code, said = server.connect(place.host, place.port)
        if code != 220:  # RFC 5321 §3.1
            raise smtplib.SMTPConnectError(code, said)
        if place.tls == "starttls":
            server.starttls(context=context)  # raises where it is not offered, by the server or by whoever stands between
        yield server
    finally:
        server.close()


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as fault:  # an ssl.SSLError is one
        raise SinkUnavailable(f"{ca_file} holds no certificates that can be read ({type(fault).__name__})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Replies:
    """What the server says, read until a moment and up to a size: a socket's own limit begins anew with every byte."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._socket = connection
        self._until = until
        self._left = MOST_BYTES
        self._buffer = b""

    def readline(self, limit: int) -> bytes:
        """Read one line, or as much as `limit`; raises OSError."""
        while b"\n" not in self._buffer and len(self._buffer) < limit:
            if not (piece := self._read()):
                break
            self._buffer += piece
        end = min(self._buffer.find(b"\n") + 1 or limit, limit)
        line, self._buffer = self._buffer[:end], self._buffer[end:]
        return line

    def close(self) -> None:
        """Do nothing: the socket is smtplib's to close."""

    def _read(self) -> bytes:
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(seconds)
        piece = self._socket.recv(4096)
        self._left -= len(piece)
        if self._left < 0:
            raise OSError("the server says too much")
        return piece


class _Connection(smtplib.SMTP):
    """A connection whose whole exchange ends in time."""

    file: Any
    sock: socket.socket

    def __init__(self, place: MailServer, **tls: Any) -> None:
        self._until = time.monotonic() + place.seconds
        super().__init__(local_hostname=place.we_are, timeout=min(CONNECT_SECONDS, place.seconds), **tls)
        self._host = place.host  # whom the certificate must name: smtplib sets it where it connects while it is made

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply; after STARTTLS from the new socket, and nothing of what came before in the clear."""
        if self.file is None:
            self.file = _Replies(self.sock, self._until)
        return super().getreply()


class _Implicit(_Connection, smtplib.SMTP_SSL):
    """The same, under TLS from the first byte."""
