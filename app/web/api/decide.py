"""`POST /api/v1/decide`: a forge's instance asks whether it may take a push. Next: `pipeline/ask/decide_push.py`.

The secret proves the instance, not a person: what the instance says about accounts and commits is believed as the forge's word.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from app.answers.push import push_answer, push_text
from app.bootstrap import Process
from app.domain.errors import BadToken, RateLimited, SecretUnavailable, TooLarge, UnsupportedContent
from app.domain.push import PushRequest
from app.domain.rate import Buckets
from app.domain.text import plain_line
from app.integrations.forges.pre_receive import CURRENT_VERSION, INSTALL_ANEW
from app.pipeline.ask.decide_push import decide_push
from app.pipeline.ask.vouch import vouched
from app.pipeline.people.hear_hint import is_authentic
from app.web.api.decide_known import KnownQuestion, read_known
from app.web.api.decide_parse import read_form, read_json
from app.web.people.refusals import know
from app.web.wire.origin import origin_of

log = logging.getLogger(__name__)

LARGEST = 8 * 1024 * 1024
PUSHES_A_SECOND, PUSHES_AT_ONCE = 5.0, 100.0  # of one account
UNKNOWN_A_SECOND, UNKNOWN_AT_ONCE = 2.0, 60.0  # of one address
_READERS = {"application/json": read_json, "application/x-www-form-urlencoded": read_form}


@dataclass(slots=True)
class Instances:
    """Recognises instances by their secrets, and limits how often they may ask."""

    process: Process
    _pushes: Buckets = field(default_factory=lambda: Buckets(PUSHES_A_SECOND, PUSHES_AT_ONCE))
    _questions: Buckets = field(default_factory=lambda: Buckets(PUSHES_A_SECOND, PUSHES_AT_ONCE))
    _unknown: Buckets = field(default_factory=lambda: Buckets(UNKNOWN_A_SECOND, UNKNOWN_AT_ONCE))

    def proven_forges(self) -> frozenset[str]:
        """Return the forges whose secret was sent, before anything else is read; raises BadToken or SecretUnavailable.

        The secret is checked before any limit, so a guesser does not shut out others who share the address.
        """
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        forges, unread = set(), None
        for name, forge in self.process.services.guard().forges.items():
            try:
                secrets = forge.decide_secrets() if forge.decide_secrets is not None else []
            except SecretUnavailable as fault:
                unread = fault
                continue
            if any([is_authentic(sent.strip(), secret) for secret in secrets]) and scheme.lower() == "bearer":
                forges.add(name)
        if not forges:
            self._refuse(unread)
        know(f"forge:{','.join(sorted(forges))}")
        return frozenset(forges)

    def _refuse(self, unread: SecretUnavailable | None) -> None:
        address = origin_of(request.remote_addr or "", request.headers, self.process.settings).address
        _limit(self._unknown.take(address, time.monotonic()), "too many requests without a valid secret")
        raise unread or BadToken("the Authorization header is missing, or is not one of the forge's decide_secrets")

    def admit(self, push: PushRequest, proven_forges: frozenset[str]) -> None:
        """Make sure that the instance asks about itself, and that no account makes it ask too often."""
        self._admit(push.repository.forge, push.account.key, proven_forges, self._pushes)
        if push.check_version is not None and push.check_version < CURRENT_VERSION:
            place = f"{push.repository.forge}:{push.repository.id} ({push.repository.key})"
            log.warning("the check in %s is version %d; %s", place, push.check_version, INSTALL_ANEW)

    def admit_question(self, question: KnownQuestion, proven_forges: frozenset[str]) -> None:
        """Make sure of the same for a question about commits."""
        self._admit(question.forge, f"{question.forge}:{question.account_id}", proven_forges, self._questions)

    def _admit(self, forge: str, account: str, proven_forges: frozenset[str], buckets: Buckets) -> None:
        try:
            if forge not in self.process.services.guard().forges:
                raise BadToken(f"tidegate.toml has no forge {plain_line(forge, 100)!r}: give its name under [forges]")
            if forge not in proven_forges:
                raise BadToken("the secret is not one of this forge's decide_secrets, but another's")
            _limit(buckets.take(account, time.monotonic()), "this account pushes more often than it may")
        except (BadToken, RateLimited) as refusal:
            log.warning("refused forge %s, account %s: %s", plain_line(forge, 100), plain_line(account, 100), refusal)
            raise


def make_blueprint(process: Process) -> Blueprint:
    """Make the one route."""
    blueprint = Blueprint("decide", __name__)
    instances = Instances(process)

    @blueprint.post("/api/v1/decide")
    def decide() -> Response:
        proven_forges = instances.proven_forges()
        push = _read()
        instances.admit(push, proven_forges)
        answer = decide_push(process.services, push)
        if request.accept_mimetypes.best == "text/plain":
            return _text(push_text(answer, push.check_version))
        return jsonify(push_answer(answer).model_dump())

    @blueprint.post("/api/v1/decide/known")
    def known() -> Response:
        proven_forges = instances.proven_forges()
        question = read_known(_body())
        instances.admit_question(question, proven_forges)
        shas = vouched(process.services, question.forge, question.repository_id, question.graph)
        return _text("\n".join(["known", *shas, "=end"]))

    return blueprint


def _text(text: str) -> Response:
    return Response(text, content_type="text/plain; charset=utf-8")


def _read() -> PushRequest:
    reader = _READERS.get(request.mimetype)
    if reader is None:
        raise UnsupportedContent("the body must be application/json or application/x-www-form-urlencoded")
    return reader(_body())


def _body() -> bytes:
    request.max_content_length = LARGEST + 1  # werkzeug cuts a chunked body off at its limit without a word
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise TooLarge(f"the request is larger than {LARGEST} bytes") from None
    if len(body) > LARGEST:
        raise TooLarge(f"the request is larger than {LARGEST} bytes")
    return body


def _limit(wait: float, why: str) -> None:
    if wait:
        raise RateLimited(why, retry_after=wait)
