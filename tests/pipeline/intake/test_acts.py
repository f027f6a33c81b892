"""What is a new act, and what is the same act once more (invariant 2), on a real Postgres."""

from __future__ import annotations

import itertools
import threading

import pytest
from sqlalchemy import text

from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import Deployment, State
from app.domain.errors import RepositoryUnavailable
from app.domain.event import Account, Event, EventKind
from app.pipeline.intake.plan_one import LOOKS
from app.store.reads import Reads
from app.store.schema.line import deployments as table
from tests.pipeline.conftest import ALICE, REPOSITORY, Line, environment, plan_and_resolve, sha

MAIN, V1 = "refs/heads/main", "refs/tags/v1"


def pushed(former: str | None, to: str, *, actor: Account = ALICE) -> Event:
    """Make the event of a push to main."""
    return Event(EventKind.PUSH, REPOSITORY, MAIN, sha(former) if former else None, sha(to), actor)


def tagged(to: str, *, actor: Account = ALICE, former: str | None = None) -> Event:
    """Make the event of a tag; Gogs never says what it named before, Gitea names objects."""
    return Event(EventKind.TAG, REPOSITORY, V1, former, sha(to), actor)


def stand(line: Line, word: str, ref: str = MAIN) -> None:
    """Let the forge's head be there; all that was there before is still held by another ref."""
    line.repositories.heads.setdefault(ref, [])
    history = [each for each in line.repositories.heads[ref] if each != sha(word)]
    line.repositories.heads[ref] = [*history, sha(word)]


def act(line: Line, former: str | None, to: str) -> Deployment | None:
    """Let the forge's head move, deliver that, and run what follows."""
    stand(line, to)
    made = line.deliver(pushed(former, to))
    return line.run(made[0]) if made else None


def released(line: Line) -> list[str]:
    """List the commits that the target was given, in order."""
    return [order.sha for order in line.target.started]


def reasons(line: Line) -> list[str]:
    """List the reasons of the deliveries that led to nothing, oldest first."""
    return [d.reason or "" for d in reversed(Reads(line.engine).deliveries(50, "ignored"))]


def test_invariant_2_a_branch_that_is_forced_back_deploys_its_former_commit_again(line: Line) -> None:
    act(line, None, "A"), act(line, "A", "B")
    back = act(line, "B", "A")
    assert back is not None and (back.state, back.before, back.act) == (State.SUCCEEDED, sha("B"), 1)
    assert released(line) == [sha("A"), sha("B"), sha("A")]


def test_invariant_2_back_and_forth_deploys_each_time_and_each_time_once(line: Line) -> None:
    words = ["A", "B", "A", "B", "A", "B"]
    act(line, None, words[0])
    for former, to in itertools.pairwise(words):
        act(line, former, to)
        assert line.deliver(pushed(former, to)) == []  # the same body under a new delivery id
    assert released(line) == [sha(word) for word in words]


def test_invariant_2_an_old_body_under_a_new_id_does_nothing_wherever_the_branch_stands(line: Line) -> None:
    for former, to in [(None, "A"), ("A", "B"), ("B", "A"), ("A", "C")]:
        act(line, former, to)
        for old in [(None, "A"), ("A", "B"), ("B", "A")]:
            if sha(old[1]) in released(line):
                assert line.deliver(pushed(*old)) == []
    assert released(line) == [sha(word) for word in ("A", "B", "A", "C")]
    assert all("was already planned" in reason for reason in reasons(line))
    assert f"and {MAIN} stands on {sha('C')} now; to deploy it again" in reasons(line)[-1]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_late_deliveries_and_redeliveries_deploy_nothing_twice_and_end_at_the_head(line: Line, order: tuple[int, ...]) -> None:
    acts = [(None, "A"), ("A", "B"), ("B", "C")]
    for word in "ABC":
        stand(line, word)
    for number in order:
        for made in line.deliver(pushed(*acts[number])):
            line.run(made)
    for number in reversed(order):
        assert line.deliver(pushed(*acts[number])) == []
    assert released(line)[-1] == sha("C") or order.index(2) < max(order.index(0), order.index(1))
    assert len(set(released(line))) == len(released(line))


def test_a_lost_delivery_of_a_departure_hides_no_later_act(line: Line) -> None:
    act(line, None, "A")
    stand(line, "B")  # its delivery is lost
    act(line, "B", "C")
    back = act(line, "C", "A")
    assert back is not None and back.state is State.SUCCEEDED and released(line) == [sha("A"), sha("C"), sha("A")]


def test_a_lost_delivery_that_makes_a_new_act_look_like_an_old_one_is_held_for_a_person(line: Line) -> None:
    act(line, None, "A"), act(line, "A", "B"), act(line, "B", "C")
    stand(line, "A")  # its delivery is lost
    again = after_a_while(line, "A", "B")
    assert again is not None and again.state is State.HELD and again.act == 1
    assert f"no delivery tells that it was at {sha('A')} meanwhile" in (again.reason or "")
    assert released(line) == [sha("A"), sha("B"), sha("C")]
    assert line.deliver(pushed("A", "B")) == []


def after_a_while(line: Line, former: str, to: str) -> Deployment | None:
    """Let the forge's head move, deliver that, and look again for as long as the planner waits."""
    made = act(line, former, to)
    for _ in range(LOOKS - 1):
        assert made is None and released(line)[-1] != sha(to)
        line.clock.move(60)
        planned = plan_and_resolve(line.services)
        made = line.run(planned[0]) if planned else None
    return made


def test_an_old_body_that_is_sent_ahead_of_a_new_act_is_not_taken_for_it(line: Line) -> None:
    act(line, None, "0"), act(line, "0", "A"), act(line, "A", "B")
    stand(line, "A")
    assert line.deliver(pushed("0", "A")) == []  # somebody has seen the force push before its delivery came
    forced = act(line, "B", "A")
    line.clock.move(60)
    assert plan_and_resolve(line.services) == [] and "was already planned" in reasons(line)[-1]
    assert forced is not None and forced.state is State.SUCCEEDED and forced.doubt is None


def test_a_branch_that_was_deleted_and_made_again_at_a_former_commit_is_a_new_act(line: Line) -> None:
    act(line, None, "A"), act(line, "A", "B")
    again = act(line, None, "A")  # Gogs tells nothing of the deletion
    assert again is not None and again.state is State.SUCCEEDED and released(line) == [sha("A"), sha("B"), sha("A")]


def test_a_branch_that_was_deleted_and_made_again_where_it_was_deploys_nothing_twice(line: Line) -> None:
    act(line, None, "A")
    assert act(line, None, "A") is None and released(line) == [sha("A")]


def test_deliveries_that_waited_together_are_planned_in_their_order(line: Line) -> None:
    for word in ("A", "B", "A"):
        stand(line, word)
    for event in (pushed(None, "A"), pushed("A", "B"), pushed("B", "A"), pushed("A", "B")):
        put(line, event)
    made = plan_and_resolve(line.services)
    assert [(d.sha, d.act) for d in made] == [(sha("A"), 0), (sha("B"), 0), (sha("A"), 1)]
    assert f"stands on {sha('A')} now" in reasons(line)[-1]


def put(line: Line, event: Event) -> None:
    """Store a delivery, as the receiver does, without planning it."""
    new_id = line.services.ids.new()
    delivery = Delivery(new_id, "gogs", new_id, "push", b"{}", event, None, line.clock.now(), DeliveryState.PENDING)
    line.services.inbox.put(delivery).result(timeout=30)


def test_a_forge_that_cannot_be_asked_delays_a_possible_new_act_and_loses_nothing(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    act(line, None, "A"), act(line, "A", "B")
    stand(line, "A")
    with monkeypatch.context() as away:

        def head(repository: str, ref: str) -> str | None:
            raise RepositoryUnavailable("the forge is away")

        away.setattr(line.repositories, "head", head)
        assert line.deliver(pushed("B", "A")) == []
    assert [d.reason for d in Reads(line.engine).deliveries(5, "pending")] == ["the forge is away"]
    line.clock.move(60)
    assert [d.sha for d in plan_and_resolve(line.services)] == [sha("A")]


def test_planners_that_meet_at_a_new_act_plan_it_once(line: Line) -> None:
    act(line, None, "A"), act(line, "A", "B")
    stand(line, "A")
    for _ in range(8):
        put(line, pushed("B", "A"))
    threads = [threading.Thread(target=plan_and_resolve, args=(line.services,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    line.clock.move(60)
    plan_and_resolve(line.services)
    with line.engine.connect() as connection:
        count = text("SELECT count(*) FROM deployments WHERE sha = :sha")
        assert connection.execute(count, {"sha": sha("A")}).scalar_one() == 2
    assert len(reasons(line)) == 7 and Reads(line.engine).deliveries(20, "pending") == []


def test_a_push_to_a_new_commit_asks_no_forge_and_nothing_about_acts(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    act(line, None, "A")
    monkeypatch.setattr(line.repositories, "head", pytest.fail)
    monkeypatch.setattr("app.store.acts.SqlActs.earlier", pytest.fail)
    assert len(line.deliver(pushed("A", "B"))) == 1


@pytest.mark.parametrize("kinds", [(EventKind.TAG, EventKind.RELEASE), (EventKind.RELEASE, EventKind.TAG)])
def test_an_event_without_a_former_commit_joins_the_act_that_brought_the_tag_there(
    line: Line, kinds: tuple[EventKind, EventKind]
) -> None:
    line.environments = [environment(deploys=("tag:v*", "release"))]
    stand(line, "one", V1)
    events = [Event(kind, REPOSITORY, V1, None, sha("one") if kind is EventKind.TAG else None, ALICE) for kind in kinds]
    assert [len(line.deliver(event)) for event in (*events, *events)] == [1, 0, 0, 0]  # both orders, and redelivered


def test_a_moved_tag_comes_from_the_commit_that_it_named_and_may_move_back(line: Line) -> None:
    line.environments = [environment(deploys=("tag:v*",))]
    made = []
    for word in ("one", "two", "one"):
        stand(line, word, V1)
        made += line.deliver(tagged(word))
        assert line.deliver(tagged(word, former=sha("an annotated tag's own object"))) == []  # Gitea sends a push as well
    assert [(d.before, d.sha, d.act) for d in made] == [
        (None, sha("one"), 0),
        (sha("one"), sha("two"), 0),
        (sha("two"), sha("one"), 1),
    ]
    assert line.deliver(tagged("two")) == []  # an old body; the tag does not stand there


def test_an_environment_that_has_not_seen_the_act_gets_it(line: Line) -> None:
    act(line, None, "A")
    line.environments = [environment(), environment("staging")]
    assert [d.environment for d in line.deliver(pushed(None, "A"))] == ["staging"]
    with line.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM deliveries WHERE state <> 'planned'")).scalar_one() == 0


def test_a_running_release_that_does_not_know_acts_plans_none_twice_and_goes_on(line: Line) -> None:
    """It inserts by the names of the columns that it knows, on whatever conflict, as this release does."""
    act(line, None, "A"), act(line, "A", "B"), act(line, "B", "A")
    names = ", ".join(f'"{c.name}"' for c in table.c if c.name not in ("id", "act", "doubt"))
    values = names.replace('"sha"', ":sha")
    former = f"INSERT INTO deployments (id, {names}) SELECT gen_random_uuid(), {values} FROM deployments"
    with line.engine.begin() as connection:
        for word, rows in (("A", 0), ("B", 0), ("C", 1)):
            statement = text(f"{former} WHERE act = 0 AND sha = :known ON CONFLICT DO NOTHING")
            assert connection.execute(statement, {"sha": sha(word), "known": sha("B")}).rowcount == rows
