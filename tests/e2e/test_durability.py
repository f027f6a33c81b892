"""Real processes, really killed: whatever was accepted ends, nothing is started twice, and the trail is whole."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from app.domain.deployment import STAGES, Deployment, Stage, State
from app.stack.scene import Scene
from app.store.reads import Reads
from tests.waiting import until

GATE = 4711  # the advisory lock at which a stage stands until the test lets it go
WHOLE_TRAIL = ["planned", "identified", "permitted", "granted", "dispatching", "dispatched", "succeeded"]


def ended(reads: Reads, deployment_id: str) -> Deployment:
    """Wait for a deployment's end."""
    until(lambda: reads.deployment(deployment_id).deployment.has_ended, f"the end of {deployment_id}")
    return reads.deployment(deployment_id).deployment


def assert_done_once(scene: Scene, reads: Reads, deployment_id: str) -> None:
    """Check that it was deployed, by one dispatch, and that its trail is whole, in order and without repetition."""
    deployment = ended(reads, deployment_id)
    assert deployment.state is State.SUCCEEDED, deployment.reason
    assert [e.action.partition(":")[2] for e in reads.audit(deployment_id=deployment_id)] == WHOLE_TRAIL
    view = reads.deployment(deployment_id)
    assert [s.stage for s in view.stages] == list(STAGES)
    (row,) = view.dispatches
    markers = list((scene.folder / "site" / ".tidegate" / "dispatches").glob("*.json"))
    mine = [m for m in markers if json.loads(m.read_text())["sha"] == deployment.sha]
    assert [m.stem for m in mine] == [row.dispatch.id]
    assert scene.deployed() == deployment.sha


@contextmanager
def standing_at(owner: Engine, stage: Stage) -> Iterator[Connection]:
    """Make workers stand still inside `stage`, after its work and before its commit, until the block ends."""
    with owner.begin() as connection:
        connection.execute(
            text(
                "CREATE OR REPLACE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"IF NEW.stage = '{stage}' THEN PERFORM pg_advisory_xact_lock_shared({GATE}); END IF; RETURN NEW; END $$"
            )
        )
        connection.execute(text("DROP TRIGGER IF EXISTS stand_still ON stages"))
        connection.execute(text("CREATE TRIGGER stand_still BEFORE INSERT ON stages FOR EACH ROW EXECUTE FUNCTION stand_still()"))
    gate = owner.connect()
    gate.execute(text(f"SELECT pg_advisory_lock({GATE})"))
    gate.commit()
    try:
        yield gate
    finally:
        gate.execute(text(f"SELECT pg_advisory_unlock({GATE})"))
        gate.commit()
        gate.close()
        with owner.begin() as connection:
            connection.execute(text("DROP TRIGGER stand_still ON stages"))


def someone_stands(gate: Connection) -> bool:
    """Tell whether a worker waits at the gate."""
    waiting = gate.execute(
        text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :id AND NOT granted"), {"id": GATE}
    ).scalar_one()
    gate.commit()
    return bool(waiting)


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_killed_inside_a_stage_delays_and_repeats_nothing(
    scene: Scene, owner: Engine, reads: Reads, stage: Stage
) -> None:
    supervisor = scene.stack.supervisor
    assert supervisor is not None
    killed = {Stage.DISPATCH_DEPLOY: "deployer", Stage.CONFIRM_DEPLOY: "slow"}.get(stage, "worker")  # it has a health check
    with standing_at(owner, stage) as gate:
        deployment_id = scene.push(f"killed in {stage}", account=scene.alice)
        until(lambda: someone_stands(gate), f"a worker inside {stage}")
        supervisor.kill(killed)
    assert_done_once(scene, reads, deployment_id)


def test_the_receiver_killed_after_the_commit_and_before_the_wake_loses_nothing(scene: Scene, reads: Reads) -> None:
    """Without Redis no wake can be sent; the receiver answers all the same, and dies before it could try again."""
    supervisor, redis = scene.stack.supervisor, scene.stack.redis
    assert supervisor is not None and redis is not None
    redis.kill()
    delivery_id = scene.deliver(scene.commit("no wake was sent", account=scene.alice))
    supervisor.kill("web")
    redis.wipe()
    redis.start()
    until(lambda: bool(reads.deployments(1, delivery_id=delivery_id)), "the sweeper finds the delivery")
    assert_done_once(scene, reads, scene.deployment_of(delivery_id))
    until(lambda: supervisor.pid("web") is not None, "the receiver is back")
    scene.until_ready()


def test_redis_killed_and_wiped_in_the_middle_costs_time_only(scene: Scene, owner: Engine, reads: Reads) -> None:
    redis = scene.stack.redis
    assert redis is not None
    with standing_at(owner, Stage.CHECK_PERMISSION) as gate:
        deployment_id = scene.push("redis dies", account=scene.alice)
        until(lambda: someone_stands(gate), "a worker inside the stage")
        redis.kill()
        redis.wipe()
        redis.start()
    assert_done_once(scene, reads, deployment_id)


def test_postgres_killed_in_the_middle_loses_nothing_that_was_accepted(scene: Scene, reads: Reads) -> None:
    postgres = scene.stack.postgres
    assert postgres is not None
    accepted = [scene.deliver(scene.commit(f"postgres dies {n}", account=scene.alice)) for n in range(3)]
    postgres.kill()
    postgres.start()
    scene.until_ready()
    until(lambda: all(reads.deployments(1, delivery_id=d) for d in accepted), "every accepted delivery is planned")
    states = [ended(reads, scene.deployment_of(d)).state for d in accepted]
    assert states[-1] is State.SUCCEEDED
    assert set(states) <= {State.SUCCEEDED, State.SUPERSEDED}
    assert_done_once(scene, reads, scene.deployment_of(accepted[-1]))


def test_a_stopped_worker_that_wakes_up_late_starts_nothing_again(scene: Scene, owner: Engine, reads: Reads) -> None:
    supervisor = scene.stack.supervisor
    assert supervisor is not None
    with standing_at(owner, Stage.DISPATCH_DEPLOY) as gate:
        deployment_id = scene.push("stopped", account=scene.alice)
        until(lambda: someone_stands(gate), "a worker inside the stage")
        supervisor.kill("deployer", signal.SIGSTOP)
    time.sleep(3)
    supervisor.kill("deployer", signal.SIGCONT)
    assert_done_once(scene, reads, deployment_id)


def test_no_secret_stands_in_a_process_list_or_a_log(scene: Scene) -> None:
    secrets = [p.read_text().strip() for p in (scene.folder / "state" / "secrets").iterdir() if p.name != "redis.conf"]
    assert len(secrets) >= 5
    lists = b"\n".join(_command_line(Path("/proc") / pid) for pid in os.listdir("/proc") if pid.isdigit())
    logs = b"".join(p.read_bytes() for p in [*scene.folder.glob("*.log"), *(scene.folder / "state").glob("*.log")])
    for secret in secrets:
        assert secret.encode() not in lists
        assert secret.encode() not in logs


def test_one_correlation_id_runs_from_the_request_to_the_last_stage(scene: Scene, reads: Reads) -> None:
    delivery_id = scene.deliver(scene.commit("correlated", account=scene.alice))
    assert_done_once(scene, reads, scene.deployment_of(delivery_id))
    records = [line.partition("| ")[2] for line in (scene.folder / "processes.log").read_text().splitlines()]
    mine = [json.loads(r) for r in records if delivery_id in r and r.startswith("{")]
    assert mine[0]["event"] == "delivery"
    assert {r["step"] for r in mine if "step" in r} >= {stage.value for stage in STAGES}
    assert {r["correlation"] for r in mine} == {delivery_id}


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""  # it has ended
