"""Who sent a delivery agrees with who pushed, and with the other deliveries of the same act; or else no one thing is believed.

Alice and Bob may both deploy, Dana and Bob may approve. Mallory may do neither: the attacker can push, and knows the secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text

from app.domain.deployment import MOST_SENDERS, Deployment, Stage, State
from app.domain.errors import Forbidden
from app.domain.event import Account, Event, EventKind
from app.domain.push import CheckedPush
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.intake.replay import replay
from app.pipeline.line.rollback import rollback
from app.pipeline.ports.services import SinkBinding
from app.store.reads import Reads
from tests.fakes import FakeSink, person
from tests.pipeline.approvals import Held
from tests.pipeline.conftest import ALICE, BOB, REPOSITORY, Line, environment, sha

MAIN, V1 = "refs/heads/main", "refs/tags/v1"
MALLORY = Account("gogs", "66", "mallory")
ONE_IS_ENOUGH = """
@id("deployers-deploy") permit (principal in Group::"deployers", action in [Action::"deploy", Action::"rollback"], resource);
@id("leads-approve") permit (principal in Group::"leads", action == Action::"approve", resource);
"""
TWO_PEOPLE = f"""{ONE_IS_ENOUGH}
@id("two-people") forbid (principal, action == Action::"deploy", resource) unless {{ context.approvals.met }};
"""
BEFORE_DISPATCH = [None, Stage.VALIDATE_IDENTITY, Stage.CHECK_PERMISSION, Stage.INJECT_TOKEN]


@pytest.fixture
def held(line: Line) -> Held:
    """The line with a real policy, and a sink that wants disputes."""
    line.identity.people = {
        "gogs:2": person("alice", "gogs:2", groups=("deployers",)),
        "gogs:3": person("bob", "gogs:3", groups=("deployers", "leads")),
        "gogs:5": person("dana", "gogs:5", groups=("leads",)),
        "gogs:66": person("mallory", "gogs:66", groups=()),
    }
    ask(line, ONE_IS_ENOUGH)
    sinks = {"ops": SinkBinding(("deployment:disputed",), frozenset(), FakeSink)}
    former = line.services.guard
    line.services = replace(line.services, guard=lambda: replace(former(), sinks=sinks))
    return Held(line)


def ask(line: Line, policy: str) -> None:
    """Have these policies decide."""
    line.policy = CedarPolicy({"all.cedar": policy})  # type: ignore[assignment]


def sent(line: Line, actor: Account, word: str = "one", *, former: str | None = None) -> list[Deployment]:
    """Deliver that this account pushed `word` to main."""
    line.repositories.heads.setdefault(MAIN, [])
    if sha(word) not in line.repositories.heads[MAIN]:
        line.repositories.heads[MAIN].append(sha(word))
    return line.deliver(Event(EventKind.PUSH, REPOSITORY, MAIN, sha(former) if former else None, sha(word), actor))


def refused(line: Line) -> str:
    """Return the reason of the newest delivery that led to nothing."""
    return Reads(line.engine).deliveries(1, "ignored")[0].reason or ""


def alarms(line: Line) -> list[tuple[str, str]]:
    """List the notices of disputes, as (subject, text)."""
    with line.engine.connect() as connection:
        query = text("SELECT subject, text FROM notices WHERE event = 'deployment:disputed' ORDER BY id")
        return [(row.subject, row.text) for row in connection.execute(query)]


def names_both(reason: str | None, one: Account, other: Account) -> bool:
    """Tell whether a reason names both accounts, for machines and for people."""
    return all(f"{each.key} ({each.login})" in (reason or "") for each in (one, other))


@pytest.mark.parametrize("last", BEFORE_DISPATCH)
@pytest.mark.parametrize(("first", "second"), [(ALICE, MALLORY), (ALICE, BOB), (BOB, ALICE)])
def test_two_senders_of_one_act_wait_for_a_person_whichever_comes_first_and_between_whatever_stages(
    held: Held, last: Stage | None, first: Account, second: Account
) -> None:
    line = held.line
    (made,) = sent(line, first)
    if last is not None:
        line.run(made, last=last)
    assert sent(line, second) == []
    stands = line.run(made)
    assert stands.state is State.HELD and names_both(stands.reason, first, second)
    assert f"tidegate approval approve {made.id}" in (stands.reason or "")
    assert names_both(refused(line), first, second) and len(alarms(line)) == 1
    assert line.run(made).state is State.HELD and line.target.started == []
    if BOB in (first, second):
        with pytest.raises(Forbidden, match="was involved in it"):
            held.vote(made, "bob")
    held.vote(made, "dana")
    done = line.run(made)
    assert done.state is State.SUCCEEDED and len(line.target.started) == 1
    assert "deployment:disputed" in line.actions(made)


@pytest.mark.parametrize("last", [Stage.DISPATCH_DEPLOY, Stage.CONFIRM_DEPLOY])
def test_after_the_dispatch_it_is_an_alarm_with_the_command_that_goes_back(held: Held, last: Stage) -> None:
    line = held.line
    (made,) = sent(line, ALICE)
    state = line.run(made, last=last).state
    assert sent(line, MALLORY) == []
    assert line.now(made).state is state
    ((subject, told),) = alarms(line)
    assert subject.startswith("disputed: ") and "tidegate deployment rollback production" in told
    assert names_both(told, ALICE, MALLORY) and names_both(refused(line), ALICE, MALLORY)
    assert "deployment:disputed" in line.actions(made)


def test_a_forged_delivery_after_the_true_one_was_denied_deploys_nothing_and_is_an_alarm(held: Held) -> None:
    line = held.line
    (made,) = sent(line, MALLORY)
    assert line.run(made).state is State.DENIED
    assert sent(line, ALICE) == [] and line.target.started == [] and len(alarms(line)) == 1
    assert names_both(refused(line), ALICE, MALLORY) and "was denied before, so nothing is dispatched" in refused(line)


def test_a_forged_delivery_before_the_true_one_was_decided_denies_with_both_names(held: Held) -> None:
    line = held.line
    (made,) = sent(line, MALLORY)
    assert sent(line, ALICE) == []
    done = line.run(made)
    assert done.state is State.DENIED and names_both(done.reason, ALICE, MALLORY) and line.target.started == []


@pytest.mark.parametrize("former", [None, "another"])
def test_a_forged_delivery_that_names_another_former_commit_is_of_the_same_act(held: Held, former: str | None) -> None:
    line = held.line
    (made,) = sent(line, ALICE, former=former)
    assert sent(line, MALLORY, former="zero") == []
    assert line.run(made).state is State.HELD


@pytest.mark.parametrize("last", [*BEFORE_DISPATCH, Stage.CONFIRM_DEPLOY])
def test_the_same_sender_once_more_is_no_dispute(held: Held, last: Stage | None) -> None:
    line = held.line
    (made,) = sent(line, ALICE)
    if last is not None:
        line.run(made, last=last)
    assert sent(line, ALICE) == [] and alarms(line) == []
    assert line.run(made).state is State.SUCCEEDED


def test_a_dispute_is_told_once_whatever_else_is_delivered(held: Held) -> None:
    line = held.line
    (made,) = sent(line, ALICE)
    for sender in (MALLORY, ALICE, MALLORY):
        assert sent(line, sender) == [] and names_both(refused(line), ALICE, MALLORY)
    assert len(alarms(line)) == 1 and line.actions(made).count("deployment:disputed") == 1
    sent(line, BOB)
    assert len(alarms(line)) == 2  # a third account is news


@pytest.mark.parametrize("last", [*BEFORE_DISPATCH, Stage.CONFIRM_DEPLOY])
def test_invariant_15_ever_more_senders_end_the_deployment_and_are_not_told_for_ever(held: Held, last: Stage | None) -> None:
    """Each new name voids the votes of before, so whoever knows the secret could hold it, and wake people, for ever."""
    line = held.line
    (made,) = sent(line, ALICE)
    if last is not None:
        line.run(made, last=last)
    for number in range(700, 720):
        assert sent(line, Account("gogs", str(number), f"stranger{number}")) == []
    done = line.run(made)
    assert done.state is (State.SUCCEEDED if last is Stage.CONFIRM_DEPLOY else State.DENIED)
    assert len(alarms(line)) <= MOST_SENDERS and line.actions(made).count("deployment:disputed") <= MOST_SENDERS
    assert len(line.target.started) == int(last is Stage.CONFIRM_DEPLOY)
    assert "more than 4 accounts are named" in refused(line) and "tidegate delivery replay" in refused(line)
    assert done.delivery_id is not None
    assert line.run(replay(line.services, done.delivery_id, BOB)[0]).state is State.SUCCEEDED


def test_approvals_of_before_do_not_settle_a_dispute(held: Held) -> None:
    line = held.line
    ask(line, TWO_PEOPLE)
    (made,) = sent(line, ALICE)
    line.run(made)
    held.vote(made, "dana")
    assert line.run(made, last=Stage.INJECT_TOKEN).state is State.GRANTED
    sent(line, MALLORY)
    assert line.run(made).state is State.HELD and line.target.started == []
    held.vote(made, "bob")
    assert line.run(made).state is State.SUCCEEDED


def test_a_dispute_that_nobody_settles_ends_denied_with_both_names(held: Held) -> None:
    line = held.line
    (made,) = sent(line, ALICE)
    sent(line, MALLORY)
    line.run(made)
    line.clock.move(3700)
    done = line.run(made)
    assert done.state is State.DENIED and names_both(done.reason, ALICE, MALLORY)


@pytest.mark.parametrize("where", ["identify.active_principal", "authorize.decide_now", "dispatch.decide_now"])
def test_a_dispute_that_arises_while_a_stage_looks_outside_is_not_overlooked(
    held: Held, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    line = held.line
    (made,) = sent(line, ALICE)
    module, _, name = where.partition(".")
    place = __import__(f"app.pipeline.line.{module}", fromlist=[name])
    real: Callable[..., object] = getattr(place, name)

    def look(*given: object) -> object:
        monkeypatch.setattr(place, name, real)
        assert sent(line, MALLORY) == []
        return real(*given)

    monkeypatch.setattr(place, name, look)
    line.run(made)
    assert line.run(made).state is State.HELD and line.target.started == []


def test_a_release_of_a_pushed_tag_may_be_published_by_another_person(held: Held) -> None:
    line = held.line
    line.environments[:] = [environment(deploys=("tag:v*", "release"))]
    line.repositories.heads[V1] = [sha("one")]
    tag = Event(EventKind.TAG, REPOSITORY, V1, None, sha("one"), ALICE)
    release = Event(EventKind.RELEASE, REPOSITORY, V1, None, None, BOB)
    assert len(line.deliver(tag)) == 1 and line.deliver(release) == [] and alarms(line) == []


def test_a_tag_that_another_person_pushed_than_a_release_said_is_a_dispute(held: Held) -> None:
    line = held.line
    line.environments[:] = [environment(deploys=("tag:v*", "release"))]
    line.repositories.heads[V1] = [sha("one")]
    (made,) = line.deliver(Event(EventKind.RELEASE, REPOSITORY, V1, None, None, ALICE))
    assert line.deliver(Event(EventKind.TAG, REPOSITORY, V1, None, sha("one"), MALLORY)) == []
    assert line.run(made).state is State.HELD


def test_a_rollback_to_a_disputed_release_is_the_own_act_of_the_one_who_goes_back(held: Held) -> None:
    line = held.line
    line.run(sent(line, ALICE)[0])
    sent(line, MALLORY)
    line.run(sent(line, ALICE, "two")[0])
    assert line.run(rollback(line.services, "production", None, BOB)).state is State.SUCCEEDED


def checked(line: Line, account: str, *, old: str = "0" * 40, to: str = "one", ref: str = MAIN) -> None:
    """Note that the check before pushes let this account change the ref."""
    with line.services.store.unit() as unit:
        new_id, now = line.services.ids.new(), line.clock.now()
        unit.pushes.keep([CheckedPush("gogs", 1, ref, sha(to), new_id, now, old, account)])


def test_a_sender_who_is_not_the_one_that_the_check_let_push_is_denied_with_an_alarm(held: Held) -> None:
    line = held.line
    checked(line, "gogs:66")
    done = line.run(sent(line, ALICE)[0])
    assert done.state is State.DENIED and line.target.started == []
    assert "gogs:2 (alice)" in (done.reason or "") and "the check before pushes saw gogs:66" in (done.reason or "")
    ((subject, told),) = alarms(line)
    assert subject.startswith("disputed: ") and "gogs:66" in told
    assert done.delivery_id is not None and f"tidegate delivery replay {done.delivery_id}" in (done.reason or "")
    again = line.run(replay(line.services, done.delivery_id, BOB)[0])
    assert again.state is State.SUCCEEDED  # as the own act of somebody who may


def test_any_of_those_who_pushed_the_same_change_in_turn_may_be_the_sender(held: Held) -> None:
    line = held.line
    for account in ("gogs:66", "gogs:2"):
        checked(line, account)
    assert line.run(sent(line, ALICE)[0]).state is State.SUCCEEDED and alarms(line) == []


@pytest.mark.parametrize(
    "note",
    [
        {"account": "gogs:66", "ref": "refs/heads/topic"},
        {"account": "gogs:66", "to": "another"},
        {"account": "", "old": ""},
    ],
    ids=["to another ref", "to another commit", "of an earlier release"],
)
def test_a_push_of_something_else_says_nothing_about_the_sender(held: Held, note: dict[str, str]) -> None:
    checked(held.line, **note)
    assert held.line.run(sent(held.line, ALICE)[0]).state is State.SUCCEEDED


def test_of_several_pushes_to_a_commit_the_one_from_the_named_former_commit_counts(held: Held) -> None:
    line = held.line
    checked(line, "gogs:66", old=sha("elsewhere"))
    checked(line, "gogs:2", old=sha("zero"))
    assert line.run(sent(line, ALICE, former="zero")[0]).state is State.SUCCEEDED


def numbered(line: Line, actor: Account, number: int, word: str = "one") -> Deployment:
    """Deliver that this account pushed `word` to main of a repository of the same name with this number."""
    line.repositories.heads.setdefault(MAIN, []).append(sha(word))
    repository = replace(REPOSITORY, id=number)
    (made,) = line.deliver(Event(EventKind.PUSH, repository, MAIN, None, sha(word), actor))
    return made


def test_a_false_number_of_the_repository_hides_neither_the_dispute_nor_what_the_check_saw(held: Held) -> None:
    """Acts and checked pushes are known by the number, and whoever knows the secret writes the number, too."""
    line = held.line
    assert line.run(sent(line, BOB, "zero")[0]).state is State.SUCCEEDED
    checked(line, "gogs:66")
    done = line.run(numbered(line, ALICE, 999))
    assert done.state is State.DENIED and len(line.target.started) == 1
    assert "has the number 999, and production knows it by 1:" in (done.reason or "")
    assert "set repository_id of production in tidegate.toml" in (done.reason or "")
    assert len(alarms(line)) == 1
    assert line.run(sent(line, BOB, "two")[0]).state is State.SUCCEEDED  # the true one is not held up by a false one


@pytest.mark.parametrize("numbers", [(1, 999), (999, 1)])
def test_before_the_first_release_two_numbers_of_one_name_are_both_refused(held: Held, numbers: tuple[int, int]) -> None:
    line = held.line
    both = [numbered(line, ALICE, number) for number in numbers]
    assert [line.run(made).state for made in both] == [State.DENIED, State.DENIED] and line.target.started == []


def test_a_release_under_another_name_says_nothing_of_the_number_under_this_one(held: Held) -> None:
    """The repository was renamed, and tidegate.toml follows."""
    line = held.line
    assert line.run(sent(line, BOB, "zero")[0]).state is State.SUCCEEDED
    with line.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE deployments SET full_name = 'acme/former'")
    both = [numbered(line, ALICE, number) for number in (1, 999)]
    assert [line.run(made).state for made in both] == [State.DENIED, State.DENIED] and len(line.target.started) == 1


def test_with_repository_id_set_false_numbers_are_ignored_and_hold_up_nothing(held: Held) -> None:
    line = held.line
    numbered(line, ALICE, 999)
    line.environments[:] = [environment(repository_id=1)]
    assert line.run(sent(line, ALICE)[0]).state is State.SUCCEEDED
    again = Event(EventKind.PUSH, replace(REPOSITORY, id=999), MAIN, None, sha("two"), ALICE)
    assert line.deliver(again) == []


@pytest.mark.parametrize("senders_own", [False, True], ids=["only another's push", "also an earlier one of the sender"])
def test_a_delivery_that_names_a_former_commit_that_no_push_came_from_does_not_evade_the_check(
    held: Held, *, senders_own: bool
) -> None:
    """The former commit is the delivery's own word: who knows the secret could name any, so that no note fits it."""
    line = held.line
    checked(line, "gogs:66", old=sha("where main truly stood"))
    if senders_own:
        checked(line, "gogs:2", old=sha("where main stood long ago"))
    done = line.run(sent(line, ALICE, former="made up")[0])
    assert done.state is State.DENIED and line.target.started == [] and len(alarms(line)) == 1
    assert f"saw gogs:66 bring {MAIN} to {sha('one')}, and never from {sha('made up')}" in (done.reason or "")


def test_the_sender_s_own_push_from_elsewhere_speaks_against_nobody(held: Held) -> None:
    """As after a race: git asks the check again, with the commit on which the ref stands by then."""
    checked(held.line, "gogs:2", old=sha("elsewhere"))
    assert held.line.run(sent(held.line, ALICE)[0]).state is State.SUCCEEDED and alarms(held.line) == []


def test_a_tag_s_sender_is_held_against_the_check_whatever_the_tag_named_before(held: Held) -> None:
    line = held.line
    line.environments[:] = [environment(deploys=("tag:v*",))]
    line.repositories.heads[V1] = [sha("one")]
    checked(line, "gogs:66", ref=V1, old=sha("an object"))
    (made,) = line.deliver(Event(EventKind.TAG, REPOSITORY, V1, None, sha("one"), ALICE))
    assert line.run(made).state is State.DENIED
