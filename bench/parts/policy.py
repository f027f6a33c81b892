"""What it costs to decide: with the entity slice from SQL, before a push is taken, again for the log, and to look into a push."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from app.cli.policy.workers import Versions, decider
from app.domain.decision import Action, DecisionRequest
from app.pipeline.ask.replay_decisions import replay_decisions
from app.pipeline.decide.judgement import decide_now
from app.store.decisions import Decisions
from bench.directory import Directory
from bench.effort import Effort
from bench.figures import summary
from bench.parts import inspection
from bench.scenes import Site

POLICIES, PEOPLE, DECISIONS = 100, 10_000, 100_000
PUSHERS, PUSHES_EACH = 5, 75  # of no more than 100 at once of one account is decided
FIRST_PUSHER = 9_000
SECRET = "a-secret-of-the-benchmark"  # noqa: S105
_IDLE = """\
@id("idle-{n}")
permit (principal in Group::"group-{n}", action == Action::"deploy", resource) when {{ context.hour == {hour} }};"""
_PUSH = '@id("bench-push") forbid (principal, action == Action::"push", resource) when { context.forced };'
_PUSHER = '[[people]]\nsubject = "pusher{n}"\ngroups = ["deployers"]\naccounts = ["gogs:{number}"]\n'
_COPIES = """
    INSERT INTO audit_entries (id, at, action, actor, deployment_id, delivery_id, correlation_id, detail)
    SELECT gen_random_uuid(), now(), action, actor, deployment_id, delivery_id, correlation_id,
        jsonb_set(detail, '{request,request,context,sha}', to_jsonb(md5(n::text) || '00000000'))
    FROM (SELECT * FROM audit_entries WHERE action = 'deployment:permitted' ORDER BY seq DESC LIMIT 1) AS one,
        generate_series(1, %(count)s) AS n
"""


def measure(effort: Effort) -> dict[str, Any]:
    """Measure each by itself; milliseconds, of the replay seconds."""
    people = effort.of(PEOPLE, 1_000)
    found: dict[str, Any] = {"policies": POLICIES, "people": people}
    with Site() as site:
        _guard_pushes(site)
        Directory(site).fill(people)
        view = site.until_ended(site.deliver(site.commit("one to decide about", account=site.alice)))
        found["decide"] = _decide(site, view.deployment.id, effort.of(2_000, 200))
        found["push"] = _push(site, effort.of(PUSHES_EACH, 20))
        found["push_denied"] = _push(site, effort.of(PUSHES_EACH // 4, 5), is_forced=True)
        found["replay"] = _replay(site, effort.of(DECISIONS, 5_000))
    found["inspection"] = inspection.measure(effort)
    return found


def _guard_pushes(site: Site) -> None:
    """Have a hundred policies, accounts that push, and a secret for the instance that asks."""
    policies = site.folder / "policies"
    count = sum(path.read_text().count("@id(") for path in policies.glob("*.cedar"))
    idle = [_IDLE.format(n=n, hour=n % 24) for n in range(POLICIES - count - 1)]
    (policies / "idle.cedar").write_text("\n".join([*idle, _PUSH]))
    with (site.folder / "people.toml").open("a") as file:
        file.writelines(_PUSHER.format(n=n, number=FIRST_PUSHER + n) for n in range(PUSHERS))
    (site.folder / "decide").write_text(SECRET)
    (site.folder / "decide").chmod(0o600)
    config = site.folder / "tidegate.toml"
    line = 'webhook_secrets = ["env:DEMO_WEBHOOK_SECRET"]\n'
    config.write_text(config.read_text().replace(line, f'{line}decide_secrets = ["file:{site.folder}/decide"]\n'))


def _decide(site: Site, deployment_id: str, rounds: int) -> dict[str, dict[str, float]]:
    """Decide about a deployment: the engine alone, with the slice of who acts, and all that the stage looks up."""
    services = site.process.services
    guard, deployment = services.guard(), site.process.reads.deployment(deployment_id).deployment
    judged = decide_now(services, guard, deployment)
    if judged.decision is None or len(guard.policy.reasons) != POLICIES:
        raise RuntimeError(f"{judged.reason}, by {len(guard.policy.reasons)} policies")
    context = judged.decision.request["request"]["context"]
    environment = guard.environments[0]

    def with_slice() -> None:
        who = guard.identity.principal_of(deployment.actor)
        if who is None:
            raise RuntimeError("nobody")
        guard.policy.decide(DecisionRequest(who, Action.DEPLOY, environment.name, environment.repository, context))

    asked = judged.decision.request
    acts: dict[str, Callable[[], object]] = {
        "engine": lambda: guard.policy.recompute(asked),
        "slice": with_slice,
        "stage": lambda: decide_now(services, guard, deployment),
    }
    return {name: summary(_milliseconds(act, rounds)) for name, act in acts.items()}


def _push(site: Site, each: int, *, is_forced: bool = False) -> dict[str, float]:
    """Ask as the check does, one push after the other, of accounts in turn."""
    took, url = [], f"http://127.0.0.1:{site.port}/api/v1/decide"
    with httpx.Client(headers={"authorization": f"Bearer {SECRET}"}, timeout=20) as client:
        for number in range(PUSHERS * each):
            body = json.dumps(_asked(number, FIRST_PUSHER + number % PUSHERS, is_forced))
            began = time.perf_counter()
            answer = client.post(url, content=body, headers={"content-type": "application/json"})
            took.append(1000 * (time.perf_counter() - began))
            if answer.status_code != 200 or answer.json()["allowed"] == is_forced:
                raise RuntimeError(answer.text)
    return summary(took)


def _asked(number: int, account: int, is_forced: bool) -> dict[str, Any]:
    update = {
        "ref": "refs/heads/main",
        "old": f"{number + 1:040x}",
        "new": f"{number + 2:040x}",
        "forced": is_forced,
        "emails": ["alice@example.com"],
        "emails_known": True,
        "paths": [f"src/module_{n}.py" for n in range(20)],
        "paths_known": True,
    }
    return {
        "forge": "gogs",
        "repository": {"id": 7, "owner": "acme", "name": "shop"},
        "account": {"id": account, "login": "somebody"},
        "updates": [update],
    }


def _replay(site: Site, count: int) -> dict[str, float]:
    """Have as many decisions on the log, no two alike, and make all of them again."""
    with site.sql() as connection:
        connection.execute(_COPIES.encode(), {"count": count})
    decisions, now = Decisions(site.process.engine), site.process.clock.now()
    began = time.monotonic()
    replayed = replay_decisions(
        decisions.batches(now.replace(year=now.year - 1), now), decider(Versions(decisions.versions(), None))
    )
    seconds = time.monotonic() - began
    if not replayed.is_faithful or replayed.reproduced < count:
        raise RuntimeError(f"{replayed.not_reproduced} of {replayed.decisions} came out otherwise")
    return {"decisions": replayed.decisions, "seconds": seconds}


def _milliseconds(act: Callable[[], object], rounds: int) -> list[float]:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        took.append(1000 * (time.perf_counter() - began))
    return took
