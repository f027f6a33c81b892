"""The plan is a function of the seed, holds every kind of act and fault, and means what the requests say."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from tests.torture.cast import ENVIRONMENTS
from tests.torture.plan import KINDS, MOVING, Plan, make_plan
from tests.torture.processes import names_in
from tests.torture.requests import Requests
from tests.torture.schedule import KINDS as FAULTS
from tests.torture.world import ROOT

PROCESSES = ("web", "worker", "deployer", "beat")
SECRET = "a secret"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(1, 3000, 60, PROCESSES)


@pytest.fixture(scope="module")
def requests(plan: Plan) -> Requests:
    names = [(c.repository, c.name) for c in plan.commits] + [(owner, tag) for tag, (owner, _) in plan.tags.items()]
    shas = {f"{r} {n}": hashlib.sha1(f"{r} {n}".encode()).hexdigest() for r, n in names}
    return Requests(plan, shas, SECRET)


def test_one_seed_makes_one_plan(plan: Plan) -> None:
    assert make_plan(1, 3000, 60, PROCESSES) == plan
    assert make_plan(2, 3000, 60, PROCESSES).lines() != plan.lines()


def test_it_holds_as_much_as_was_asked_for_and_every_kind(plan: Plan) -> None:
    assert len(plan.every) == 3000
    assert len(plan.faults) == 60
    assert {a.kind for a in plan.acts} == set(KINDS)
    assert {f.kind for f in plan.faults} == set(FAULTS)
    assert [a.index for a in plan.every] == list(range(3000))


def test_a_commit_that_a_ref_left_behind_never_comes_back_to_it(plan: Plan) -> None:
    parents = {c.name: c.parents for c in plan.commits}

    def history(commit: str | None) -> set[str]:
        found: set[str] = set()
        waiting = [commit] if commit else []
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting += parents[each]
        return found

    left: dict[tuple[str, str], set[str]] = {}
    held: dict[tuple[str, str], set[str]] = {}
    moves = [act for act in plan.every if act.kind in MOVING and not act.ref.startswith("refs/tags/")]
    assert moves
    for act in moves:
        key, now = (act.repository, act.ref), history(act.after)
        left[key] = (left.get(key, set()) | held.get(key, set())) - now
        back = {c for c in now & left.get(key, set()) if act.kind != "merge"}
        assert not back, act
        held[key] = now


def test_every_environment_has_a_decisive_end_and_encores_change_none(plan: Plan) -> None:
    decided = {e.name for a in plan.endings for e in ENVIRONMENTS.values() if e.repository == a.repository and e.takes(a.ref)}
    assert decided == set(ENVIRONMENTS)
    assert [a.sender for a in plan.encores] == ["carol", "mallory", "alice"]
    assert plan.bad == {f"{plan.encores[-1].repository} {plan.encores[-1].after}"}


def test_requests_are_signed_as_gogs_signs_and_forged_ones_are_not(plan: Plan, requests: Requests) -> None:
    assert {"push", "forged"} <= {act.kind for act in plan.every}
    for act in plan.every:
        if act.kind == "rollback":
            continue
        request = requests.of(act)
        fits = request.signature == hmac.digest(SECRET.encode(), request.body, "sha256").hex()
        assert fits == (act.kind != "forged"), act
        assert json.loads(request.body)["repository"]["full_name"]


def test_a_duplicate_is_the_same_request_and_a_replay_is_the_same_act_under_a_new_id(plan: Plan, requests: Requests) -> None:
    acts = {a.index: a for a in plan.every}
    assert {"duplicate", "replay"} <= {act.kind for act in plan.acts if act.of is not None}
    for act in plan.acts:
        if act.of is None:
            continue
        first, again = requests.of(acts[act.of]), requests.of(act)
        if act.kind == "duplicate":
            assert again is first
        else:
            assert again.delivery != first.delivery
        if act.kind == "replay":
            assert (again.body, again.header, again.expected) == (first.body, first.header, first.expected)


def test_the_processes_are_those_of_the_procfile() -> None:
    assert {"web", "worker", "beat"} <= set(names_in(ROOT))
    assert "flower" not in names_in(ROOT)
