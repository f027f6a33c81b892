"""Real processes under pressure. The sweeper's patience is an hour here: whatever ends was not recovered by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection as Broker
from sqlalchemy import Engine, create_engine, text

from app.domain.deployment import Stage, State
from app.stack.postgres import OWNER
from app.stack.scene import Scene
from app.stack.supervisor import Supervisor
from app.store.queue.wakes import QUEUE_NAMES
from app.store.reads import Reads
from tests.e2e.scenes import STARTS_WITHIN, PatientScene
from tests.e2e.test_durability import someone_stands, standing_at
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)  # processes start and stop here, which takes its time on a busy machine

WINDOW = 4
SLOW = 10  # environments whose target does not answer: more than `deployer` has threads

ENVIRONMENT = """
[[environments]]
name = "{name}"
repository = "gogs:acme/shop"
deploys = ["branch:{name}"]
targets = ["{target}"]
audience = "https://shop.example/{name}"
"""
DIRECTORY = '\n[targets.{name}]\nkind = "directory"\nzone = "here"\npath = "{folder}/sites/{name}"\n'
WEBHOOK = """
[targets.{name}]
kind = "webhook"
zone = "here"
url = "http://127.0.0.1:{port}/{name}"
secret = "env:DEMO_WEBHOOK_SECRET"
timeout = 60
"""


class Service:
    """A service that deploys on request, and answers only while its door is open; it counts each dispatch's starts."""

    def __init__(self) -> None:
        self.door = threading.Event()
        self.starts: Counter[str] = Counter()
        self.inside = 0
        counting = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                with counting:
                    service.starts[self.headers["webhook-id"]] += 1
                    service.inside += 1
                service.door.wait(120)
                with counting:
                    service.inside -= 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.door.set()
    service.server.shutdown()


@pytest.fixture(scope="module")
def patient(service: Service) -> Iterator[Scene]:
    """A stack with a quiet environment and ten slow ones beside `production`."""
    settings = {"TIDEGATE_SWEEP_AFTER": "3600", "TIDEGATE_LEASE_SECONDS": "3", "TIDEGATE_DRAIN_WITHIN": "20"}
    with PatientScene(**settings) as scene:
        parts = [DIRECTORY.format(name="quiet", folder=scene.folder), ENVIRONMENT.format(name="quiet", target="quiet")]
        for n in range(SLOW):
            parts += [WEBHOOK.format(name=f"slow{n}", port=service.server.server_address[1])]
            parts += [ENVIRONMENT.format(name=f"slow{n}", target=f"slow{n}")]
        with (scene.folder / "tidegate.toml").open("a") as file:
            file.write("".join(parts))
        yield scene


@pytest.fixture(scope="module")
def supervisor(patient: Scene) -> Supervisor:
    assert patient.stack.supervisor is not None
    return patient.stack.supervisor


@pytest.fixture(scope="module")
def owner(patient: Scene) -> Iterator[Engine]:
    assert patient.stack.postgres is not None
    engine = create_engine(patient.stack.postgres.url(OWNER), pool_pre_ping=True)
    yield engine
    engine.dispose()


@pytest.fixture
def reads(owner: Engine) -> Reads:
    return Reads(owner)


def pushed(scene: Scene, branch: str, message: str) -> dict[str, Any]:
    """Commit, and return the push of it to `branch`."""
    push = scene.commit(message, account=scene.alice)
    scene.branch(branch)
    return push | {"ref": f"refs/heads/{branch}"}


def has_ended(reads: Reads, deployment_id: str) -> bool:
    return reads.deployment(deployment_id).deployment.has_ended


def all_ended(owner: Engine) -> bool:
    query = "SELECT count(*) FROM deployments WHERE state NOT IN ('succeeded', 'superseded', 'denied', 'failed')"
    with owner.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one() == 0)


def queued(scene: Scene) -> int:
    """Count the messages in all queues."""
    with Broker(scene.env["TIDEGATE_REDIS_URL"]) as broker:
        client: Any = broker.default_channel.client  # type: ignore[attr-defined]  # Redis's channel has one
        return sum(int(client.llen(name)) for name in QUEUE_NAMES)


def test_a_flood_leaves_the_queue_short_and_another_push_goes_past_it(patient: Scene, owner: Engine, reads: Reads) -> None:
    for n in range(60):
        patient.deliver(patient.commit(f"flood {n}", account=patient.alice))
    quiet = patient.deployment_of(patient.deliver(pushed(patient, "quiet", "quiet")))
    longest = 0
    while not has_ended(reads, quiet):
        longest = max(longest, queued(patient))
        time.sleep(0.05)
    assert longest <= 4 * WINDOW
    until(lambda: all_ended(owner), "the flood's end", STARTS_WITHIN)
    assert reads.deployment(quiet).deployment.state is State.SUCCEEDED
    flood = [d for d in reads.deployments(100) if d.environment == "production"]
    assert len(flood) == 60
    newest = max(flood, key=lambda d: d.position)
    assert newest.state is State.SUCCEEDED
    assert {d.state for d in flood} <= {State.SUCCEEDED, State.SUPERSEDED}


def test_targets_that_do_not_answer_hold_up_nobody_and_a_worker_that_ends_meanwhile_starts_nothing_twice(
    patient: Scene, owner: Engine, reads: Reads, service: Service, supervisor: Supervisor
) -> None:
    blocked = [patient.deployment_of(patient.deliver(pushed(patient, f"slow{n}", f"slow {n}"))) for n in range(SLOW)]
    until(lambda: service.inside == SLOW, "every slow target is at it")
    for name in ("production", "quiet"):
        push = patient.commit("past them", account=patient.alice) if name == "production" else pushed(patient, name, "past")
        deployment_id = patient.deployment_of(patient.deliver(push))
        until(partial(has_ended, reads, deployment_id), f"{name} deploys though {SLOW} targets do not answer", 45)

    pid = supervisor.pid("slow")
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    time.sleep(2)
    assert supervisor.pid("slow") == pid  # it waits for what it has begun
    service.door.set()
    until(lambda: all(has_ended(reads, d) for d in blocked), "the slow ones end", STARTS_WITHIN)
    assert {reads.deployment(d).deployment.state for d in blocked} == {State.SUCCEEDED}
    assert set(service.starts.values()) == {1}
    until(lambda: supervisor.pid("slow") not in (None, pid), "the slow pool is back", STARTS_WITHIN)


def test_a_blocked_start_that_outlasts_the_limit_is_killed_and_taken_over_after_its_lease(
    patient: Scene, owner: Engine, reads: Reads, service: Service, supervisor: Supervisor
) -> None:
    service.door.clear()
    service.starts.clear()
    deployment_id = patient.deployment_of(patient.deliver(pushed(patient, "slow0", "blocked for long")))
    until(lambda: service.inside == 1, "the target is at it")
    old = supervisor.pid("slow")
    supervisor.replace("slow", drain_within=2)
    assert supervisor.pid("slow") not in (None, old)
    service.door.set()
    time.sleep(3.5)  # the lease
    with owner.begin() as connection:  # the sweeper's hour is over
        connection.execute(text("UPDATE deployments SET due_at = now() WHERE due_at IS NOT NULL"))
    until(lambda: has_ended(reads, deployment_id), "another one takes it over", STARTS_WITHIN)
    (row,) = reads.deployment(deployment_id).dispatches
    assert set(service.starts) == {row.dispatch.id}  # under the same key; the service knows it again
    assert row.dispatch.attempts == 2


@pytest.mark.parametrize("stage", [Stage.CHECK_PERMISSION, Stage.DISPATCH_DEPLOY])
def test_a_worker_asked_to_end_inside_a_stage_finishes_it_and_another_goes_on(
    patient: Scene, owner: Engine, reads: Reads, supervisor: Supervisor, stage: Stage
) -> None:
    name = "worker" if stage is Stage.CHECK_PERMISSION else "deployer"
    with standing_at(owner, stage) as gate:
        deployment_id = patient.push(f"asked to end in {stage}", account=patient.alice)
        until(lambda: someone_stands(gate), f"a worker inside {stage}")
        pid = supervisor.pid(name)
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        later = patient.deliver(pushed(patient, "quiet", f"while {name} ends in {stage}"))
        time.sleep(1)
        assert supervisor.pid(name) == pid
    until(lambda: has_ended(reads, deployment_id), "the deployment", STARTS_WITHIN)
    assert reads.deployment(deployment_id).deployment.state is State.SUCCEEDED
    second = patient.deployment_of(later)
    until(lambda: has_ended(reads, second), "what came meanwhile", STARTS_WITHIN)


def test_everything_is_replaced_under_a_steady_stream_and_nothing_is_refused_lost_or_late(
    patient: Scene, owner: Engine, supervisor: Supervisor
) -> None:
    before = {name: supervisor.pid(name) for name in supervisor.names()}
    said: list[str] = []
    restarting = patient.stack.restart(said.append)
    accepted: list[str] = []
    while restarting.is_alive():
        accepted.append(patient.deliver(patient.commit(f"stream {len(accepted)}", account=patient.alice)))  # 202, or it raises
        time.sleep(0.05)
    assert said[-1] == "restarted", said
    # The last one is launched by a thread of its own, so it may not run yet.
    until(lambda: all(supervisor.pid(name) not in (None, before[name]) for name in before), "every process is another one")
    accepted.append(patient.deliver(patient.commit("after it", account=patient.alice)))
    until(lambda: len(planned(owner, accepted)) == len(accepted), "all are planned", STARTS_WITHIN)
    until(lambda: all_ended(owner), "all have ended", STARTS_WITHIN)
    states = planned(owner, accepted)
    assert states[accepted[-1]] == "succeeded"
    assert set(states.values()) <= {"succeeded", "superseded"}


def planned(owner: Engine, deliveries: list[str]) -> dict[str, str]:
    """Tell the states of what came of these deliveries."""
    query = "SELECT delivery_id::text, state FROM deployments WHERE delivery_id = ANY(CAST(:ids AS uuid[]))"
    with owner.connect() as connection:
        rows = connection.execute(text(query), {"ids": deliveries}).all()
    return {row[0]: row[1] for row in rows}


def test_restart_says_where_nothing_runs(folder: Path) -> None:
    tidegate = str(Path(sys.executable).parent / "tidegate")
    env = os.environ | {"TIDEGATE_STATE_DIR": str(folder / "none")}
    done = subprocess.run([tidegate, "restart"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no `tidegate up` runs on" in done.stderr


STUCK = 10  # repositories whose git hangs
STUCK_SITE = """
[[environments]]
name = "stuck{n}"
repository = "gogs:acme/stuck{n}"
deploys = ["branch:*"]
targets = ["quiet"]
audience = "https://shop.example/stuck{n}"
"""


@pytest.fixture
def stuck(patient: Scene) -> Iterator[list[dict[str, Any]]]:
    """Pushes to repositories at which git hangs: it waits for the other end of a pipe in place of HEAD."""
    folders = [patient.folder / "forge" / "acme" / f"stuck{n}.git" for n in range(STUCK)]
    for folder in folders:
        for part in ("objects", "refs"):
            (folder / part).mkdir(parents=True)
        os.mkfifo(folder / "HEAD")
    with (patient.folder / "tidegate.toml").open("a") as file:
        file.write("".join(STUCK_SITE.format(n=n) for n in range(STUCK)))
    push = patient.commit("as if pushed to others", account=patient.alice)
    repositories = [
        push["repository"] | {"id": 100 + n, "name": f"stuck{n}", "full_name": f"acme/stuck{n}"} for n in range(STUCK)
    ]
    yield [push | {"repository": each, "ref": f"refs/heads/b{n}"} for each in repositories for n in range(WINDOW)]
    for folder in folders:
        (folder / "HEAD").rename(folder / "gone")  # whoever comes later fails at once
        with os.fdopen(os.open(folder / "gone", os.O_RDWR), "wb") as pipe:  # whoever waits reads what is no ref
            pipe.write(b"no\n" * 100)


def hanging(patient: Scene) -> int:
    """Count the git processes that hang at these repositories."""
    commands = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return sum(b"git-upload-pack" in command and f"{patient.folder}/forge/acme/stuck".encode() in command for command in commands)


def test_invariant_15_ten_repositories_at_which_git_hangs_hold_up_no_other(
    patient: Scene, reads: Reads, stuck: list[dict[str, Any]]
) -> None:
    for push in stuck:
        patient.deliver(push)
    until(lambda: hanging(patient) >= STUCK, "git hangs at each of them", 45)
    began = time.monotonic()
    for n in range(3):
        passing = patient.push(f"past what hangs {n}", account=patient.alice)
        until(partial(has_ended, reads, passing), f"push {n} passes though git hangs at {STUCK} repositories", 40)
        assert reads.deployment(passing).deployment.state is State.SUCCEEDED
    assert time.monotonic() - began < 50, "it did not wait until git's minute was over"
    waiting = [d for d in reads.deployments(100) if d.environment.startswith("stuck")]
    assert len(waiting) == len(stuck) and {d.state for d in waiting} == {State.PLANNED}
