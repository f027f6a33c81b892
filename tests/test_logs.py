"""Logs: one JSON document a line, with the ids of the step, and nothing that looks like a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from app.logs import MASK, NOISY, configure_logs, mask

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl-_x"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRETS = {
    "a token": (f"sent {JWT} away", f"sent {MASK} away", JWT),
    "a token without its signature": ("sent eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0. away", f"sent {MASK} away", "eyJ"),
    "a webhook secret": (f"secret={WHSEC};", f"secret={MASK};", WHSEC),
    "a bearer": ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {MASK}", "abcdef"),
    "a bearer in lower case": ("authorization: bearer abcdef123456", f"authorization: bearer {MASK}", "abcdef"),
    "a forge's token": ("Authorization: token 0123456789abcdef", f"Authorization: token {MASK}", "0123456789"),
    "basic credentials": ("Authorization: Basic b3BzOnBhc3N3b3Jk", f"Authorization: Basic {MASK}", "b3Bz"),
    "a password in a URL": ("at postgresql://app:s3cret@127.0.0.1/d", f"at postgresql://{MASK}@127.0.0.1/d", "s3cret"),
    "a password without a user in a URL": (
        "at redis://:s3cret@127.0.0.1:6390/0",
        f"at redis://{MASK}@127.0.0.1:6390/0",
        "s3cret",
    ),
    "two of them": (f"{JWT} and https://u:s3cret@h/", f"{MASK} and https://{MASK}@h/", "s3cret"),
}
HARMLESS = [
    "deployment 0199a0b1-0000-7000-8000-000000000000 granted",
    "commit 27d2b4127d2b4127d2b4127d2b4127d2b4127d2b",
    "http://127.0.0.1:8300/healthz",
    "ssh://git@forge.example/acme/shop.git",
    "alice@example.com",
    "the bearer is bad",
    "",
]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Give the root logger and structlog back as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    noisy = {name: logging.getLogger(name).level for name in NOISY}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, former in noisy.items():
        logging.getLogger(name).setLevel(former)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


Lines = Callable[[], list[dict[str, Any]]]


def logged_as_json(capsys: pytest.CaptureFixture[str]) -> Lines:
    """Log as JSON from here on; calling what it returns gives what was written since."""
    configure_logs("json", "INFO")
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("what", SECRETS)
def test_a_secret_is_masked(what: str) -> None:
    text, masked, _ = SECRETS[what]
    assert mask(text) == masked


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert mask(text) == text


def test_a_line_is_a_document_with_time_level_and_logger(capsys: pytest.CaptureFixture[str]) -> None:
    lines = logged_as_json(capsys)
    logging.getLogger("app.pipeline").warning("stage %s took %d ms", "dispatch", 12)
    (line,) = lines()
    assert line["event"] == "stage dispatch took 12 ms"
    assert (line["level"], line["logger"]) == ("warning", "app.pipeline")
    assert line["timestamp"].endswith("Z")


def test_structured_events_and_plain_records_look_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    lines = logged_as_json(capsys)
    structlog.get_logger("app.web").info("taken", forge="gogs")
    logging.getLogger("app.web").info("taken")
    structured, plain = lines()
    assert structured.pop("forge") == "gogs"
    assert structured.keys() == plain.keys()


def test_the_ids_of_a_step_are_in_each_of_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = logged_as_json(capsys)
    with structlog.contextvars.bound_contextvars(correlation_id="c-1", deployment_id="d-1"):
        structlog.get_logger("a").info("one")
        logging.getLogger("b").info("two")
    logging.getLogger("b").info("three")
    one, two, three = lines()
    assert (one["correlation_id"], one["deployment_id"]) == ("c-1", "d-1")
    assert (two["correlation_id"], two["deployment_id"]) == ("c-1", "d-1")
    assert "correlation_id" not in three


def test_a_text_of_several_lines_stays_on_one(capsys: pytest.CaptureFixture[str]) -> None:
    lines = logged_as_json(capsys)
    logging.getLogger("a").info('one\ntwo {"event": "forged"}')
    (line,) = lines()
    assert line["event"] == 'one\ntwo {"event": "forged"}'


def test_nothing_below_the_level_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    lines = logged_as_json(capsys)
    logging.getLogger("a").debug("hidden")
    structlog.get_logger("a").debug("hidden")
    logging.getLogger("httpx").info("hidden")
    logging.getLogger("a").info("shown")
    assert [line["event"] for line in lines()] == ["shown"]


def test_what_botocore_signs_is_not_logged_at_any_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json", "DEBUG")
    for name in ("botocore.auth", "botocore.endpoint", "boto3.resources", "urllib3.connectionpool"):
        logging.getLogger(name).debug("x-amz-security-token:hidden")
    assert not capsys.readouterr().out


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("what", SECRETS)
@pytest.mark.parametrize("way", ["message", "argument", "field", "context", "exception", "structured exception"])
def test_a_secret_never_reaches_the_output(capsys: pytest.CaptureFixture[str], form: str, what: str, way: str) -> None:
    text, _, secret = SECRETS[what]
    configure_logs(form, "INFO")
    _log(way, text)
    written = capsys.readouterr().out
    assert MASK in written
    assert secret not in written


def _log(way: str, text: str) -> None:
    plain, structured = logging.getLogger("a"), structlog.get_logger("a")
    if way == "message":
        plain.info(text)
    elif way == "argument":
        plain.info("got %s", text)
    elif way == "field":
        structured.info("got", what=text)
    elif way == "context":
        with structlog.contextvars.bound_contextvars(what=text):
            plain.info("got")
    else:
        try:
            raise ValueError(text)
        except ValueError:
            (plain if way == "exception" else structured).exception("failed")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "value",
    [
        {"Authorization": f"Bearer {JWT}"},
        [JWT],
        (JWT,),
        {"deep": [{"er": JWT}]},
        JWT.encode(),
        ValueError(JWT),
    ],
    ids=["dict", "list", "tuple", "nested", "bytes", "exception"],
)
def test_a_secret_inside_a_value_never_reaches_the_output(capsys: pytest.CaptureFixture[str], form: str, value: object) -> None:
    configure_logs(form, "INFO")
    structlog.get_logger("a").info("got", what=value)
    written = capsys.readouterr().out
    assert "got" in written
    assert JWT not in written


def test_an_exception_is_told_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    lines = logged_as_json(capsys)
    try:
        raise ValueError("no such thing")
    except ValueError:
        logging.getLogger("a").exception("failed")
    (line,) = lines()
    assert line["event"] == "failed"
    assert "ValueError: no such thing" in line["exception"]
    assert "test_logs.py" in line["exception"]


def test_the_console_form_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("console", "INFO")
    with structlog.contextvars.bound_contextvars(correlation_id="c-1"):
        logging.getLogger("app.web").info("taken")
    written = capsys.readouterr().out
    assert len(written.splitlines()) == 1
    assert "taken" in written
    assert "correlation_id=c-1" in written
    assert not written.startswith("{")
    assert "\x1b" not in written


def test_the_console_form_gives_the_terminal_no_orders(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("console", "INFO")
    structlog.get_logger("a").info("said", detail="\x1b]0;title\x07\x1b[2Jgone\u202e")
    written = capsys.readouterr().out
    assert "\x1b" not in written and "\u202e" not in written and "gone" in written


def test_configuring_twice_does_not_log_twice(capsys: pytest.CaptureFixture[str]) -> None:
    lines = logged_as_json(capsys)
    configure_logs("json", "INFO")
    logging.getLogger("a").info("once")
    assert [line["event"] for line in lines()] == ["once"]
