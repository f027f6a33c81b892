"""Logs: one line a step, JSON by default, the ids of the step in each, and nothing that looks like a secret."""

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
    r"eyJ(?:(?!eyJ)[A-Za-z0-9_-]){8,}\.[A-Za-z0-9_-]+\.?[A-Za-z0-9_-]*"  # a JWT, looked for once however often it begins
    r"|whsec_[A-Za-z0-9+/=]+"
    r"|(?i:(?<=bearer )|(?<=token )|(?<=basic ))[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^/@:\s]*:[^/@\s]+(?=@)"  # user:password in a URL
)
_SIGNS = ("eyJ", "whsec_", " ", "://")  # what is a secret holds one of them: the search takes long, and ids hold none
MASK = "***"
NOISY = (
    *("alembic", "httpx", "httpcore", "kombu", "celery.redirected"),
    *("botocore", "boto3", "urllib3"),  # at DEBUG botocore tells what it signs, session tokens among it
    *("celery.beat", "celery.worker.strategy", "celery.app.trace"),  # three lines for each tick of the sweeper
)


def mask(text: str) -> str:
    """Replace what looks like a secret: tokens, webhook secrets, passwords in URLs."""
    if not any(sign in text for sign in _SIGNS):
        return text
    return _SECRETS.sub(MASK, text)


def mask_all(value: Any) -> Any:
    """Mask every text in `value`, however deep; what is neither text, number nor collection becomes its masked repr."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {mask_all(key): mask_all(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_all(each) for each in value]
    return mask(repr(value))


class _Lines:
    """What structlog writes through: the handler that plain records take, without a record being made of each line."""

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
    render: Any = structlog.processors.JSONRenderer(_json) if form == "json" else _Console()
    structlog.configure(
        processors=[*shared, _masked, render],
        logger_factory=lambda name="tidegate": _Lines(name, handler),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _masked, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


class _Console:
    """Renders for people; what others said (a target, an author) gives their terminal no orders."""

    def __init__(self) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=False)

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        plain = {k: plain_line(v) if isinstance(v, str) and k != "exception" else v for k, v in event.items()}
        return self._render(logger, method, plain)


def _json(event: object, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # half a surrogate pair, which is not UTF-8; json escapes it
        return json.dumps(event, default=repr)


def _masked(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = mask_all(value)
    return event
