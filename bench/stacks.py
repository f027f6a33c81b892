"""Sort py-spy's stacks into rooms: which library or which part of ours the processor's time goes to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

OTHER = "interpreter and rest"
# Most telling first: the innermost frame that fits one of these names its sample.
ROOMS = (
    ("hmac", r"/python3[^/]*/(hmac|hashlib)\.py"),
    ("logging, structlog", r"/(logging|structlog)/|/app/logs\.py"),
    ("psycopg", r"/(psycopg|psycopg_binary|psycopg_pool)/"),
    ("sqlalchemy", r"/sqlalchemy/"),
    ("pydantic", r"/(pydantic|pydantic_core)/"),
    ("flask, werkzeug", r"/(flask|werkzeug|jinja2|itsdangerous|blinker)/"),
    ("granian", r"/granian/"),
    ("celery, kombu, redis", r"/(celery|kombu|vine|billiard|amqp|redis)/"),
    ("git", r"/app/integrations/repositories/|/pygit2/"),
    ("cedar", r"/cedarpy/|/app/integrations/policy/"),
    ("tokens", r"/(joserfc|cryptography)/|/app/integrations/tokens/"),
    ("sentry", r"/sentry_sdk/"),
    ("prometheus", r"/prometheus_client/"),
    ("tidegate", r"/(app|workers)/.*\.py"),
)
_PATTERNS = [(name, re.compile(pattern)) for name, pattern in ROOMS]
_FILE = re.compile(r"\(([^()]*?)(?::\d+)?\)$")


def room_of(frame: str) -> str | None:
    """Name the room of one frame, `function (/path/file.py:12)`; None for the standard library and the unknown."""
    found = _FILE.search(frame)
    path = found[1] if found else ""
    return next((name for name, pattern in _PATTERNS if pattern.search(path)), None)


def shares(lines: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return each room's share of the samples: `self` by the innermost frame that has a room, `with` wherever it is on the stack.

    So what the standard library does counts for whoever called it.
    """
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rstrip().rpartition(" ")
        rooms = [room for frame in stack.split(";") if (room := room_of(frame))]
        own[rooms[-1] if rooms else OTHER] += int(count)
        for room in set(rooms) or {OTHER}:
            within[room] += int(count)
    total = own.total() or 1
    return {room: {"self": own[room] / total, "with": within[room] / total} for room, _ in within.most_common()}
