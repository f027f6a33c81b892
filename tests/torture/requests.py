"""From acts to the bytes that Gogs would send, in the recorded shapes; and what the gate must make of each. Pure.

`Request.expected` is the model of a single delivery. What several mean together is modelled in `check_*.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.torture.cast import ENVIRONMENTS, OWNER, PEOPLE, REPOSITORIES
from tests.torture.plan import Act, Plan

RECORDED = Path(__file__).resolve().parents[1] / "integrations" / "forges" / "gogs"
ZERO = "0" * 40
TEMPLATES = {"push": "001-push", "test": "043-push", "tag": "010-create", "branch": "003-create", "delete": "009-delete"}
WITHOUT_DEPLOYMENT = ("issues", "issue_comment", "pull_request", "fork", "delete")
WRONG_SECRET = b"not-the-secret"


@dataclass(frozen=True, slots=True)
class Expected:
    """What the gate must answer and do. `outcome`: refused, ignored (with `reason` in the text), or event.

    An event's `deploys` are (environment, ref, commit): what it may make one deployment of, with nobody else's.
    """

    outcome: str
    statuses: frozenset[int]
    reason: str = ""
    deploys: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is sent, perhaps several times. `delivery` is the forge's delivery id."""

    act: int
    delivery: str
    header: str
    body: bytes
    signature: str | None
    sender: str
    expected: Expected

    @property
    def digest(self) -> str:
        """Name the body."""
        return hashlib.sha256(self.body).hexdigest()


class Requests:
    """Makes each act's request, the same one every time."""

    def __init__(self, plan: Plan, shas: dict[str, str], secret: str) -> None:
        self._plan = plan
        self._acts = {act.index: act for act in plan.every}
        self._shas = shas  # "repository object" -> id
        self._secret = secret.encode()
        self._made: dict[int, Request] = {}

    def of(self, act: Act) -> Request:
        """Return the request of an act."""
        if act.index not in self._made:
            self._made[act.index] = self._repeated(act) if act.of is not None else self._first(act)
        return self._made[act.index]

    def id_of(self, act: Act, name: str | None) -> str:
        """Return the object id behind a planned name."""
        return ZERO if name is None else self._shas[f"{act.repository} {name}"]

    def commit_of(self, act: Act) -> str:
        """Return the commit that the act's ref is set to."""
        tag = self._plan.tags.get(act.after or "")
        return self.id_of(act, tag[1] if tag else act.after)

    def _first(self, act: Act) -> Request:
        header, payload, expected = self._meaning(act)
        body = json.dumps(payload, indent=2).encode()
        return Request(act.index, _delivery_id(self._plan.seed, act.index), header, body, self._sign(body), act.sender, expected)

    def _sign(self, body: bytes) -> str:
        return hmac.digest(self._secret, body, "sha256").hex()

    def _repeated(self, act: Act) -> Request:
        first = self.of(self._acts[act.of or 0])
        fresh = _delivery_id(self._plan.seed, act.index)
        match act.kind:
            case "duplicate":
                return first
            case "replay":
                return Request(act.index, fresh, first.header, first.body, first.signature, first.sender, first.expected)
            case "other-header":
                expected = _under_header(first, act.detail)
                return Request(act.index, fresh, act.detail, first.body, first.signature, first.sender, expected)
        refused = Expected("refused", frozenset({401}))
        body, signature = _forged(first, act.detail)
        return Request(act.index, fresh, first.header, body, signature, first.sender, refused)

    def _meaning(self, act: Act) -> tuple[str, dict[str, Any], Expected]:
        match act.kind:
            case "noise":
                header = act.detail.partition("-")[2]
                return header, self._peopled(_recorded(act.detail), act), _ignored("lead" if header != "pull_request" else "")
            case "branch-created":
                payload = {**_recorded(TEMPLATES["branch"]), "ref": act.ref.removeprefix("refs/heads/")}
                return "create", self._peopled(payload, act), _ignored("its push carries it")
            case "delete":
                return self._delete(act)
            case "tag" | "annotated" | "tag-move":
                payload = {**_recorded(TEMPLATES["tag"]), "ref": act.ref.removeprefix("refs/tags/")}
                payload["sha"] = self.id_of(act, act.after)
                return "create", self._peopled(payload, act), self._event(act)
            case "unknown-repository":
                payload = {**_recorded(TEMPLATES["push"]), "ref": act.ref, "before": ZERO, "after": act.detail}
                return "push", self._peopled(payload, act), _ignored("no environment deploys", 202)
            case "test":
                payload = {**_recorded(TEMPLATES["test"]), "ref": act.ref}
                payload |= {"before": self.id_of(act, act.before), "after": self.id_of(act, act.after)}
                return "push", self._peopled(payload, act), _ignored("test delivery")
        payload = {**_recorded(TEMPLATES["push"]), "ref": act.ref}
        payload |= {"before": self.id_of(act, act.before), "after": self.id_of(act, act.after)}
        return "push", self._peopled(payload, act), self._event(act)

    def _delete(self, act: Act) -> tuple[str, dict[str, Any], Expected]:
        """A deleted ref: Gogs says `delete`; every other time it is the push to nowhere that other forges send."""
        if act.index % 2:
            payload = {**_recorded(TEMPLATES["delete"]), "ref": act.ref.split("/", 2)[2]}
            return "delete", self._peopled(payload, act), _ignored("delete events lead to no deployment")
        payload = {**_recorded(TEMPLATES["push"]), "ref": act.ref, "before": self.id_of(act, act.before), "after": ZERO}
        return "push", self._peopled(payload, act), _ignored("a deleted ref deploys nothing")

    def _event(self, act: Act) -> Expected:
        takers = [e.name for e in ENVIRONMENTS.values() if e.repository == act.repository and e.takes(act.ref)]
        if not takers:
            return _ignored("deploys a", 202)
        commit = self.commit_of(act)
        return Expected("event", frozenset({202}), "was already planned", tuple((name, act.ref, commit) for name in takers))

    def _peopled(self, payload: dict[str, Any], act: Act) -> dict[str, Any]:
        """Put this run's repository and people where the recorded ones stand."""
        name = act.repository or "elsewhere/unknown"
        repository = dict(payload["repository"], id=REPOSITORIES.get(name, 99), full_name=name, name=name.partition("/")[2])
        owner = OWNER if act.repository else ("elsewhere", 98)
        repository["owner"] = dict(repository["owner"], id=owner[1], username=owner[0], login=owner[0])
        people: dict[str, Any] = {key: _user(getattr(act, key)) for key in ("sender", "pusher") if key in payload}
        return {**payload, "repository": repository, **people}


def _user(login: str) -> dict[str, Any]:
    person = PEOPLE[login]
    email = f"{login}@example.com"
    return {"id": person.id, "username": login, "login": login, "full_name": login, "email": email, "avatar_url": ""}


def _ignored(reason: str, status: int = 200) -> Expected:
    """Expect that nothing follows: told at once (200), or found out by the planner (202)."""
    return Expected("ignored", frozenset({status}), reason)


def _under_header(first: Request, header: str) -> Expected:
    """The header is not signed, so the body must be what it says."""
    if header == first.header:
        return first.expected
    if header in WITHOUT_DEPLOYMENT and first.header in WITHOUT_DEPLOYMENT:
        return _ignored("")
    return Expected("refused", frozenset({400}))


def _forged(first: Request, how: str) -> tuple[bytes, str | None]:
    match how:
        case "wrong secret":
            return first.body, hmac.digest(WRONG_SECRET, first.body, "sha256").hex()
        case "changed body":
            return first.body.replace(b'"ref"', b'"ref" ', 1) + b" ", first.signature
        case "empty signature":
            return first.body, ""
    return first.body, None


def _delivery_id(seed: int, index: int) -> str:
    return str(uuid.UUID(bytes=hashlib.md5(f"{seed}:{index}".encode()).digest(), version=4))


@cache
def _recorded_text(name: str) -> str:
    return (RECORDED / f"{name}.body").read_text()


def _recorded(name: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(_recorded_text(name))
    return payload
