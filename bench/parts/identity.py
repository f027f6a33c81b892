"""What it costs to ask who somebody is: a token, a SCIM look-up, the access map's answer, a whole reading of Okta."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from joserfc.jwk import ECKey, RSAKey

from app.domain.access import SourceKind, SourceRule
from app.domain.event import Account
from app.integrations.http import HttpClient
from app.integrations.identity.okta.source import Okta, Options
from app.integrations.identity.protocol import Tools
from app.integrations.secrets.protocol import Secret
from app.integrations.system import SystemClock, pause
from app.pipeline.people.sync import sync
from app.pipeline.ports.services import Guard, Services, SourceBinding
from bench.directory import Directory
from bench.effort import Effort
from bench.figures import summary
from bench.scenes import Site
from tests.integrations.identity.oidc.cast import EC, RSA, a_validator, claims_of, issuing, signed
from tests.okta_fake import TOKEN, serving_okta

PEOPLE, GROUPS, MEMBERS = 10_000, 500, 60
OKTA = SourceRule("okta", SourceKind.OKTA, timedelta(hours=1), timedelta(minutes=5), timedelta(hours=6))
ALGORITHMS: dict[str, RSAKey | ECKey] = {"RS256": RSA, "ES256": EC}


def measure(effort: Effort) -> dict[str, Any]:
    """Measure each by itself, on one thread, on a stack that does nothing else."""
    people = effort.of(PEOPLE, 1_000)
    found: dict[str, Any] = {"people": people, "tokens": _tokens(effort.of(5_000, 500))}
    with Site() as site:
        directory = Directory(site)
        directory.fill(people)
        found["scim"] = summary(_milliseconds(directory.look_up, effort.of(500, 100)))
        found["okta"] = _okta(site, people, effort.of(GROUPS, 50))
        account = Account("gogs", str(site.alice[0]), "alice")
        access_map = site.process.services.guard().identity
        found["map"] = summary(_milliseconds(lambda _: access_map.principal_of(account), effort.of(1_000, 100)))
    return found


def _tokens(rounds: int) -> dict[str, dict[str, float]]:
    """Validate one token again and again, with the issuer's keys at hand."""
    found = {}
    with issuing() as issuer:
        validator = a_validator(issuer)
        for name, key in ALGORITHMS.items():
            token = signed(claims_of("oidc", issuer), key, alg=name)
            validator.validate(token)
            found[name] = summary(_milliseconds(lambda _, token=token: validator.validate(token), rounds))  # type: ignore[misc]
    return found


def _okta(site: Site, people: int, groups: int) -> dict[str, float]:
    """Read an org whole and write it down, then again where nothing has changed."""
    with _org(people, groups) as url:
        services = _reading(site.process.services, url)
        took = []
        for _ in range(2):
            began = time.monotonic()
            reading = sync(services, "okta", force=True)
            took.append(time.monotonic() - began)
    return {"first_s": took[0], "again_s": took[1], "identities": reading.identities, "groups": reading.groups}


def _milliseconds(act: Callable[[int], object], rounds: int) -> list[float]:
    took = []
    for number in range(rounds):
        began = time.perf_counter()
        act(number)
        took.append(1000 * (time.perf_counter() - began))
    return took


def _reading(services: Services, url: str) -> Services:
    """Have these services read the org at `url`, and nobody else."""
    client = HttpClient(connect_timeout=5, read_timeout=30)
    tools = Tools(lambda _: Secret(TOKEN.encode()), SystemClock(), pause, client)
    source = Okta(Options(url=url, token="env:TOKEN"), tools)  # noqa: S106 - a reference
    former = services.guard

    def guard() -> Guard:
        return replace(former(), sources={"okta": SourceBinding(OKTA, lambda: source)})

    return replace(services, guard=guard)


@contextmanager
def _org(people: int, groups: int) -> Iterator[str]:
    """Run the stand-in of an org in a process of its own, so that its time is not ours."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, people, groups), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, people: int, groups: int) -> None:
    with serving_okta(SystemClock()) as fake:
        fake.calls_a_minute = 10**9
        ids = [fake.add_user(f"person{n}@example.com") for n in range(people)]
        for number in range(groups):
            start = number * MEMBERS % people
            fake.add_group(f"group{number}", ids[start : start + MEMBERS])
        pipe.send(fake.url)
        pause(3600)
