"""Sessions in the database (Flask's SessionInterface). The cookie is a random number; only its SHA-256 is stored.

A session is read when it is first used, and made when something is put into it, so probes and deliveries cost nothing.
If the database is away, using it raises StoreUnavailable; it never looks like an empty session. Next: `callers.py`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from flask import Flask, Request, Response, session
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.local import LocalProxy

from app.bootstrap import Process
from app.domain.errors import BadRequest, Forbidden, GateError
from app.domain.session import Session, StoredSession
from app.integrations.system import random_bytes
from app.pipeline.ports.services import Services
from app.settings import Settings
from app.web.wire.errors import problem_of

COOKIE_BYTES = 32
BEFORE_SIGN_IN = timedelta(minutes=10)
TOUCH_EVERY = timedelta(minutes=1)
LARGEST = 4096  # bytes of JSON that a session may hold
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


@dataclass(frozen=True, slots=True)
class Cookie:
    """The cookie's name, and whether it is Secure: always, except for plain http that stays on this machine."""

    name: str
    is_secure: bool

    @classmethod
    def of(cls, settings: Settings) -> Cookie:
        """Choose by the public URL. `__Host-`: from this host only, Secure, for all paths (RFC 6265bis §4.1.3.2)."""
        url = settings.public_url
        is_local = url.scheme == "http" and url.host in _LOOPBACK
        return cls("tidegate", False) if is_local else cls("__Host-tidegate", True)


def digest_of(cookie: str) -> str:
    """Return the digest that is stored in place of a cookie."""
    return hashlib.sha256(cookie.encode()).hexdigest()


class WebSession(SessionMixin):
    """One browser's session, read when it is first used. Every use may raise StoreUnavailable."""

    def __init__(self, services: Services, idle: timedelta, longest: timedelta, *, cookie: str | None) -> None:
        self._services = services
        self.idle, self.longest = idle, longest
        self._cookie = cookie if cookie is not None and _COOKIE.fullmatch(cookie) else None
        self._row: StoredSession | None = None
        self._data: dict[str, Any] = {}
        self.is_opened = False
        self.modified = False
        self.fresh: str | None = None
        self.is_ended = False

    @property
    def id(self) -> str | None:
        """Its id, or None if there is no session (yet)."""
        self._open()
        return self._row.id if self._row else None

    @property
    def facts(self) -> Session | None:
        """The sign-in, or None; `callers.py` decides whether it still counts."""
        self._open()
        return self._row.facts if self._row else None

    @property
    def csrf_token(self) -> str:
        """The token that forms of this session carry: it follows from the cookie, so nobody else can make it."""
        self._open()
        if self._row is None or self._cookie is None:
            return ""
        return _text(hmac.digest(self._cookie.encode(), b"tidegate csrf token", "sha256"))

    def check_csrf(self, token: str) -> None:
        """Compare the token that a form or request carries, in constant time; raises Forbidden."""
        expected = self.csrf_token
        if not expected or not hmac.compare_digest(expected.encode(), token.encode()):
            raise Forbidden("the request does not carry this session's token; load the page again")

    def rotate(self, begin: Callable[[str, str | None], StoredSession]) -> None:
        """Replace this session by a new one: `begin` gets the new digest and the id of the former session, which it ends."""
        self._open()
        fresh = _text(random_bytes(COOKIE_BYTES))
        self._row = begin(digest_of(fresh), self._row.id if self._row else None)
        self._cookie = self.fresh = fresh
        self._data, self.modified = {}, False

    def take(self, name: str) -> bool:
        """Take an entry out for good; of several requests that do so at the same time, only one gets True."""
        self._open()
        if self._row is None:
            return False
        with self._services.store.unit() as unit:
            return unit.sessions.take(self._row.id, name)

    def forget(self) -> None:
        """Let the browser forget the cookie of a session that was ended."""
        self._row, self._cookie, self._data = None, None, {}
        self.modified, self.is_ended, self.is_opened = False, True, True

    def save(self) -> None:
        """Store what was put in; raises StoreUnavailable, or BadRequest if it is too much."""
        if not self.modified:
            return
        if len(json.dumps(self._data)) > LARGEST:
            raise BadRequest("too many sign-ins were begun and not finished")
        with self._services.store.unit() as unit:
            if self._row is None:
                self._row = self._begin()
                unit.sessions.add(self._row)
            elif not self._data and self._row.facts is None:
                unit.sessions.end([self._row.id])
                self.is_ended = True
            else:
                unit.sessions.keep(self._row.id, self._data)

    def _begin(self) -> StoredSession:
        now = self._services.clock.now()
        self._cookie = self.fresh = _text(random_bytes(COOKIE_BYTES))
        ends_at = now + BEFORE_SIGN_IN
        return StoredSession(self._services.ids.new(), digest_of(self.fresh), self._data, now, now, ends_at)

    def _open(self) -> dict[str, Any]:
        if not self.is_opened:
            if self._cookie is not None:
                self._load(digest_of(self._cookie))
            self.is_opened = True
        return self._data

    def _load(self, digest: str) -> None:
        now = self._services.clock.now()
        with self._services.store.single() as unit:
            self._row = row = unit.sessions.find(digest, now)
            if row is None:
                return
            self._data = dict(row.data)
            if row.facts is None or now - row.seen_at < min(TOUCH_EVERY, self.idle / 2):
                return
            if row.facts.counts(self._services.guard().issuer_urls):
                unit.sessions.touch(row.id, now, min(now + self.idle, row.facts.signed_in_at + self.longest))

    def __getitem__(self, name: str) -> Any:
        return self._open()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._open()[name] = value
        self.modified = True

    def __delitem__(self, name: str) -> None:
        del self._open()[name]
        self.modified = True

    def __iter__(self) -> Iterator[str]:
        return iter(self._open())

    def __len__(self) -> int:
        return len(self._open())


class WebSessions(SessionInterface):
    """Opens and saves the session of each request."""

    def __init__(self, process: Process) -> None:
        self._services = process.services
        self.cookie = Cookie.of(process.settings)
        self._idle = timedelta(seconds=process.settings.session_idle)
        self._longest = timedelta(seconds=process.settings.session_longest)

    def open_session(self, app: Flask, request: Request) -> WebSession:
        """Make a session, which is read when it is first used."""
        return WebSession(self._services, self._idle, self._longest, cookie=request.cookies.get(self.cookie.name))

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store what was put in. If that fails, the error becomes the answer, since what the answer says did not happen."""
        assert isinstance(session, WebSession)
        try:
            session.save()
        except GateError as fault:
            _replace(response, problem_of(fault))
            return
        if session.is_opened:
            response.vary.add("Cookie")
        if session.fresh is not None:
            response.set_cookie(
                self.cookie.name, session.fresh, path="/", secure=self.cookie.is_secure, httponly=True, samesite="Lax"
            )
        elif session.is_ended:
            response.delete_cookie(self.cookie.name, path="/", secure=self.cookie.is_secure, httponly=True, samesite="Lax")


def current() -> WebSession:
    """Return the session of the request at hand."""
    return cast("LocalProxy[WebSession]", session)._get_current_object()


def _replace(response: Response, other: Response) -> None:
    response.status_code = other.status_code
    response.set_data(other.get_data())
    response.headers.clear()
    response.headers.extend(other.headers)


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
