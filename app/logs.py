"""Logs: one line a step with the step's ids, JSON by default, and nothing that looks like a secret."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import orjson
import structlog

from app.domain.text import plain_line

_SECRETS = re.compile(
    r"eyJ(?:(?!eyJ)[A-Za-z0-9_-]){8,}\.[A-Za-z0-9_-]+\.?[A-Za-z0-9_-]*"  # a JWT; repeated beginnings do not slow the search
    r"|whsec_[A-Za-z0-9+/=]+"
    r"|(?i:(?<=bearer )|(?<=token )|(?<=basic ))[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^/@:\s]*:[^/@\s]+(?=@)"  # user:password in a URL
)
_SIGNS = ("eyJ", "whsec_", " ", "://")  # every secret holds one of them: most texts hold none, and skip the slow search
MASK = "***"
NOISY = (
    *("alembic", "httpx", "httpcore", "kombu", "celery.redirected"),
    *("botocore", "boto3", "urllib3"),  # at DEBUG botocore logs what it signs, session tokens included
    *("celery.beat", "celery.worker.strategy", "celery.app.trace"),  # three lines for each tick of the sweeper
)


def mask(text: str) -> str:
    """Replace everything that looks like a secret: tokens, webhook secrets, passwords in URLs."""
    if not any(sign in text for sign in _SIGNS):
        return text
    return _SECRETS.sub(MASK, text)


def mask_all(value: Any) -> Any:
    """Mask every text in `value`, at any depth. An object that is not text, number or collection becomes its masked repr."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {mask_all(key): mask_all(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_all(item) for item in value]
    return mask(repr(value))


class _LineLogger:
    """The logger behind structlog: writes to the handler of plain records, without making a record of each line."""

    def __init__(self, name: str, handler: logging.StreamHandler[Any]) -> None:
        self.name = name
        self._handler = handler

    def _write(self, line: str) -> None:
        self._handler.acquire()
        try:
            self._handler.stream.write(line + "\n")
            self._handler.flush()
        finally:
            self._handler.release()

    debug = info = warning = error = critical = exception = msg = _write


def configure_logs(form: str, level: str) -> None:
    """Send every record of this process to standard output, structured and masked."""
    handler: logging.StreamHandler[Any] = logging.StreamHandler(sys.stdout)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render: Any = structlog.processors.JSONRenderer(_to_json) if form == "json" else _ConsoleRenderer()
    structlog.configure(
        processors=[*shared, _mask_event, render],
        logger_factory=lambda name="tidegate": _LineLogger(name, handler),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _mask_event, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


class _ConsoleRenderer:
    """Renders for people. Texts of others (a target, an author) cannot control the reader's terminal."""

    def __init__(self) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=False)

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        plain = {k: plain_line(v) if isinstance(v, str) and k != "exception" else v for k, v in event.items()}
        return self._render(logger, method, plain)


def _to_json(event: object, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # half a surrogate pair is not UTF-8; json escapes it
        return json.dumps(event, default=repr)


def _mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = mask_all(value)
    return event
