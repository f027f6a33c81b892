"""No sequence of votes lets anybody count who had a hand in it, or lets it go on without somebody who had none."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from app.domain.approval import Verdict
from app.domain.deployment import Stage, State
from app.domain.errors import GateError
from app.domain.event import Account
from app.pipeline.decide.judgement import decide_now
from tests.pipeline.approvals import Held, holding
from tests.pipeline.conftest import ALICE, Line

ROBOT = Account("gogs", "9", "robot")
# Who asks, and who has a hand in it or no right to approve: of robot carol answers.
INVOLVED = {ALICE: ("alice", "erin"), ROBOT: ("robot", "carol", "erin")}


@pytest.fixture
def held(line: Line) -> Held:
    return holding(line)


@pytest.mark.parametrize("actor", [ALICE, ROBOT], ids=lambda each: each.login)
@pytest.mark.parametrize("seed", range(6))
def test_nobody_counts_who_had_a_hand_in_it(held: Held, actor: Account, seed: int) -> None:
    chance, line = random.Random(seed), held.line
    held.change("robot", groups=frozenset({"deployers", "leads"}))
    deployment = line.run(line.push("one", actor=actor))
    assert deployment.state is State.HELD, deployment.reason
    for _ in range(8):
        with suppress(GateError):
            held.vote(deployment, chance.choice(INVOLVED[actor]), chance.choice(list(Verdict)))
        judged = decide_now(line.services, line.services.guard(), line.now(deployment))
        assert judged.case is not None and judged.case.votes.voters == () and not judged.is_allowed
        assert line.run(deployment, Stage.CHECK_PERMISSION).state is State.HELD
    held.vote(deployment, "bob")
    assert line.run(deployment, Stage.CHECK_PERMISSION).state is State.PERMITTED
