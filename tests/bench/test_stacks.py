"""py-spy's stacks by room: what the standard library does counts for whoever called it."""

from __future__ import annotations

import pytest

from bench.stacks import OTHER, room_of, shares

SITE = "/x/.venv/lib/python3.11/site-packages"
HOOK = "hook (/x/app/web/hooks.py:37)"
WSGI = f"wsgi_app ({SITE}/flask/app.py:1511)"
EXECUTE = f"execute ({SITE}/psycopg/cursor.py:97)"
DUMPS = "dumps (/usr/lib/python3.11/json/__init__.py:231)"


@pytest.mark.parametrize(
    ("frame", "room"),
    [
        (WSGI, "flask, werkzeug"),
        (HOOK, "tidegate"),
        ("run (/x/workers/stages.py:44)", "tidegate"),
        (EXECUTE, "psycopg"),
        (f"msg ({SITE}/structlog/_native.py:12)", "logging, structlog"),
        ("emit (/usr/lib/python3.11/logging/__init__.py:1100)", "logging, structlog"),
        ("digest (/usr/lib/python3.11/hmac.py:171)", "hmac"),
        (f"apply_async ({SITE}/celery/canvas.py:400)", "celery, kombu, redis"),
        ("_git (/x/app/integrations/repositories/mirror.py:210)", "git"),
        ("decide (/x/app/integrations/policy/cedar.py:60)", "cedar"),
        (f"invoke ({SITE}/click/core.py:1400)", None),
        (DUMPS, None),
        ("process 12:granian", None),
    ],
)
def test_a_frame_belongs_to_its_file(frame: str, room: str | None) -> None:
    assert room_of(frame) == room


def test_self_goes_to_the_innermost_frame_that_belongs_somewhere() -> None:
    found = shares([f"{WSGI};{HOOK};{DUMPS} 3", f"{WSGI};{HOOK};{EXECUTE} 1"])
    assert found["tidegate"] == {"self": 0.75, "with": 1.0}
    assert found["psycopg"] == {"self": 0.25, "with": 0.25}
    assert found["flask, werkzeug"] == {"self": 0.0, "with": 1.0}


def test_a_room_that_calls_itself_counts_once() -> None:
    assert shares([f"{WSGI};{WSGI};{WSGI} 5"]) == {"flask, werkzeug": {"self": 1.0, "with": 1.0}}


def test_what_belongs_nowhere_is_named_so() -> None:
    assert shares([f"{DUMPS} 2", f"{HOOK} 2"])[OTHER] == {"self": 0.5, "with": 0.5}


def test_no_samples_are_no_shares() -> None:
    assert shares([]) == {}
