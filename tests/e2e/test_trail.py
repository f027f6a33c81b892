"""What the trail proves afterwards, on the real line: decisions can be made again, and secrets are nowhere."""

from __future__ import annotations

import subprocess

import pytest
from sqlalchemy import Engine, text

from app.domain.deployment import State
from app.integrations.policy.cedar import CedarPolicy
from app.stack.scene import Scene
from app.store.reads import Reads
from tests.e2e.test_durability import ended
from tests.e2e.test_up import TIDEGATE


def test_invariant_10_every_decision_can_be_made_again_from_what_was_kept(scene: Scene, owner: Engine, reads: Reads) -> None:
    """A stranger to the process: the policies, their schema and the request come from the database alone."""
    allowed = scene.push("to be decided again", account=scene.alice)
    assert ended(reads, allowed).state is State.SUCCEEDED
    decided = [e for e in reads.audit(limit=10_000) if "policy_digest" in e.detail]
    assert {"deployment:permitted", "deployment:dispatching"} <= {e.action for e in decided if e.deployment_id == allowed}
    with owner.connect() as connection:
        kept = {(row.kind, row.digest): row.text for row in connection.execute(text("SELECT kind, digest, text FROM versions"))}
    digests = [digest for kind, digest in kept if kind == "policy"]
    policies = {d: CedarPolicy.from_version(kept["policy", d], kept["schema", d], d) for d in digests}
    for entry in decided:
        again = policies[entry.detail["policy_digest"]].recompute(entry.detail["request"]).effect
        assert again.value == entry.detail["effect"], entry.seq


def test_an_annotated_tag_is_deployed_at_the_commit_that_it_names(scene: Scene, reads: Reads) -> None:
    """The forge sends the tag object's id; what is planned and deployed is the commit."""
    sha = scene.tag("v1.0", account=scene.alice)
    delivery_id = scene.deliver(sha)
    made = scene.deployment_of(delivery_id)
    deployment = ended(reads, made)
    assert deployment.state is State.SUCCEEDED, deployment.reason
    assert deployment.sha == scene.head() != sha["sha"]
    assert scene.deployed() == deployment.sha


@pytest.mark.timeout(600)
def test_the_demos_checks_are_the_commands_exit_status() -> None:
    """`tidegate demo` says yes seven times and nothing else, and ends with 0."""
    done = subprocess.run([TIDEGATE, "demo"], capture_output=True, text=True, timeout=500, check=False)
    answers = [line.split()[0] for line in done.stdout.splitlines() if line.startswith(("yes ", "NO "))]
    assert (done.returncode, answers) == (0, ["yes"] * 7), done.stdout[-2000:] + done.stderr[-500:]
