"""`tidegate environment …` as an operator uses it, against a real database and a real repository."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.config.example import write_example
from app.stack.postgres import EmbeddedPostgres
from app.store.reads import Reads
from tests.cli.desk import Command, sit_down
from tests.integrations.repositories.test_mirror import Origin, origin
from tests.shapes import shape

__all__ = ("origin",)  # a fixture

ME = pwd.getpwuid(os.getuid()).pw_name
REASON = ("--reason", "what ran before the gate")


@pytest.fixture
def desk(folder: Path, origin: Origin, postgres: EmbeddedPostgres, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The example configuration with a repository on this disk, where alice is the operator."""
    write_example(folder)
    config = folder / "tidegate.toml"
    clone = f'[forges.gogs]\nclone = "file://{origin.bare.parent.parent}/{{repository}}.git"\n'
    config.write_text(config.read_text().replace("[forges.gogs]\n", clone, 1))
    people = folder / "people.toml"
    people.write_text(people.read_text().replace('accounts = ["gogs:1"]', f'accounts = ["gogs:1", "os:{ME}"]'))
    sit_down(folder, postgres, monkeypatch)
    return Command("environment")


def test_an_operator_accepts_a_history_once_and_sees_it(desk: Command, origin: Origin, engine: Engine) -> None:
    sha = origin.commit("old")
    done = desk.run("baseline", "production", sha, *REASON)
    assert done == (0, f"production accepts the history of {sha[:12]} unseen, in the name of alice\n", "")
    code, _, err = desk.run("baseline", "production", sha, *REASON)
    assert code == 1 and f"production accepts the history of {sha} already" in err
    code, out, _ = desk.run("show", "production")
    assert code == 0 and sha in out and "what ran before the gate" in out
    (entry,) = [e for e in Reads(engine).audit() if e.action == "environment:baselined"]
    assert (entry.actor, entry.detail["sha"], entry.detail["effect"]) == ("alice", sha, "allow")
    listed = desk.json("list")
    row = {"environment": "str", "repository": "str", "sha": "str", "accepted_by": "str", "accepted_at": "str", "reason": "str"}
    assert shape(listed) == [
        {
            "name": "str",
            "repository": "str",
            "repository_id": "null",
            "deploys": ["str"],
            "targets": ["str"],
            "release": "null",
            "baselines": [row],
        }
    ]


def test_only_a_commit_of_the_repository_can_be_one(desk: Command, origin: Origin) -> None:
    origin.commit("old")
    code, _, err = desk.run("baseline", "production", "a" * 40, *REASON)
    assert code != 0 and "does not hold" in err
    code, _, err = desk.run("baseline", "production", "main", *REASON)
    assert code != 0 and "`git rev-parse main` prints it" in err
    code, _, err = desk.run("baseline", "nowhere", "a" * 40, *REASON)
    assert code == 3 and "there is no environment nowhere" in err


def test_a_permit_for_any_action_does_not_give_the_right(desk: Command, origin: Origin, folder: Path) -> None:
    sha = origin.commit("old")
    (folder / "policies" / "deploy.cedar").write_text('@id("all") permit (principal, action, resource);')
    code, _, err = desk.run("baseline", "production", sha, *REASON)
    assert code == 1 and "no policy permits to baseline by name" in err
    people = folder / "people.toml"
    people.write_text(people.read_text().replace(f', "os:{ME}"', ""))
    code, _, err = desk.run("baseline", "production", sha, *REASON)
    assert code == 1 and f"account os:{ME}" in err and "is not linked to a person" in err
