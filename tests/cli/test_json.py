"""Every command that takes `--json`: the names and types of what it prints stay as scripts know them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import typer
from sqlalchemy import Engine

from app.cli.main import app
from app.domain.deployment import Dispatch
from app.domain.notice import Notice
from app.domain.session import Session, StoredSession
from app.integrations.system import SystemIds, write_private
from app.pipeline.approve.propose import propose_policy
from app.pipeline.line.authorize import authorize
from app.pipeline.line.identify import identify
from app.store.unit import SqlStore
from tests.cli.test_approval import PEOPLE, Desk, desk
from tests.cli.test_cli import NOW, TIDEGATE_TOML, Cli, Scene, broker, cli, scene
from tests.held import POLICIES, RIGHTS
from tests.integrations.targets.cast import SIGNING_SECRET, serving
from tests.pipeline.ask.cast import git
from tests.shapes import golden, shape

__all__ = ["broker", "cli", "desk", "scene"]
# They take a source that is read over the network (tests/answers has it), and a repository (test_environment.py has them).
UNTRIED = {"access sync", "environment baseline", "environment list", "environment show"}
TESTS = """\
[people]
alice = { groups = ["operators"] }
[environments.production]
repository = "gogs:acme/shop"
[[test]]
name = "operators deploy"
who = "alice"
environment = "production"
expect = "allow"
[[test]]
name = "they do not"
who = "alice"
environment = "production"
expect = "deny"
"""
DELEGATE = "\"/opt/gogs/gogs\" hook --config='/opt/gogs/custom/conf/app.ini' pre-receive\n"  # as Gogs writes it
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBt7W3Dsj2PBAYSFMzYsrIXbGjjAiJPoYcTRVTFoyQ5r alice\n"


def commands(group: Any, *words: str) -> Iterator[str]:
    """List the commands that take `--json`."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *words, name)
        elif any("--json" in parameter.opts for parameter in command.params):
            yield " ".join((*words, name))


def test_every_command_is_pinned() -> None:
    pinned = {case.partition(" (")[0] for part in golden("cli_json.json").values() for case in part}
    assert set(commands(typer.main.get_command(app))) == pinned | UNTRIED


@dataclass
class Recorder:
    """Runs commands, and keeps the shapes of what they print: `ran` runs one, and returns its exit status and its output."""

    ran: Callable[..., tuple[int, str, str]]
    shapes: dict[str, Any] = field(default_factory=dict)

    def __call__(self, name: str, *arguments: str, case: str = "", code: int = 0) -> Any:
        """Run a command; return what it prints."""
        found, out, err = self.ran(*name.split(), *arguments, "--json")
        assert found == code, err
        documents = [json.loads(line) for line in out.splitlines()]
        read = documents if name == "deployment watch" else documents[0]
        self.shapes[f"{name} ({case})" if case else name] = shape(read)
        return read


@pytest.fixture
def ask(cli: Cli) -> Recorder:
    def ran(*arguments: str) -> tuple[int, str, str]:
        done = cli(*arguments)
        return done.code, done.text, done.err

    return Recorder(ran)


def test_what_is_told_of_the_line_keeps_its_shape(ask: Recorder, scene: Scene, broker: redis.Redis, folder: Path) -> None:
    ask("delivery list")
    ask("delivery show", scene.delivery.id)
    ask("deployment list")
    ask("deployment show", scene.first.id)
    back = ask("deployment rollback", "production")
    right = '@id("cancel") permit (principal in Group::"operators", action == Action::"cancel", resource);'
    (folder / "policies" / "cancel.cedar").write_text(right)
    ask("deployment watch", scene.first.id)
    ask("delivery replay", scene.delivery.id)
    ask("audit show")
    ask("deployment cancel", back["id"])
    ask("config check")
    assert broker.llen("commits") and ask.shapes == golden("cli_json.json")["the line"]


def test_what_is_told_of_people_and_freezes_keeps_its_shape(ask: Recorder, folder: Path) -> None:
    (folder / "key.pub").write_text(KEY)
    ask("access list")
    ask("access show", "alice")
    ask("access who-can", "production")
    ask("access link", "gogs:7", "alice")
    ask("access sources")
    ask("access unlink", "gogs:7")
    key = ask("access key add", "alice", "key.pub")
    ask("access key list")
    ask("access key revoke", key["fingerprint"])
    freeze = ask("freeze add", "xmas", "--everywhere", "--for", "2h", "--reason", "nobody is in", "--every", "weekly")
    ask("freeze list")
    ask("freeze end", freeze["id"])
    assert ask.shapes == golden("cli_json.json")["people and freezes"]


def test_what_is_told_of_policies_keeps_its_shape(ask: Recorder, folder: Path) -> None:
    (folder / "tests.toml").write_text(TESTS)
    (folder / "other").mkdir()
    (folder / "other" / "o.cedar").write_text('@id("o") permit (principal, action, resource) when { context.forced };')
    ask("policy check")
    ask("policy check", "other", case="a folder")
    ask("policy test", "tests.toml", "--policies", "policies", code=1)
    simulation = ("--user", "alice", "--repo", "gogs:acme/shop", "--environment", "production")
    ask("policy simulate", *simulation)
    ask("policy simulate", *simulation, "--policies", "other", case="denied")
    ask("policy who-can", "production")
    ask("policy diff", "policies", "other", code=1)
    assert ask.shapes == golden("cli_json.json")["policies"]


def test_what_is_told_of_what_is_connected_keeps_its_shape(ask: Recorder, cli: Cli, engine: Engine, folder: Path) -> None:
    bare = folder / "shop.git"
    git(folder, "init", "-q", "--bare", str(bare))
    (bare / "hooks" / "pre-receive").write_text(DELEGATE)
    write_private(folder / "decide.secret", "s" * 40)
    ask("gogs install-hook", str(bare), "--forge", "gogs", "--secret-file", f"{folder}/decide.secret", "--no-ask")
    ask("gogs install-hook", str(bare), "--remove", case="--remove")
    with serving() as service:
        sink = f'[sinks.chat]\nkind = "webhook"\nevents = ["deployment:*"]\nurl = "{service.url}"\nsecret = "env:CHAT_SECRET"\n'
        (folder / "tidegate.toml").write_text(f'{TIDEGATE_TOML}\n[identity.directory]\nkind = "scim"\n{sink}')
        cli.env["CHAT_SECRET"] = SIGNING_SECRET.decode()
        ask("notice test", "chat")
    with SqlStore(engine).unit() as unit:
        unit.notices.add(Notice(SystemIds().new(), NOW, "deployment:held", "held", "", {}), ["chat"], NOW)
    ask("notice list")
    token = ask("scim token create", "directory", "--client", "okta")
    ask("scim token list")
    ask("scim token revoke", token["id"])
    assert ask.shapes == golden("cli_json.json")["what is connected"]


def test_what_several_people_decide_keeps_its_shape(desk: Desk) -> None:
    ask, waits = Recorder(desk.run), desk.held()
    ask("approval list", case="not signed in")
    desk.sign_in()
    ask("approval list")
    ask("approval show", waits.id)
    ask("approval approve", waits.id, "--comment", "seen")
    ask("approval show", waits.id, case="voted")
    authorize(desk.process.services, waits.id)
    ask("deployment show", waits.id, case="with a vote")
    ask("policy explain", waits.id)
    ask("policy replay", "--policies", "policies")
    waits = desk.held()
    ask("approval reject", waits.id)
    authorize(desk.process.services, waits.id)
    made = ask("override make", waits.id, "--purpose", "the shop is down, and nobody is awake")
    ask("override list", case="not reviewed")
    _send_out(desk, made["id"])
    _become_another(desk)
    ask("override review", made["id"], "--comment", "seen")
    ask("override list")
    ask("session list")
    ask("session end", "second")
    assert ask.shapes == golden("cli_json.json")["several people"]


def test_what_is_told_of_proposals_keeps_its_shape(desk: Desk) -> None:
    ask = Recorder(desk.run)
    desk.sign_in()
    accepted, rejected = _proposed(desk, "somebody else approves"), _proposed(desk, "one more approves it")
    ask("proposal list")
    ask("proposal show", accepted)
    ask("proposal accept", accepted)
    ask("proposal reject", rejected)
    ask("proposal apply", accepted)
    assert ask.shapes == golden("cli_json.json")["proposals"]


def _proposed(desk: Desk, reason: str) -> str:
    robot = desk.process.services.guard().identity.principal("robot")
    assert robot is not None
    text = (POLICIES + RIGHTS).replace("another person approves", reason)
    return propose_policy(desk.process.services, robot, "own.cedar", text, reason=reason).id


def _send_out(desk: Desk, deployment: str) -> None:
    """Have an override go out, as far as a review asks for it."""
    identify(desk.process.services, deployment)
    dispatch = Dispatch(desk.process.ids.new(), deployment, "production", "site", 1, 0, 0)
    with desk.process.services.store.unit() as unit:
        unit.dispatches.intend([dispatch], "test", 1.0)


def _become_another(desk: Desk) -> None:
    """Have somebody else sit at the machine, and sign in."""
    (desk.folder / "people.toml").write_text(PEOPLE.replace('subject = "operator"', 'subject = "second"'))
    now, new = desk.process.clock.now(), desk.process.ids.new()
    facts = Session(new, "second", "corp", now, now, "", (), "", "", "https://id.example")
    with desk.process.services.store.unit() as unit:
        unit.sessions.add(StoredSession(new, new, {}, now, now, now + timedelta(hours=1), facts))
