"""A stand-in for Okta's management API, System Log and event hooks, over real HTTP, for what is read of them.

It follows what Okta publishes:
- users, their states and filters: https://developer.okta.com/docs/reference/api/users ("List users": the plain list omits
  DEPROVISIONED; a filter or a search lists whoever matches; `after` is opaque; deleting deactivates first);
- groups and their filters: https://developer.okta.com/docs/reference/api/groups ("List groups", "List group members");
- pagination, errors and filter expressions: https://developer.okta.com/docs/reference/core-okta-api;
- rate limits: https://developer.okta.com/docs/reference/rl-best-practices (`X-Rate-Limit-*`, 429 with E0000047);
- the log: https://developer.okta.com/docs/reference/api/system-log (`since`, `until`, `filter`; LogEvent);
- event hooks: https://developer.okta.com/docs/concepts/event-hooks (challenge by GET, then `data.events` by POST).

Where the documents leave it open it takes the harder way: who is deactivated stays in the lists of members.
"""

from __future__ import annotations

import itertools
import re
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from flask import Flask, Response, request
from werkzeug.serving import WSGIRequestHandler, make_server

from app.domain.clock import Clock

TOKEN = "00-fake-api-token"
_FIRST_EVENT = UUID("9a6a1b9e-51c2-4f0e-9c55-0d6f3a000000")  # ids grow, so that a cursor can say behind which it begins
_WORD = re.compile(r'\s*(\(|\)|"(?:[^"\\]|\\.)*"|[A-Za-z.]+)')
_LIFECYCLE = {
    "ACTIVE": "user.lifecycle.activate",
    "SUSPENDED": "user.lifecycle.suspend",
    "DEPROVISIONED": "user.lifecycle.deactivate",
}
_ERRORS = {
    400: ("E0000031", "Invalid search criteria."),
    401: ("E0000011", "Invalid token provided"),
    403: ("E0000006", "You do not have permission to perform the requested action"),
    404: ("E0000007", "Not found: Resource not found"),
    429: ("E0000047", "API call exceeded rate limit due to too many requests."),
    500: ("E0000009", "Internal Server Error"),
}

Record = dict[str, Any]


def stamp(moment: datetime) -> str:
    """Write a time as Okta does."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class Filter:
    """A filter expression with `eq`, `gt`, `and`, `or` and parentheses; ValueError where it is none."""

    def __init__(self, text: str, attributes: Iterable[str]) -> None:
        self._words = _WORD.findall(text)
        if "".join(self._words) != re.sub(r'\s+(?=(?:[^"]*"[^"]*")*[^"]*$)', "", text):
            raise ValueError(text)
        self._attributes = set(attributes)
        self.matches = self._any()
        if self._words:
            raise ValueError(text)

    def _any(self) -> Callable[[Record], bool]:
        parts = [self._all()]
        while self._words[:1] == ["or"]:
            self._words.pop(0)
            parts.append(self._all())
        return lambda record: any(part(record) for part in parts)

    def _all(self) -> Callable[[Record], bool]:
        parts = [self._one()]
        while self._words[:1] == ["and"]:
            self._words.pop(0)
            parts.append(self._one())
        return lambda record: all(part(record) for part in parts)

    def _one(self) -> Callable[[Record], bool]:
        if self._words[:1] == ["("]:
            self._words.pop(0)
            inner = self._any()
            if self._words[:1] != [")"]:
                raise ValueError("a parenthesis is open")
            self._words.pop(0)
            return inner
        if len(self._words) < 3:
            raise ValueError("a comparison is not whole")
        attribute, operator, quoted = (self._words.pop(0) for _ in range(3))
        if attribute not in self._attributes or operator not in ("eq", "gt") or not quoted.startswith('"'):
            raise ValueError(attribute)
        value = quoted[1:-1]
        return lambda record: (record[attribute] or "") == value if operator == "eq" else (record[attribute] or "") > value


class StillClock:
    """A clock that stands still until it is moved, by a test or by a pause."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 2, 9, 0, 0, tzinfo=UTC)
        self.pauses: list[float] = []

    def now(self) -> datetime:
        return self.moment

    def move(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    def pause(self, seconds: float) -> None:
        """Be a pause that takes no time."""
        self.pauses.append(seconds)
        self.move(seconds)


@dataclass
class FakeOkta:
    """An org. Its methods are what administrators do; the rest answers the API."""

    clock: Clock
    url: str = ""
    token: str = TOKEN
    page_size: int = 200
    calls_a_minute: int = 600
    may_read_log: bool = True
    search_omits_deactivated: bool = False  # of which the documents say nothing
    users: dict[str, Record] = field(default_factory=dict)
    groups: dict[str, Record] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    log: list[Record] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._cursors: dict[str, tuple[str, str]] = {}
        self._minute, self._calls = 0, 0
        self._delivered = 0
        self.lock = threading.RLock()

    def add_user(self, login: str, *, status: str = "ACTIVE", **profile: Any) -> str:
        """Create a user and return its id."""
        with self.lock:
            user_id = f"00u{next(self._numbers):017d}"
            now = stamp(self.clock.now())
            filled = {"firstName": "First", "lastName": "Last", "email": f"{login}@example.com", "login": login, **profile}
            times = {name: now for name in ("created", "activated", "statusChanged", "lastUpdated", "passwordChanged")}
            self.users[user_id] = {"id": user_id, "status": status, **times, "lastLogin": None, "profile": filled}
            self._happened("user.lifecycle.create", ("User", user_id))
            return user_id

    def set_status(self, user_id: str, status: str) -> None:
        """Suspend, deactivate, activate …"""
        with self.lock:
            now = stamp(self.clock.now())
            self.users[user_id].update(status=status, statusChanged=now, lastUpdated=now)
            self._happened(_LIFECYCLE.get(status, "user.account.lock"), ("User", user_id))

    def set_profile(self, user_id: str, **profile: Any) -> None:
        """Change profile attributes."""
        with self.lock:
            self.users[user_id]["profile"].update(profile)
            self.users[user_id]["lastUpdated"] = stamp(self.clock.now())
            self._happened("user.account.update_profile", ("User", user_id))

    def delete_user(self, user_id: str) -> None:
        """Delete a user, who disappears from everything but the log."""
        with self.lock:
            self.set_status(user_id, "DEPROVISIONED")
            for group_id in [each for each, members in self.members.items() if user_id in members]:
                self.remove_member(group_id, user_id)
            del self.users[user_id]
            self._happened("user.lifecycle.delete.initiated", ("User", user_id))

    def add_group(self, name: str, members: Iterable[str] = ()) -> str:
        """Create a group and return its id."""
        with self.lock:
            group_id = f"00g{next(self._numbers):017d}"
            now = stamp(self.clock.now())
            times = {name: now for name in ("created", "lastUpdated", "lastMembershipUpdated")}
            self.groups[group_id] = {
                "id": group_id,
                **times,
                "type": "OKTA_GROUP",
                "profile": {"name": name, "description": None},
            }
            self.members[group_id] = set(members)
            self._happened("group.lifecycle.create", ("UserGroup", group_id))
            return group_id

    def rename_group(self, group_id: str, name: str) -> None:
        """Give a group another name."""
        with self.lock:
            self.groups[group_id]["profile"]["name"] = name
            self.groups[group_id]["lastUpdated"] = stamp(self.clock.now())
            self._happened("group.profile.update", ("UserGroup", group_id))

    def delete_group(self, group_id: str) -> None:
        """Delete a group."""
        with self.lock:
            del self.groups[group_id], self.members[group_id]
            self._happened("group.lifecycle.delete", ("UserGroup", group_id))

    def add_member(self, group_id: str, user_id: str) -> None:
        """Put a user into a group."""
        with self.lock:
            self.members[group_id].add(user_id)
            self._regrouped("add", group_id, user_id)

    def remove_member(self, group_id: str, user_id: str) -> None:
        """Take a user out of a group."""
        with self.lock:
            self.members[group_id].discard(user_id)
            self._regrouped("remove", group_id, user_id)

    def _regrouped(self, what: str, group_id: str, user_id: str) -> None:
        self.groups[group_id]["lastMembershipUpdated"] = stamp(self.clock.now())
        self._happened(f"group.user_membership.{what}", ("User", user_id), ("UserGroup", group_id))

    def _happened(self, event_type: str, *targets: tuple[str, str]) -> None:
        named = [{"id": each, "type": kind, "alternateId": "unknown", "displayName": each} for kind, each in targets]
        admin = {"id": "00uadmin", "type": "User", "alternateId": "admin@example.com", "displayName": "Admin"}
        self.log.append(
            {
                "uuid": str(UUID(int=_FIRST_EVENT.int + len(self.log))),
                "published": stamp(self.clock.now()),
                "eventType": event_type,
                "version": "0",
                "severity": "INFO",
                "displayMessage": event_type,
                "actor": admin,
                "client": {"ipAddress": "192.0.2.1", "device": "Unknown", "zone": "null", "id": None},
                "outcome": {"result": "SUCCESS", "reason": None},
                "target": named,
            }
        )

    def delivery(self) -> bytes:
        """Write what an event hook sends of everything that happened since the last one."""
        with self.lock:
            events, self._delivered = self.log[self._delivered :], len(self.log)
        envelope = {
            "eventType": "com.okta.event_hook",
            "eventTypeVersion": "1.0",
            "cloudEventsVersion": "0.1",
            "contentType": "application/json",
            "eventId": str(UUID(int=_FIRST_EVENT.int - self._delivered)),
            "eventTime": stamp(self.clock.now()),
            "source": f"{self.url}/api/v1/eventHooks/whoql0HfiLGPWc8Jx0g3",
            "data": {"events": events},
        }
        return orjson.dumps(envelope)

    def verify(self, endpoint: str) -> bool:
        """Challenge an endpoint once, and tell whether it answers as an event hook must."""
        challenge = f"challenge-{next(self._numbers)}"
        asked = urllib.request.Request(endpoint, headers={"X-Okta-Verification-Challenge": challenge})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return bool(answer.status == 200 and orjson.loads(answer.read()) == {"verification": challenge})

    def deliver(self, endpoint: str, secret: str) -> int:
        """Send a delivery with the secret in the header, and return the status of the answer."""
        headers = {"Accept": "application/json", "Content-Type": "application/json", "Authorization": secret}
        sent = urllib.request.Request(endpoint, data=self.delivery(), headers=headers, method="POST")
        with urllib.request.urlopen(sent, timeout=30) as answer:
            return int(answer.status)

    def answer(self, path: str) -> Response:
        """Answer a GET below /api/v1/."""
        with self.lock:
            self.requests.append(request.full_path.rstrip("?"))
            if self.answers:
                return self.answers.pop(0)
            if request.headers.get("authorization") != f"SSWS {self.token}":
                return self.fault(401)
            if not self._is_within_limit():
                return self.fault(429)
            try:
                return self._found(path.split("/"))
            except ValueError:
                return self.fault(400)

    def _found(self, parts: list[str]) -> Response:
        match parts:
            case ["users"]:
                return self._users()
            case ["users", user_id]:
                login = [user for user in self.users.values() if user["profile"].get("login") == user_id]
                return self._one(self.users.get(user_id) or next(iter(login), None))
            case ["groups"]:
                return self._groups()
            case ["groups", group_id]:
                return self._one(self.groups.get(group_id))
            case ["groups", group_id, "users"] if group_id in self.members:
                return self._list([self.users[each] for each in sorted(self.members[group_id]) if each in self.users])
            case ["logs"] if self.may_read_log:
                return self._list([event for event in self.log if self._is_asked_for(event)])
        return self.fault(403 if parts == ["logs"] else 404)

    def _users(self) -> Response:
        if "search" in request.args:
            wanted = Filter(request.args["search"], ("id", "status", "created", "statusChanged", "lastUpdated")).matches
        elif "filter" in request.args:
            wanted = Filter(request.args["filter"], ("id", "status", "lastUpdated")).matches
        else:
            return self._list([user for user in self.users.values() if user["status"] != "DEPROVISIONED"])
        omitted = "DEPROVISIONED" if self.search_omits_deactivated and "search" in request.args else ""
        return self._list([user for user in self.users.values() if wanted(user) and user["status"] != omitted])

    def _groups(self) -> Response:
        if "filter" not in request.args:
            return self._list(list(self.groups.values()))
        wanted = Filter(request.args["filter"], ("id", "type", "lastUpdated", "lastMembershipUpdated")).matches
        return self._list([group for group in self.groups.values() if wanted(group)])

    def _is_asked_for(self, event: Record) -> bool:
        wanted = Filter(request.args["filter"], ("eventType",)).matches
        return request.args["since"] <= event["published"] <= request.args["until"] and wanted(event)

    def _one(self, record: Record | None) -> Response:
        return self.fault(404) if record is None else self.says(200, record)

    def _list(self, records: list[Record]) -> Response:
        """Answer a page. The cursor says behind which record it begins, so that deletions do not shift pages."""
        query = request.args.copy()
        size = min(int(query.get("limit", self.page_size)), self.page_size)
        key = "uuid" if request.path.endswith("/logs") else "id"
        after = query.poplist("after")
        start = 0
        if after:
            scope, last = self._cursors[after[0]]
            if scope != f"{request.path}?{query.to_dict()}":
                raise ValueError("the cursor is of another list")
            start = sum(each[key] <= last for each in records)
        page = records[start : start + size]
        links = [f'<{request.url}>; rel="self"']
        if len(records) > start + size:
            cursor = f"c{next(self._numbers)}x{len(records):x}"
            self._cursors[cursor] = (f"{request.path}?{query.to_dict()}", page[-1][key])
            query["after"] = cursor
            links.append(f'<{request.base_url}?{_encoded(query)}>; rel="next"')
        return self.says(200, page, links)

    def _is_within_limit(self) -> bool:
        minute = int(self.clock.now().timestamp()) // 60
        self._calls = self._calls + 1 if minute == self._minute else 1
        self._minute = minute
        return self._calls <= self.calls_a_minute

    def says(self, status: int, content: object, links: Iterable[str] = ()) -> Response:
        """Make an answer with the headers that Okta gives."""
        answer = Response(orjson.dumps(content), status, content_type="application/json")
        answer.headers["X-Rate-Limit-Limit"] = str(self.calls_a_minute)
        answer.headers["X-Rate-Limit-Remaining"] = str(max(0, self.calls_a_minute - self._calls))
        answer.headers["X-Rate-Limit-Reset"] = str((int(self.clock.now().timestamp()) // 60 + 1) * 60)
        for link in links:
            answer.headers.add("Link", link)
        return answer

    def fault(self, status: int) -> Response:
        """Make an answer that is an error of Okta's."""
        code, summary = _ERRORS[status]
        body = {"errorCode": code, "errorSummary": summary, "errorLink": code, "errorId": "oaeFake", "errorCauses": []}
        return self.says(status, body)


def _encoded(query: Any) -> str:
    return urlencode(list(query.items(multi=True)))


@contextmanager
def serving_okta(clock: Clock) -> Iterator[FakeOkta]:
    """Run an empty org on 127.0.0.1 until the test is over."""
    okta = FakeOkta(clock)
    app = Flask("fake_okta")
    app.add_url_rule("/api/v1/<path:path>", view_func=okta.answer)

    class Handler(WSGIRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(clock.now().astimezone(UTC), usegmt=True)

        def log(self, *_: object, **__: object) -> None:
            """Say nothing: pytest shows what matters."""

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    okta.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield okta
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
