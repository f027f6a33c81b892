"""Deploy by a signed POST with a short-lived bearer token, by the Standard Webhooks specification.

The dispatch id is the webhook-id and the Idempotency-Key: the receiving service must act only once for one id.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.domain.clock import Clock
from app.domain.deployment import Dispatch, Progress
from app.domain.errors import SecretUnavailable, TargetFailed, TargetUnavailable
from app.integrations.http import HttpAnswer, HttpClient, NotSent, Unanswered
from app.integrations.secrets.protocol import Secret
from app.integrations.standard_webhooks import signed_headers
from app.integrations.targets.protocol import Order, Report
from app.integrations.tokens.protocol import Token

CONNECT_SECONDS = 5.0
LONGEST_DETAIL = 200
NOT_TAKEN = (429, 503)  # by these, the service says that it did not take the order


class Options(BaseModel):
    """A webhook target's own keys."""

    model_config = ConfigDict(extra="forbid")
    url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")]
    secret: Annotated[str, Field(pattern=r"^(env|file):.+$")]
    timeout: float = Field(10.0, gt=0, le=60)
    idempotent: bool = False
    allow_plaintext: bool = False  # silences a warning (`app/config/doubts.py`)


class Webhook:
    """A service that deploys on request (protocol: Target)."""

    def __init__(self, name: str, options: Options, *, state_dir: Path, clock: Clock, secret: Callable[[str], Secret]) -> None:
        self._options = options
        self._clock = clock
        self._secret = secret
        self._client = HttpClient(connect_timeout=CONNECT_SECONDS, read_timeout=options.timeout)

    def start(self, order: Order, token: Token) -> Report:
        """Post the order; raises TargetUnavailable (surely not taken) or TargetFailed."""
        body = _body(order, int(self._clock.now().timestamp()))
        try:
            answer = self._client.post(self._options.url, content=body, headers=self._headers(order, body, token))
        except NotSent as fault:
            raise TargetUnavailable(f"no connection ({fault})") from None
        except Unanswered as fault:
            raise self._no_answer(str(fault)) from None
        except SecretUnavailable as fault:
            raise TargetFailed(str(fault)) from None
        return _report(answer, token)

    def poll(self, dispatch: Dispatch) -> Report:
        """Return UNKNOWN: a webhook cannot be asked."""
        return Report(Progress.UNKNOWN)

    def _headers(self, order: Order, body: bytes, token: Token) -> dict[str, str]:
        signing = self._secret(self._options.secret).reveal()
        return {
            **signed_headers(order.dispatch.id, body, secret=signing, now=self._clock.now()),
            "idempotency-key": order.dispatch.id,
            "authorization": f"Bearer {token.reveal()}",
        }

    def _no_answer(self, fault: str) -> TargetUnavailable | TargetFailed:
        """Return the error for a missing answer. A new try is safe only if the service acts once for one id."""
        if self._options.idempotent:
            return TargetUnavailable(f"no answer ({fault})")
        return TargetFailed(f"no answer within {self._options.timeout:g} s ({fault}); it may or may not have started")


def _body(order: Order, now: int) -> bytes:
    data = {
        "dispatch_id": order.dispatch.id,
        "deployment_id": order.dispatch.deployment_id,
        "environment": order.dispatch.environment,
        "target": order.dispatch.target,
        "repository": order.repository,
        "ref": order.ref,
        "sha": order.sha,
        "is_rollback": order.is_rollback,
    }
    return json.dumps({"type": "deployment.dispatched", "timestamp": now, "data": data}).encode()


def _report(answer: HttpAnswer, token: Token) -> Report:
    if 200 <= answer.status < 300:
        return Report(Progress.SUCCEEDED, f"HTTP {answer.status}")
    line = answer.body.decode(errors="replace").strip().partition("\n")[0]
    detail = f"HTTP {answer.status} {line.replace(token.reveal(), '***')[:LONGEST_DETAIL]}".strip()
    if answer.status in NOT_TAKEN:
        raise TargetUnavailable(detail)
    raise TargetFailed(detail)
