"""Send notices by a signed POST, by the Standard Webhooks specification. The webhook-id is the notice's id, also in repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field

from app.domain.clock import Clock
from app.domain.errors import SecretUnavailable, SinkRefused, SinkUnavailable
from app.domain.notice import Notice
from app.domain.text import plain_line
from app.integrations.http import HttpAnswer, HttpClient, NotSent, Unanswered
from app.integrations.secrets.protocol import Secret
from app.integrations.sinks.protocol import LONGEST_TIMEOUT
from app.integrations.standard_webhooks import signed_headers

CONNECT_SECONDS = 5.0
LONGEST_DETAIL = 200
# These statuses are about the message itself (RFC 9110 §15.5); 410 by the specification. All others may come from a wrong
# address, proxy or secret, which people can correct.
NEVER = (400, 410, 413, 415, 422)


class Options(BaseModel):
    """A webhook sink's own keys."""

    model_config = ConfigDict(extra="forbid")
    url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")]
    secret: Annotated[str, Field(pattern=r"^(env|file):.+$")]
    timeout: float = Field(10.0, gt=0, le=LONGEST_TIMEOUT)


class Webhook:
    """A service that is told by HTTP (protocol: Sink)."""

    def __init__(self, options: Options, *, clock: Clock, secret: Callable[[str], Secret]) -> None:
        self._options = options
        self._clock = clock
        self._secret = secret
        self._client = HttpClient(connect_timeout=CONNECT_SECONDS, read_timeout=options.timeout)

    def emit(self, notice: Notice) -> None:
        """Post the notice; raises SinkUnavailable or SinkRefused."""
        body = _body(notice)
        try:
            signing = self._secret(self._options.secret).reveal()
            headers = signed_headers(notice.id, body, secret=signing, now=self._clock.now())
            answer = self._client.post(self._options.url, content=body, headers=headers)
        except NotSent as fault:
            raise SinkUnavailable(f"no connection ({fault})") from None
        except Unanswered as fault:
            raise SinkUnavailable(f"no answer ({fault})") from None
        except SecretUnavailable as fault:
            raise SinkUnavailable(str(fault)) from None
        _judge(answer)


def _body(notice: Notice) -> bytes:
    """Spell the notice as JSON; a repeat has the same bytes."""
    return orjson.dumps(
        {
            "type": notice.event.replace(":", "."),  # the specification's way of writing it
            "timestamp": notice.at,
            "data": {
                "id": notice.id,
                "event": notice.event,
                "subject": notice.subject,
                "text": notice.text,
                "detail": notice.detail,
            },
        }
    )


def _judge(answer: HttpAnswer) -> None:
    if 200 <= answer.status < 300:
        return
    line = answer.body.decode(errors="replace").strip().partition("\n")[0]
    detail = plain_line(f"HTTP {answer.status} {line[:LONGEST_DETAIL]}")
    raise SinkRefused(detail) if answer.status in NEVER else SinkUnavailable(detail)
