"""Measure a whole read of a large org: `python -m tests.integrations.identity.measure_okta`. The fake is another process."""

from __future__ import annotations

import multiprocessing
import random
import resource
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from app.integrations.http import HttpClient
from app.integrations.identity.okta import Okta, Options
from app.integrations.secrets.protocol import Secret
from app.integrations.system import SystemClock
from tests.okta_fake import TOKEN, serving_okta
from tests.sources import tools

PEOPLE, GROUPS, MEMBERS = 10_000, 500, 60


def serve(pipe: Connection) -> None:
    """Fill an org and serve it until the other side hangs up."""
    chance = random.Random(1)
    with serving_okta(SystemClock()) as fake:
        fake.calls_a_minute = 10**9
        people = [fake.add_user(f"person-{n}@example.com") for n in range(PEOPLE)]
        for n in range(GROUPS):
            fake.add_group(f"group-{n}", chance.sample(people, chance.randint(1, 2 * MEMBERS - 1)))
        pipe.send(fake.url)
        pipe.recv()
        pipe.send(len(fake.requests))


def resident() -> float:
    """Return what this process holds now, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    """Read once to warm up, then once more, and say what it cost."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    client = HttpClient(connect_timeout=5.0, read_timeout=30.0)
    options = Options(url=ours.recv(), token="env:TOKEN")
    okta = Okta(options, tools(lambda _: Secret(TOKEN.encode()), clock=SystemClock(), pause=time.sleep, client=client))
    next(okta.read_all())
    before, begun, peak = resident(), time.monotonic(), 0.0
    people = groups = memberships = 0
    for page in okta.read_all():
        people += len(page.identities)
        groups += len(page.groups)
        memberships += sum(len(group.members) for group in page.groups)
        peak = max(peak, resident())
    took = time.monotonic() - begun
    ours.send("end")
    requests = ours.recv()
    process.join()
    sys.stdout.write(
        f"{people} people, {groups} groups, {memberships} memberships in {took:.1f} s; resident {before:.1f} MiB before, "
        f"{peak - before:.1f} MiB more at most; {requests} requests, each on a connection of its own\n"
    )


if __name__ == "__main__":
    main()
