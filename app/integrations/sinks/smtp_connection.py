"""A connection to a mail server: smtplib with one time limit for all, a size limit, and TLS with a verified certificate.

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
MOST_BYTES = 64 * 1024  # of all replies of a server together


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server's address, and how to speak to it. `we_are` is the name that we give in EHLO.

    `ca_file` replaces the authorities that the system trusts.
    """

    host: str
    port: int
    tls: Literal["starttls", "implicit", "none"]
    ca_file: Path | None
    we_are: str
    seconds: float


@contextmanager
def connect(place: MailServer) -> Iterator[smtplib.SMTP]:
    """Connect, and hang up at the end; raises SinkUnavailable, or errors of smtplib, ssl and socket."""
    context = None if place.tls == "none" else _context(place.ca_file)
    server = _Implicit(place, context=context) if place.tls == "implicit" else _Connection(place)
    try:
        code, greeting = server.connect(place.host, place.port)
        if code != 220:  # RFC 5321 §3.1
            raise smtplib.SMTPConnectError(code, greeting)
        if place.tls == "starttls":
            server.starttls(context=context)  # raises if it is not offered, by the server or by an attacker in between
        yield server
    finally:
        server.close()


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as fault:  # an ssl.SSLError is one
        raise SinkUnavailable(f"{ca_file} does not hold certificates that can be read ({type(fault).__name__})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Replies:
    """Reads the server's replies, up to a moment and a size. A socket's own time limit starts again with every byte."""

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
        """Do nothing: smtplib closes the socket."""

    def _read(self) -> bytes:
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(seconds)
        piece = self._socket.recv(4096)
        self._left -= len(piece)
        if self._left < 0:
            raise OSError("the server's replies are too long")
        return piece


class _Connection(smtplib.SMTP):
    """A connection whose whole exchange ends in time."""

    file: Any
    sock: socket.socket

    def __init__(self, place: MailServer, **tls: Any) -> None:
        self._until = time.monotonic() + place.seconds
        super().__init__(local_hostname=place.we_are, timeout=min(CONNECT_SECONDS, place.seconds), **tls)
        self._host = place.host  # the certificate must name it; smtplib sets it only if the constructor connects

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply. After STARTTLS, read from the new socket only, and drop all that came before it in the clear."""
        if self.file is None:
            self.file = _Replies(self.sock, self._until)
        return super().getreply()


class _Implicit(_Connection, smtplib.SMTP_SSL):
    """The same, under TLS from the first byte."""
