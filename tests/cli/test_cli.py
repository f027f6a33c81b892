"""The real `tidegate` command on real servers: what it prints, for people and for machines, and its exit codes."""

from __future__ import annotations

import base64
import json
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import Engine

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import Deployment, Dispatch, Stage, StageResult, State, Trigger
from app.domain.event import Account, Event, EventKind, Repository
from app.integrations.system import SystemIds
from app.stack.postgres import APP, OWNER, EmbeddedPostgres
from app.stack.redis import EmbeddedRedis
from app.store.inbox.inbox import SqlInbox
from app.store.reads import Reads
from app.store.unit import SqlStore
from tests.cli.forked import tidegate
from tests.configurations import STAGING, environment, toml
from tests.ports import free_port
from tests.rows import record

ME = pwd.getpwuid(os.getuid()).pw_name
IDS = SystemIds()
REPOSITORY = Repository("gogs", 1, "acme/shop", "acme", 7)
ALICE = Account("gogs", "2", "alice")
NOW = datetime.now(UTC)
BODY = b'{"exact": "bytes"}\n\x00\xff'
UNKNOWN = "0190aaaa-1111-7222-8333-444444aaaaaa"
CONFIGURATION, NOT_FOUND, AWAY = 2, 3, 4
Command = tuple[str, ...]

TIDEGATE_TOML = toml(
    environment(of=STAGING),
    top='people = "people.toml"\npolicies = "policies"\n',
    forge={"webhook_secrets": ["env:WEBHOOK_SECRET"]},
    site={"path": "site", "modes": "commit"},
)
PEOPLE_TOML = f"""\
[[people]]
subject = "alice"
accounts = ["gogs:2", "os:{ME}"]
groups = ["operators"]
"""
POLICY = """\
@id("operators")
@reason("operators may do all")
permit (principal in Group::"operators", action, resource);
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run of the command left behind."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        """Read standard output, which must be one JSON document in one line and nothing else."""
        assert (self.code, self.err) == (0, "")
        assert self.text.endswith("\n") and self.text.count("\n") == 1
        return json.loads(self.text)

    def ended_with(self, code: int) -> str:
        """Check for an error as people should see it; return the message."""
        assert self.code == code, (self.code, self.err)
        assert self.out == b""
        assert "Traceback" not in self.err and 'File "' not in self.err
        assert self.err.startswith("tidegate: ") and self.err.count("tidegate: ") == 1
        return self.err.removeprefix("tidegate: ").rstrip("\n")


@dataclass
class Cli:
    """Runs the command in a folder of the test's own, with the settings of the test's own."""

    folder: Path
    env: dict[str, str]

    def __call__(self, *arguments: str, **settings: str | None) -> Ran:
        """Run it; `settings` go over those of the fixture (None takes one away)."""
        merged = {**self.env, **settings}
        env = {name: value for name, value in merged.items() if value is not None}
        code, out, err = tidegate(*arguments, folder=self.folder, env=env)
        return Ran(code, out, err.decode())

    def each(self, *commands: Command, **settings: str | None) -> list[Ran]:
        """Run one after the other."""
        return [self(*arguments, **settings) for arguments in commands]


@pytest.fixture
def cli(engine: Engine, postgres: EmbeddedPostgres, redis_server: EmbeddedRedis, folder: Path) -> Cli:
    (folder / "tidegate.toml").write_text(TIDEGATE_TOML)
    (folder / "people.toml").write_text(PEOPLE_TOML)
    (folder / "policies").mkdir()
    (folder / "policies" / "all.cedar").write_text(POLICY)
    given = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    settings = {
        "TIDEGATE_DATABASE_URL": postgres.url(APP),
        "TIDEGATE_REDIS_URL": redis_server.url(),
        "TIDEGATE_MASTER_KEY": base64.b64encode(bytes(32)).decode(),
        "TIDEGATE_CONFIG": "tidegate.toml",
        "TIDEGATE_STATE_DIR": "state",
        "WEBHOOK_SECRET": "secret",
        "COLUMNS": "250",
    }
    return Cli(folder, {**given, **settings})


@pytest.fixture
def broker(redis_server: EmbeddedRedis) -> redis.Redis:
    """An empty Redis."""
    client = redis.Redis.from_url(redis_server.url())
    client.flushall()
    return client


@dataclass(frozen=True, slots=True)
class Scene:
    """Rows to show: a delivery that led to two releases, and one from which nothing follows."""

    delivery: Delivery
    ignored: Delivery
    first: Deployment
    second: Deployment


@pytest.fixture
def scene(engine: Engine) -> Scene:
    event = Event(EventKind.PUSH, REPOSITORY, "refs/heads/main", "c" * 40, "a" * 40, ALICE)
    delivery = Delivery(IDS.new(), "gogs", "forge-id-1", "push", BODY, event, None, NOW, DeliveryState.PENDING)
    ignored = Delivery(IDS.new(), "gogs", "forge-id-2", "issues", b"{}", None, "nothing to do", NOW, DeliveryState.IGNORED)
    inbox = SqlInbox(engine, lambda d: _entry("delivery:received", d.id, None))
    for each in (delivery, ignored):
        inbox.put(each).result(timeout=30)
    return Scene(
        delivery,
        ignored,
        first=_released(engine, delivery, "a" * 40, NOW - timedelta(hours=2)),
        second=_released(engine, delivery, "b" * 40, NOW - timedelta(hours=1)),
    )


def _entry(action: str, delivery_id: str | None, deployment_id: str | None) -> AuditEntry:
    return AuditEntry(IDS.new(), NOW, action, "gogs:2", deployment_id, delivery_id, IDS.new(), {"environment": "production"})


def _released(engine: Engine, delivery: Delivery, sha: str, at: datetime, **over: object) -> Deployment:
    """Add a deployment that succeeded, with a stage, a dispatch and audit entries."""
    deployment = Deployment(
        id=IDS.new(),
        position=1,
        delivery_id=delivery.id,
        correlation_id=delivery.id,
        environment="production",
        repository=REPOSITORY,
        ref="refs/heads/main",
        before=None,
        sha=sha,
        actor=ALICE,
        trigger=Trigger.PUSH,
        release_id=None,
        state=State.SUCCEEDED,
        reason=None,
        principal="alice",
        created_at=at,
        updated_at=at,
    )
    deployment = replace(deployment, **over)  # type: ignore[arg-type]
    with SqlStore(engine).unit() as unit:
        assert unit.deployments.add(deployment, at)
        detail = {"policies": ["operators"]}
        record(unit.connection, deployment.id, StageResult(Stage.CHECK_PERMISSION, "passed", detail, at, at))
        unit.dispatches.intend([Dispatch(IDS.new(), deployment.id, "production", "site", 1, 0, 0)], "nobody", 0)
        unit.audit.append([_entry(f"deployment:{verb}", delivery.id, deployment.id) for verb in ("planned", "succeeded")])
    return deployment


def test_deliveries_are_listed_for_machines(cli: Cli, scene: Scene) -> None:
    command = ("delivery", "list", "--json")
    whole, pending, newest = cli.each(command, (*command, "--state", "pending"), (*command, "--limit", "1"))
    assert [d["id"] for d in whole.json] == [scene.ignored.id, scene.delivery.id]
    assert whole.json[0]["reason"] == "nothing to do" and whole.json[0]["event"] is None
    assert whole.json[1]["event"]["repository"]["full_name"] == "acme/shop"
    assert whole.json[1]["received_at"] == NOW.isoformat()
    assert all("body" not in d for d in whole.json)
    assert [d["id"] for d in pending.json] == [scene.delivery.id]
    assert [d["id"] for d in newest.json] == [scene.ignored.id]


def test_what_there_is_is_listed_for_people(cli: Cli, scene: Scene) -> None:
    first, second = scene.first.id[-12:], scene.second.id[-12:]
    expected: dict[Command, tuple[str, ...]] = {
        ("delivery", "list"): (scene.delivery.id[-12:], scene.ignored.id[-12:], "refs/heads/main", "nothing to do", "pending"),
        ("deployment", "list"): (first, second, "production", "a" * 12, "b" * 12, "alice", "push", "succeeded"),
        ("audit", "show"): ("deployment:planned", "deployment:succeeded", "delivery:received", "gogs:2", "production"),
    }
    for ran, texts in zip(cli.each(*expected), expected.values(), strict=True):
        assert (ran.code, ran.err) == (0, "")
        assert [text for text in texts if text not in ran.text] == []


def test_a_delivery_is_shown_with_what_followed_from_it(cli: Cli, scene: Scene) -> None:
    for_machines, ran = cli.each(("delivery", "show", scene.delivery.id, "--json"), ("delivery", "show", scene.delivery.id[-12:]))
    found = for_machines.json
    assert found["id"] == scene.delivery.id and "body" not in found
    assert [d["id"] for d in found["deployments"]] == [scene.second.id, scene.first.id]
    assert [e["action"] for e in found["audit"]] == ["delivery:received", *["deployment:planned", "deployment:succeeded"] * 2]
    assert (ran.code, ran.err) == (0, "")
    for text in (scene.delivery.id, "forge-id-1", scene.first.id, scene.second.id, "gogs:acme/shop", "gogs:2 (alice)"):
        assert text in ran.text


def test_the_body_of_a_delivery_is_printed_byte_by_byte(cli: Cli, scene: Scene) -> None:
    ran = cli("delivery", "show", scene.delivery.id, "--body")
    assert (ran.code, ran.out, ran.err) == (0, BODY, "")


def test_deployments_are_listed_for_machines(cli: Cli, scene: Scene) -> None:
    command = ("deployment", "list", "--json")
    of = (*command, "--environment")
    whole, newest, production, staging = cli.each(command, (*command, "--limit", "1"), (*of, "production"), (*of, "staging"))
    releases = [(scene.second.id, scene.second.sha, "succeeded"), (scene.first.id, scene.first.sha, "succeeded")]
    assert [(d["id"], d["sha"], d["state"]) for d in whole.json] == releases
    assert [d["id"] for d in newest.json] == [scene.second.id]
    assert production.json == whole.json and staging.json == []


def test_a_deployment_is_shown_with_its_stages_dispatches_and_trail(cli: Cli, scene: Scene) -> None:
    for_machines, ran = cli.each(("deployment", "show", scene.first.id[-12:], "--json"), ("deployment", "show", scene.first.id))
    found = for_machines.json
    assert found["deployment"]["id"] == scene.first.id
    assert [(s["stage"], s["detail"]) for s in found["stages"]] == [("check_permission", {"policies": ["operators"]})]
    assert [d["dispatch"]["target"] for d in found["dispatches"]] == ["site"]
    assert [e["action"] for e in found["audit"]] == ["deployment:planned", "deployment:succeeded"]
    assert (ran.code, ran.err) == (0, "")
    for text in (scene.first.id, scene.first.sha, "gogs:acme/shop", "alice", "check_permission", "operators", "site: unknown"):
        assert text in ran.text


def test_text_from_outside_is_shown_as_it_is(cli: Cli, engine: Engine, scene: Scene) -> None:
    """A reason or a login is not markup: square brackets in it neither vanish nor break the listing."""
    reason, login = "exit status 1: [error] disk [/] full [/red]", "al[bold]ice[/nothing]"
    deployment = _released(
        engine,
        scene.delivery,
        "d" * 40,
        NOW,
        reason=reason,
        state=State.FAILED,
        principal=None,
        actor=replace(ALICE, login=login),
    )
    listing, one, delivery = cli.each(
        ("deployment", "list"), ("deployment", "show", deployment.id), ("delivery", "show", scene.delivery.id)
    )
    assert [ran.code for ran in (listing, one, delivery)] == [0, 0, 0]
    assert reason in listing.text and login in listing.text
    assert reason in one.text and login in one.text


def test_a_reason_gives_the_terminal_no_orders(cli: Cli, engine: Engine, scene: Scene) -> None:
    reason = "exit 1: \x1b]0;owned\x07\x1b[2Jall is well"
    deployment = _released(engine, scene.delivery, "e" * 40, NOW, reason=reason, state=State.FAILED)
    for ran in cli.each(("deployment", "list"), ("deployment", "show", deployment.id)):
        assert "all is well" in ran.text and ran.text.replace("\n", "").isprintable()


def test_audit_entries_are_shown_in_order_and_of_one_thing_where_asked(cli: Cli, scene: Scene) -> None:
    whole, last, of_deployment, of_delivery = cli.each(
        ("audit", "show", "--json"),
        ("audit", "show", "--limit", "2", "--json"),
        ("audit", "show", "--deployment", scene.first.id[-12:], "--json"),
        ("audit", "show", "--delivery", scene.ignored.id, "--json"),
    )
    assert len(whole.json) == 6
    assert [e["seq"] for e in whole.json] == sorted(e["seq"] for e in whole.json)
    assert last.json == whole.json[-2:]
    assert [e["action"] for e in of_deployment.json] == ["deployment:planned", "deployment:succeeded"]
    assert {e["deployment_id"] for e in of_deployment.json} == {scene.first.id}
    assert [(e["action"], e["delivery_id"]) for e in of_delivery.json] == [("delivery:received", scene.ignored.id)]


def test_a_rollback_plans_the_earlier_release_as_the_operators_own_act(
    cli: Cli, scene: Scene, engine: Engine, broker: redis.Redis
) -> None:
    made = cli("deployment", "rollback", "production", "--json").json
    assert (made["sha"], made["release_id"], made["trigger"]) == (scene.first.sha, scene.first.id, "rollback")
    assert (made["state"], made["actor"]["forge"], made["actor"]["id"]) == ("planned", "os", ME)
    kept = Reads(engine).deployment(made["id"]).deployment
    assert (kept.sha, kept.state, kept.actor) == (scene.first.sha, State.PLANNED, Account("os", ME, ME))
    (planned,) = Reads(engine).audit(deployment_id=kept.id)
    assert (planned.action, planned.actor, planned.detail["release"]) == ("deployment:planned", f"os:{ME}", scene.first.id)
    (message,) = broker.lrange("commits", 0, -1)
    assert json.loads(message)["headers"]["task"] == "validate_identity"
    assert kept.id in base64.b64decode(json.loads(message)["body"]).decode()


@pytest.mark.parametrize("spelling", ["end of the id", "whole commit", "8 of the commit", "12 of the commit"])
def test_a_rollback_takes_a_release_by_any_name_that_the_listing_shows(
    cli: Cli, scene: Scene, broker: redis.Redis, spelling: str
) -> None:
    sha = scene.first.sha
    names = {"end of the id": scene.first.id[-12:], "whole commit": sha, "8 of the commit": sha[:8], "12 of the commit": sha[:12]}
    ran = cli("deployment", "rollback", "production", "--to", names[spelling])
    assert (ran.code, ran.err) == (0, "")
    assert f"is planned: it brings production back to {sha[:12]}" in ran.text
    followed = ran.text.split()[-1]
    assert ran.text.rstrip().endswith(f"Follow it: tidegate deployment watch {followed}")
    assert cli("deployment", "show", followed, "--json").json["deployment"]["trigger"] == "rollback"
    assert broker.llen("commits") == 1


def test_a_body_that_is_no_longer_kept_is_said_with_its_digest(cli: Cli, scene: Scene, engine: Engine) -> None:
    with engine.begin() as connection:
        emptying = "UPDATE deliveries SET body = NULL, body_digest = 'd1ge57' WHERE id = %s"
        connection.exec_driver_sql(emptying, (scene.delivery.id,))
    refused = cli("delivery", "show", scene.delivery.id, "--body").ended_with(NOT_FOUND)
    assert "is no longer kept (TIDEGATE_KEEP_BODIES); its SHA-256 was d1ge57. It can still be replayed" in refused
    assert "no longer kept; its SHA-256 was d1ge57" in cli("delivery", "show", scene.delivery.id).text
    assert cli("delivery", "list", "--json").json[-1]["body_digest"] == "d1ge57"
    assert cli("delivery", "replay", scene.delivery.id, "--json").json[0]["trigger"] == "replay"


def test_bodies_that_are_kept_for_ever_are_a_suggestion(cli: Cli) -> None:
    assert "suggestion: TIDEGATE_KEEP_BODIES: is not set" in cli("config", "check").text
    assert "suggestion" not in cli("config", "check", TIDEGATE_KEEP_BODIES="90").text


def test_a_waiting_deployment_is_cancelled_by_the_operator_with_the_right(cli: Cli, scene: Scene) -> None:
    waiting = cli("deployment", "rollback", "production", "--json").json
    cancelling = ("deployment", "cancel", waiting["id"][-12:], "--reason", "not today")
    refused = cli(*cancelling).ended_with(1)
    assert "no policy permits to cancel by name" in refused
    right = '@id("cancel") permit (principal in Group::"operators", action == Action::"cancel", resource);'
    (cli.folder / "policies" / "cancel.cedar").write_text(right)
    ended = cli(*cancelling, "--json").json
    assert (ended["state"], ended["reason"]) == ("denied", "cancelled by alice: not today")
    assert "has already ended" in cli(*cancelling).ended_with(1)
    assert "cancelled by alice: not today" in cli("deployment", "list").text


def test_a_rollback_is_planned_even_while_redis_is_away(cli: Cli, scene: Scene, engine: Engine) -> None:
    ran = cli("deployment", "rollback", "production", "--json", TIDEGATE_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert ran.code == 0 and "Traceback" not in ran.err
    assert Reads(engine).deployment(json.loads(ran.text)["id"]).deployment.state is State.PLANNED


MISSING: dict[Command, str] = {
    ("deployment", "rollback", "nowhere"): "there is no environment nowhere",
    ("deployment", "rollback", "staging"): "staging has no earlier release to go back to, or only by an override (--to names it)",
    ("deployment", "rollback", "production", "--to", "f" * 40): "production has no such release to go back to",
    ("deployment", "rollback", "production", "--to", UNKNOWN): "production has no such release to go back to",
    ("deployment", "show", UNKNOWN, "--json"): f"no deployment is named {UNKNOWN}",
    ("deployment", "show", "0190a"): "'0190a' is too short for a deployment's id; give 6 characters or more",
    ("delivery", "show", UNKNOWN, "--body"): f"no delivery is named {UNKNOWN}",
    ("delivery", "replay", UNKNOWN): f"no delivery is named {UNKNOWN}",
    ("audit", "show", "--deployment", UNKNOWN): f"no deployment is named {UNKNOWN}",
}


def test_what_there_is_not_is_one_message_and_its_own_exit_code(cli: Cli, scene: Scene, engine: Engine) -> None:
    told = {command: ran.ended_with(NOT_FOUND) for command, ran in zip(MISSING, cli.each(*MISSING), strict=True)}
    assert told == MISSING
    assert len(Reads(engine).deployments(10)) == 2


@pytest.mark.parametrize("command", [("delivery", "list", "--json"), ("audit", "show"), ("deployment", "rollback", "production")])
def test_without_the_database_it_is_one_message_and_its_own_exit_code(cli: Cli, command: Command) -> None:
    ran = cli(*command, TIDEGATE_DATABASE_URL=f"postgresql://tidegate_app:hidden-pw@127.0.0.1:{free_port()}/tidegate")
    assert ran.ended_with(AWAY) == "the database cannot be used now (OperationalError)"


@pytest.mark.parametrize("limit", ["-1", "9" * 30])
def test_a_limit_that_makes_no_sense_is_refused_as_usage(cli: Cli, limit: str) -> None:
    commands: list[Command] = [("delivery", "list"), ("deployment", "list"), ("audit", "show")]
    for ran in cli.each(*((*command, "--limit", limit) for command in commands)):
        assert (ran.code, ran.out) == (CONFIGURATION, b"")
        assert "--limit" in ran.err and "Traceback" not in ran.err


def test_missing_settings_are_listed_all_at_once(cli: Cli) -> None:
    commands: list[Command] = [("config", "check", "--json"), ("delivery", "list")]
    for ran in cli.each(*commands, TIDEGATE_DATABASE_URL=None, TIDEGATE_REDIS_URL=None):
        message = ran.ended_with(CONFIGURATION)
        told = sorted(line.partition(";")[0] for line in message.splitlines())
        assert told == ["TIDEGATE_DATABASE_URL: is not set", "TIDEGATE_REDIS_URL: is not set"]


def test_a_wrong_setting_is_named_without_its_value(cli: Cli) -> None:
    message = cli("config", "check", TIDEGATE_DATABASE_URL="mysql://u:hidden-pw@h/d", TIDEGATE_WEB_PORT="0").ended_with(
        CONFIGURATION
    )
    assert [line.partition(":")[0] for line in message.splitlines()] == ["TIDEGATE_DATABASE_URL", "TIDEGATE_WEB_PORT"]
    assert "hidden-pw" not in message


def test_a_good_configuration_is_checked_for_people_and_machines(cli: Cli) -> None:
    ran, for_machines = cli.each(("config", "check"), ("config", "check", "--json"))
    warned = [line.partition("`")[2].partition("`")[0] for line in ran.err.splitlines() if "no policy names the action" in line]
    assert (ran.code, warned) == (0, ["read", "review", "change-policies"]) and len(ran.err.splitlines()) == 3
    for text in ("production", "staging", "gogs:acme/shop", "branch:main", "site", "no faults"):
        assert text in ran.text
    assert [e["name"] for e in for_machines.json["environments"]] == ["production", "staging"]
    assert len(for_machines.json["digest"].split(".")) == 3


def test_a_secret_that_is_good_for_several_repositories_is_warned_about_with_the_remedy(cli: Cli) -> None:
    shop = '[forges.gogs.repositories."acme/shop"]\nwebhook_secrets = ["env:SHOP"]\n'
    blog = '[forges.gogs.repositories."acme/blog"]\nwebhook_secrets = ["env:SHOP"]\n'
    other = environment({"name": "blog", "repository": "gogs:acme/Blog"}, STAGING)
    wide = "is the webhook secret of acme/blog, acme/shop: an administrator of one of them reads it"
    for more, warning in (
        ("", f"warning: forges.gogs: env:WEBHOOK_SECRET {wide}"),
        (shop, ""),
        (shop + blog, f"warning: forges.gogs: env:SHOP {wide}"),
    ):
        (cli.folder / "tidegate.toml").write_text(f"{TIDEGATE_TOML}\n{other}\n{more}")
        ran = cli("config", "check")
        assert ran.code == 0 and ran.err.startswith(warning) and ("webhook secret" in ran.err) == bool(warning)
        assert not warning or '[forges.gogs.repositories."acme/blog"] webhook_secrets = [...]' in ran.err


def test_a_role_that_may_change_the_log_is_warned_about_on_standard_error(cli: Cli, postgres: EmbeddedPostgres) -> None:
    ran = cli("config", "check", TIDEGATE_DATABASE_URL=postgres.url(OWNER))
    assert ran.code == 0 and "no faults" in ran.text
    assert "may change audit entries" in ran.err and "may change audit" not in ran.text


def test_a_configuration_can_be_checked_without_a_database(cli: Cli) -> None:
    ran = cli("config", "check", TIDEGATE_DATABASE_URL=f"postgresql://u:hidden-pw@127.0.0.1:{free_port()}/d")
    assert ran.code == 0 and "no faults" in ran.text
    assert ran.err.startswith("warning: the database cannot be used now") and "hidden-pw" not in ran.err


# What is written wrongly, and what is told of it, by line. Names are looked at once the shape is right.
FAULTS: dict[str, tuple[dict[str, str], list[tuple[int, str]]]] = {
    "syntax": ({"[zones.local]": "[zones.local"}, [(9, "not TOML")]),
    "shape": (
        {'"env:WEBHOOK_SECRET"': '"in-the-clear"', '"branch:main"': '"main"'},
        [(7, "must be a reference"), (22, 'must be "branch:GLOB", "tag:GLOB" or "release"')],
    ),
    "names": (
        {'"gogs"': '"cvs"', 'zone = "local"': 'zone = "nowhere"', "path =": "paht =", '"staging"': '"production"'},
        [(5, "unknown kind 'cvs'"), (15, "no zone 'nowhere'"), (16, "paht"), (27, "a second environment 'production'")],
    ),
}


@pytest.mark.parametrize(("written", "told"), FAULTS.values(), ids=FAULTS.keys())
def test_every_fault_of_the_configuration_is_told_by_file_and_line(
    cli: Cli, written: dict[str, str], told: list[tuple[int, str]]
) -> None:
    faulty = TIDEGATE_TOML
    for good, bad in written.items():
        assert good in faulty
        faulty = faulty.replace(good, bad, 1)
    (cli.folder / "tidegate.toml").write_text(faulty)
    for ran in cli.each(("config", "check"), ("config", "check", "--json"), ("deployment", "rollback", "production")):
        lines = ran.ended_with(CONFIGURATION).splitlines()
        for line, what in told:
            assert [each for each in lines if each.startswith(f"tidegate.toml:{line}: ") and what in each], lines


# A slip in one of the two files, and what is told of it.
SLIPS: dict[str, tuple[str, str, str, str]] = {
    "login": ("people.toml", '"gogs:2"', '"gogs:alice"', "people.toml:3: people.0.accounts.0: the account 'gogs:alice' of alice"),
    "zero": ("people.toml", '"gogs:2"', '"gogs:02"', "people.toml:3: people.0.accounts.0: the account 'gogs:02' of alice"),
    "home": ("tidegate.toml", 'path = "site"', 'path = "~/www/shop"', "tidegate.toml:16: targets.site.path: '~/www/shop'"),
    "ref": ("tidegate.toml", '"branch:main"', '"branch:refs/heads/main"', "tidegate.toml:22: environments.0.deploys.0: "),
}


@pytest.mark.parametrize(("file", "good", "bad", "told"), SLIPS.values(), ids=SLIPS.keys())
def test_a_slip_is_refused_with_file_and_line(cli: Cli, file: str, good: str, bad: str, told: str) -> None:
    path = cli.folder / file
    assert good in path.read_text()
    path.write_text(path.read_text().replace(good, bad, 1))
    (line,) = cli("config", "check").ended_with(CONFIGURATION).splitlines()
    assert line.startswith(told)
    assert cli("delivery", "list").code == 0  # what runs already goes on


def test_refs_that_two_stars_deploy_now_are_listed_and_the_number_of_a_repository_is_offered(cli: Cli, engine: Engine) -> None:
    path = cli.folder / "tidegate.toml"
    path.write_text(path.read_text().replace('"branch:main"', '"branch:**"', 1))
    event = Event(EventKind.PUSH, REPOSITORY, "refs/heads/release/2024/05", None, "d" * 40, ALICE)
    inbox = SqlInbox(engine, lambda d: _entry("delivery:received", d.id, None))
    inbox.put(Delivery(IDS.new(), "gogs", "f-3", "push", b"{}", event, None, NOW, DeliveryState.PENDING)).result(timeout=30)
    ran = cli("config", "check")
    assert ran.code == 0
    assert 'production deploys "branch:**"' in ran.err and "refs/heads/release/2024/05 fit now" in ran.err
    assert "add repository_id = 1" in ran.text


def test_faults_of_people_and_policies_are_told_together(cli: Cli) -> None:
    (cli.folder / "people.toml").write_text('[[people]]\nsubject = "alice"\ngruops = []\n')
    (cli.folder / "policies" / "all.cedar").write_text("permit (principal, action, resource")
    message = cli("config", "check").ended_with(CONFIGURATION)
    assert "people.toml:3: " in message and "all.cedar:1: " in message


def test_a_missing_configuration_is_told(cli: Cli) -> None:
    (cli.folder / "tidegate.toml").unlink()
    assert cli("config", "check").ended_with(CONFIGURATION).startswith("tidegate.toml: cannot be read: No such file")


def test_the_example_is_written_once_never_over_anything_and_passes_the_check(cli: Cli) -> None:
    ran = cli("config", "example", "--folder", "new")
    assert (ran.code, ran.err) == (0, "")
    written = sorted(line.removeprefix("wrote ") for line in ran.text.splitlines())
    names = [
        ".tidegate/webhook.secret",
        "people.toml",
        "policies/deploy.cedar",
        "policies/push.cedar",
        "policies/rights.cedar",
        "policies/rollback.cedar",
        "tidegate.toml",
    ]
    assert written == [f"new/{name}" for name in names]
    secret = cli.folder / "new" / ".tidegate" / "webhook.secret"
    assert secret.stat().st_mode & 0o777 == 0o600 and secret.read_text().strip() not in ran.text
    kept = {name: (cli.folder / "new" / name).read_bytes() for name in names}
    again = cli("config", "example", "--folder", "new")
    assert (again.code, again.out, again.err) == (0, b"", "")
    assert {name: (cli.folder / "new" / name).read_bytes() for name in names} == kept
    checked = cli("config", "check", "--json", TIDEGATE_CONFIG="new/tidegate.toml").json
    assert [e["name"] for e in checked["environments"]] == ["production"]
    assert "no policy names" not in cli("config", "check", TIDEGATE_CONFIG="new/tidegate.toml").err


def test_the_example_leaves_a_folder_with_a_configuration_alone(cli: Cli) -> None:
    before = {path: path.read_bytes() for path in cli.folder.rglob("*") if path.is_file()}
    ran = cli("config", "example")
    assert (ran.code, ran.out, ran.err) == (0, b"", "")
    assert {path: path.read_bytes() for path in cli.folder.rglob("*") if path.is_file()} == before


def test_an_example_that_cannot_be_written_is_told_without_a_traceback(cli: Cli) -> None:
    (cli.folder / "taken").write_text("a file")
    ran = cli("config", "example", "--folder", "taken")
    assert ran.code != 0 and ran.out == b""
    assert "taken" in ran.err and "Traceback" not in ran.err


def test_a_command_that_there_is_not_is_refused_as_usage(cli: Cli) -> None:
    for ran in cli.each(("delivery", "destroy"), ("deployment", "show"), ("delivery", "list", "--nope")):
        assert (ran.code, ran.out) == (CONFIGURATION, b"")
        assert "Usage: tidegate" in ran.err and "Traceback" not in ran.err


def test_the_command_explains_itself_without_any_setting(cli: Cli) -> None:
    nouns: list[Command] = [(), ("delivery",), ("config",)]
    runs = cli.each(*((*noun, "--help") for noun in nouns), TIDEGATE_DATABASE_URL=None, TIDEGATE_REDIS_URL=None)
    for noun, ran in zip(nouns, runs, strict=True):
        assert (ran.code, ran.err) == (0, "")
        assert " ".join(("Usage: tidegate", *noun)) in ran.text


def test_the_command_that_is_installed_is_this_one(cli: Cli) -> None:
    command = ("delivery", "list", "--nope")
    installed = [str(Path(sys.executable).parent / "tidegate"), *command]
    done = subprocess.run(installed, cwd=cli.folder, env=cli.env, capture_output=True, timeout=150, check=False)
    assert Ran(done.returncode, done.stdout, done.stderr.decode()) == cli(*command)
