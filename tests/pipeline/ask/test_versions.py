"""A check of an earlier release gets the answer that it knows, and there are warnings until it is installed anew."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from app.integrations.forges.pre_receive import CURRENT_VERSION
from app.stack.postgres import EmbeddedPostgres
from tests.cli.desk import command, sit_down
from tests.pipeline.ask.cast import Hub, Person
from tests.pipeline.ask.installed import install_check_1
from tests.web.gate import Gate

Make = Callable[[str], Person]


def test_the_first_check_is_answered_as_before(
    alice: Person, person: Make, hub: Hub, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    install_check_1(hub)
    sha = alice.commit("file", "clean\n")
    with caplog.at_level(logging.WARNING):
        assert alice.push("main").returncode == 0
    assert "the check in gogs:5 (gogs:acme/shop) is version 1; install it anew" in caplog.text
    found = gate.audit("push:%")[-1]["detail"]
    context = found["request"]["request"]["context"]
    assert context["paths"] == ["file"] and context["inspected"] and context["authors_known"] and not context["forced"]
    assert found["check_version"] == 1
    old = found["old"]
    assert gate.rows(f"SELECT bases FROM checked_pushes WHERE sha = '{sha}'") == [([old],)]
    bob = person("bob")
    bob.commit("config.env", "aws_access_key_id = AKIAQ3EGRIUTPLB5CZ4D\n")
    done = bob.push("HEAD:refs/heads/topic")
    assert done.returncode != 0 and "no-secrets" in done.stderr and "found secret in config.env" in done.stderr
    assert bob.push(":refs/heads/main").returncode != 0


def test_what_the_first_check_did_not_look_at_is_not_vouched_for(alice: Person, hub: Hub, gate: Gate) -> None:
    install_check_1(hub)
    first = alice.git("rev-parse", "HEAD")
    alice.commit("more", "1\n")
    assert alice.push("main").returncode == 0
    assert alice.push(f"+{first}:refs/heads/main").returncode == 0  # back to an ancestor: it lists no commit
    query = f"SELECT bases FROM checked_pushes WHERE sha = '{first}' AND ref = 'refs/heads/main' AND old <> '{'0' * 40}'"
    assert gate.rows(query) == [([first],)]


def test_config_check_warns_until_the_check_is_installed_anew(
    alice: Person, hub: Hub, gate: Gate, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    sit_down(gate.folder, postgres, monkeypatch)
    warning = "warning: the check in gogs:acme/shop is version 1"
    assert warning not in command("config", "check")[2]
    install_check_1(hub)
    alice.commit()
    assert alice.push("main").returncode == 0
    assert warning in command("config", "check")[2]
    hub.install()
    alice.commit()
    assert alice.push("main").returncode == 0 and gate.audit("push:%")[-1]["detail"]["check_version"] == CURRENT_VERSION
    assert warning not in command("config", "check")[2]
