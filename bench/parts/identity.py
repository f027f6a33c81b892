"""What it costs to ask who somebody is: a token, a SCIM look-up, the access map's answer, a whole reading of Okta."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from app.domain.access import SourceKind, SourceRule
from app.domain.event import Account
from app.integrations.http import HttpClient
from app.integrations.identity.okta import Okta, Options
from app.integrations.identity.protocol import Tools
from app.integrations.secrets.protocol import Secret
from app.integrations.system import SystemClock, pause
from app.pipeline.access_map import StoredAccessMap
from app.pipeline.services import Guard, Services, SourceBinding
from app.pipeline.sync import sync
from bench.effort import Effort
from bench.figures import summary
from bench.identity_cast import ALGORITHMS, Directory, issuer
from bench.scenes import Site
from tests.okta_fake import TOKEN, StillClock, serving_okta

PEOPLE, GROUPS, MEMBERS = 10_000, 500, 60
OKTA = SourceRule("okta", SourceKind.OKTA, timedelta(hours=1), timedelta(minutes=5), timedelta(hours=6))


def measure(effort: Effort) -> dict[str, Any]:
    """Measure each by itself, one thread, on a stack that does nothing else."""
    people = effort.of(PEOPLE, 1_000)
    with Site() as site:
        found = {"people": people, "tokens": _tokens(effort.of(5_000, 500)), "scim": _scim(site, people, effort.of(300, 50))}
        return found | {"okta": _okta(site, people, effort.of(GROUPS, 50)), "map": _answers(site, effort.of(500, 100))}


def _tokens(rounds: int) -> dict[str, dict[str, float]]:
    """Validate one token again and again, with the issuer's keys at hand."""
    found = {}
    for algorithm in ALGORITHMS:
        with issuer(algorithm) as (validate, token):
            validate(token)
            found[algorithm] = summary(_milliseconds(lambda v=validate, t=token: v(t), rounds))  # type: ignore[misc]
    return found


def _scim(site: Site, people: int, rounds: int) -> dict[str, float]:
    """Look people up by userName, as a provider does before it writes, through the application and without a network."""
    directory = Directory(site)
    directory.fill(people)
    numbers = iter(range(0, rounds * 7, 7))
    return summary(_milliseconds(lambda: directory.look_up(next(numbers) % people), rounds))


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


def _answers(site: Site, rounds: int) -> dict[str, float]:
    """Ask the access map whom an account stands for, among all the people that the former parts have made."""
    services = site.process.services
    people = StoredAccessMap(
        services.store, services.clock, services.ids, rules={"okta": OKTA, "file": SourceRule("file", SourceKind.FILE)}
    )
    people.people = services.guard().identity.people  # type: ignore[attr-defined]
    account = Account("gogs", str(site.alice[0]), "alice")
    return summary(_milliseconds(lambda: people.principal_of(account), rounds))


def _milliseconds(act: Callable[[], object], rounds: int) -> list[float]:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        took.append(1000 * (time.perf_counter() - began))
    return took


def _reading(services: Services, url: str) -> Services:
    tools = Tools(lambda _: Secret(TOKEN.encode()), SystemClock(), pause, HttpClient(connect_timeout=5, read_timeout=30))
    source = Okta(Options(url=url, token="env:TOKEN"), tools)  # noqa: S106 - a reference
    former = services.guard

    def guard() -> Guard:
        return replace(former(), sources={"okta": SourceBinding(OKTA, None, lambda: source)})

    return replace(services, guard=guard)


@contextmanager
def _org(people: int, groups: int) -> Iterator[str]:
    """Run the fake org in a process of its own, so that its time is not ours."""
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
    with serving_okta(StillClock()) as fake:
        fake.page_size = 200
        ids = [fake.add_user(f"person{n}@example.com") for n in range(people)]
        for number in range(groups):
            start = number * MEMBERS % people
            fake.add_group(f"group{number}", ids[start : start + MEMBERS])
        pipe.send(fake.url)
        pause(3600)


def medians(found: dict[str, Any]) -> dict[str, float]:
    """Give the one number of each measure that the page compares."""
    return {name: statistics.median([each["p50"]]) for name, each in found["tokens"].items()}
