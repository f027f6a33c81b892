"""Real pushes to a real repository whose check asks a real gate."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from app.stack.postgres import EmbeddedPostgres
from tests.answers.values import DEPLOYMENT
from tests.cli.desk import command, sit_down
from tests.pipeline.ask.cast import ACCOUNTS, POLICIES, REPOSITORY_ID, Hub, Person, configure, git
from tests.web.gate import Gate

Make = Callable[[str], Person]


def test_who_may_push_does_and_hears_nothing(alice: Person, gate: Gate) -> None:
    sha = alice.commit()
    done = alice.push("main")
    assert done.returncode == 0 and "tidegate" not in done.stderr
    entry = gate.audit("push:%")[-1]
    assert (entry["action"], entry["actor"]) == ("push:allowed", f"gogs:{ACCOUNTS['alice']}")
    assert entry["detail"]["new"] == sha and entry["detail"]["policies"] == ["team-pushes"]
    assert entry["detail"]["request"]["request"]["resource"] == {"type": "Repository", "id": "gogs:Acme/Shop"}
    assert gate.rows(f"SELECT repository_id, ref, sha FROM checked_pushes WHERE sha = '{sha}'") == [
        (REPOSITORY_ID, "refs/heads/main", sha)
    ]


def test_a_stranger_is_refused_and_told_what_to_do(alice: Person, person: Make, hub: Hub, gate: Gate) -> None:
    charlie, before = person("charlie"), hub.refs()
    charlie.commit()
    done = charlie.push("HEAD:refs/heads/topic")
    assert done.returncode != 0 and "tidegate access link gogs:73" in done.stderr
    assert hub.refs() == before
    assert gate.audit("push:%")[-1]["action"] == "push:denied"


def test_an_inactive_account_is_refused(alice: Person, person: Make) -> None:
    dora = person("dora")
    dora.commit()
    done = dora.push("HEAD:refs/heads/topic")
    assert done.returncode != 0 and "dora is not active" in done.stderr


def test_the_policy_that_refuses_is_named_with_its_reason(alice: Person, person: Make) -> None:
    robot = person("robot")
    robot.git("pull", "-q", "origin", "main")
    robot.commit()
    done = robot.push("main")
    assert done.returncode != 0
    assert '"robots-stay-off-main" (an agent\'s work goes to main by a person)' in done.stderr
    assert robot.push("HEAD:refs/heads/topic").returncode == 0


@pytest.mark.parametrize("how", ["amend", "delete", "delete-and-create"])
def test_who_may_not_force_can_neither_rewind_nor_delete(alice: Person, person: Make, how: str) -> None:
    bob = person("bob")
    if how == "amend":
        bob.git("reset", "-q", "--hard", "HEAD")
        bob.git("checkout", "-q", "--orphan", "other")
        bob.commit("other")
        done = bob.push("+HEAD:refs/heads/main")
    else:
        done = bob.push(":refs/heads/main") if how == "delete" else bob.push(":refs/heads/main", "HEAD:refs/heads/topic")
    assert done.returncode != 0 and "only owners force or delete" in done.stderr


def test_an_owner_forces_and_deletes(alice: Person, hub: Hub, gate: Gate) -> None:
    alice.commit()
    assert alice.push("HEAD:refs/heads/topic").returncode == 0
    alice.git("commit", "-q", "--amend", "--allow-empty", "-m", "other")
    assert alice.push("+HEAD:refs/heads/topic").returncode == 0
    assert alice.push(":refs/heads/topic").returncode == 0
    events = [(e["detail"]["event"], e["detail"]["request"]["request"]["context"]["forced"]) for e in gate.audit("push:%")[1:]]
    assert events == [("create", False), ("push", True), ("delete", True)]
    assert "refs/heads/topic" not in hub.refs()


def test_one_denied_ref_denies_the_whole_push_and_none_counts_as_checked(
    alice: Person, person: Make, hub: Hub, gate: Gate
) -> None:
    robot, before = person("robot"), hub.refs()
    sha = robot.commit()
    done = robot.push("HEAD:refs/heads/main", "HEAD:refs/heads/topic")
    assert done.returncode != 0 and hub.refs() == before
    assert {e["action"] for e in gate.audit("push:%")[-2:]} == {"push:denied"}
    assert gate.rows(f"SELECT count(*) FROM checked_pushes WHERE sha = '{sha}'") == [(0,)]


def test_an_unknown_author_keeps_a_push_off_main_even_by_way_of_another_branch(alice: Person, person: Make) -> None:
    bob = person("bob")
    bob.commit(email="eve@example.com")
    assert bob.push("HEAD:refs/heads/topic").returncode == 0
    done = bob.push("HEAD:refs/heads/main")
    assert done.returncode != 0 and "known-authors-on-main" in done.stderr


def test_paths_are_seen_though_a_later_commit_takes_them_back(alice: Person, person: Make) -> None:
    bob = person("bob")
    bob.commit("db/schema.sql")
    bob.git("rm", "-q", "db/schema.sql")
    bob.commit("file", "y\n")
    done = bob.push("HEAD:refs/heads/topic")
    assert done.returncode != 0 and "migrations-need-owners" in done.stderr


def test_an_annotated_tag_is_checked_by_its_commit(alice: Person, gate: Gate) -> None:
    sha = alice.commit()
    alice.git("tag", "-a", "v1", "-m", "one")
    assert alice.push("refs/tags/v1").returncode == 0
    entry = gate.audit("push:%")[-1]["detail"]
    assert entry["new"] == alice.git("rev-parse", "v1") != sha
    assert entry["request"]["request"]["context"]["sha"] == sha and entry["request"]["request"]["context"]["tag"] == "v1"
    assert gate.rows(f"SELECT ref FROM checked_pushes WHERE sha = '{sha}'") == [("refs/tags/v1",)]


def test_a_tag_that_moves_is_forced(alice: Person, person: Make) -> None:
    alice.git("tag", "v1")
    assert alice.push("v1").returncode == 0
    bob = person("bob")
    bob.commit()
    bob.git("tag", "-f", "v1")
    done = bob.push("+refs/tags/v1")
    assert done.returncode != 0 and "only owners force or delete" in done.stderr


def test_a_hundred_refs_are_decided_about_and_more_are_refused(alice: Person, hub: Hub) -> None:
    refs = [f"HEAD:refs/heads/many/{n}" for n in range(200)]
    done = alice.push(*refs)
    assert done.returncode != 0 and "at most 100 refs" in done.stderr and len(hub.refs()) == 1
    done = alice.push(*refs[:100])
    assert done.returncode == 0, done.stderr
    assert len(hub.refs()) == 101


HOSTILE = [
    "a\nb",
    'q"uote',
    "s'ingle",
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "-rf",
    ".",
    "naïve",
    "tab\t",
    "back\\slash",
    "<a@b>",
]


def test_hostile_names_and_messages_stay_words(alice: Person, person: Make, gate: Gate, hub: Hub) -> None:
    bob = person("bob")
    for name in HOSTILE:
        bob.commit(f"d {name}/{name}x", message=f"{name}\n\n{name}\x01")
    branch = "we$(touch${IFS}pwned)';\"ird-é"
    done = bob.push(f"HEAD:refs/heads/{branch}")
    assert done.returncode == 0, done.stderr
    context = gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]
    assert context["branch"] == branch and context["paths_known"] and context["authors_known"]
    assert {f"d {name}/{name}x" for name in HOSTILE} <= set(context["paths"])
    assert not [path for path in (hub.bare, bob.clone) if (path / "pwned").exists()]


def test_an_email_that_plays_the_protocol_is_an_email(alice: Person, person: Make, gate: Gate) -> None:
    bob = person("bob")
    bob.commit(email=".")
    bob.commit("other", email="bob@example.com>\\n.")
    assert bob.push("HEAD:refs/heads/topic").returncode == 0
    context = gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]
    assert not context["authors_known"] and len(context["unknown_authors"]) == 2


def test_a_huge_push_is_decided_about_with_what_is_not_told_as_unknown(alice: Person, person: Make, gate: Gate) -> None:
    for number in range(9_000):
        path = alice.clone / f"lots/of/files/in/a/folder/number-{number:05d}-with-a-long-name"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    alice.commit()
    done = alice.push("main")
    assert done.returncode == 0, done.stderr
    context = gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]
    assert not context["paths_known"] and len(context["paths"]) == 2_000 and context["authors_known"]


def test_the_name_as_typed_in_another_case_avoids_no_policy(alice: Person, person: Make, gate: Gate) -> None:
    bob = person("bob")
    bob.owner_name, bob.repository = "ACME", "sHOP"
    assert "only owners force or delete" in bob.push(":refs/heads/main").stderr
    bob.repository = "LIB"  # of which only policies speak
    bob.commit()
    done = bob.push("HEAD:refs/heads/topic")
    assert done.returncode != 0 and "libs-are-frozen" in done.stderr


def test_a_repository_that_is_renamed_for_a_push_avoids_no_policy(alice: Person, person: Make, gate: Gate) -> None:
    """Its administrator renames it, pushes, and renames it back: the number stays, and what was checked is noted under it."""
    deployed = replace(DEPLOYMENT, id=str(uuid4()), release_id=None, delivery_id=None, correlation_id=str(uuid4()))
    with gate.process.services.store.unit() as unit:
        unit.deployments.add(replace(deployed, repository=replace(deployed.repository, id=REPOSITORY_ID)), None)
    bob = person("bob")
    bob.git("checkout", "-q", "--orphan", "other")
    bob.commit()
    bob.repository = "elsewhere"
    done = bob.push("-f", "HEAD:refs/heads/main")
    assert done.returncode != 0 and "shop-is-for-the-owner-to-force" in done.stderr
    entry = gate.audit("push:%")[-1]["detail"]
    assert entry["repository"] == "gogs:acme/elsewhere"
    assert entry["request"]["request"]["resource"] == {"type": "Repository", "id": "gogs:Acme/Shop"}
    assert entry["request"]["request"]["context"]["environments"] == ["production"]


def test_a_repository_that_took_over_a_name_is_not_taken_for_the_one_that_is_meant(alice: Person, gate: Gate) -> None:
    path = gate.folder / "tidegate.toml"
    path.write_text(path.read_text().replace('"gogs:Acme/Shop"', '"gogs:Acme/Shop"\nrepository_id = 77'))
    alice.commit()
    done = alice.push("main")
    assert done.returncode != 0 and "is not the one that the configuration means" in done.stderr


def test_without_a_policy_that_permits_pushes_nobody_pushes(alice: Person, gate: Gate) -> None:
    configure(gate, policies='@id("d") permit (principal, action == Action::"deploy", resource);')
    alice.commit()
    done = alice.push("main")
    assert done.returncode != 0 and "no policy permits alice to push to gogs:Acme/Shop" in done.stderr


def test_a_repository_that_no_environment_deploys_is_for_policies_to_decide(alice: Person, gate: Gate) -> None:
    alice.repository = "notes"
    alice.commit()
    assert alice.push("main").returncode == 0
    assert gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]["environments"] == []


def test_a_secret_is_stopped_before_it_enters_the_repository(alice: Person, person: Make, hub: Hub) -> None:
    hub.install(inspects=True)
    bob = person("bob")
    sha = bob.commit(
        "config.env",
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKE1\naws_access_key_id = AKIAQ3EGRIUTPLB5CZ4D\n",
    )
    done = bob.push("HEAD:refs/heads/topic")
    assert done.returncode != 0 and "no-secrets" in done.stderr and "found secret in config.env" in done.stderr
    assert "AKIAQ3EGRIUTPLB5CZ4D" not in done.stderr
    assert not list((hub.bare / "objects").glob(f"{sha[:2]}/{sha[2:]}"))


def test_a_binary_file_under_a_rule_of_inspection_is_named(alice: Person, person: Make, gate: Gate, hub: Hub) -> None:
    hub.install(inspects=True)
    clean = 'unless { context.inspected && !context.findings.contains("secret") };'
    rule = (
        '@id("clean") @reason("a secret must not enter the repository") forbid (principal, action == Action::"push", resource) '
    )
    configure(gate, policies=POLICIES + rule + clean)
    bob = person("bob")
    (bob.clone / "logo.png").write_bytes(b"\x89PNG\r\n\0\xff\n\0")
    bob.commit()
    done = bob.push("HEAD:refs/heads/topic")
    assert done.returncode != 0 and "not looked at: logo.png is binary" in done.stderr
    hub.install(inspects=False)
    assert "not looked at: the instance has not sent the content" in bob.push("HEAD:refs/heads/topic").stderr


def test_the_culprit_is_named_with_its_commit(alice: Person, person: Make, gate: Gate) -> None:
    bob = person("bob")
    sha = bob.commit("db/schema.sql", email="eve@example.com")
    done = bob.push("HEAD:refs/heads/main")
    assert f"e-mail eve@example.com belongs to nobody (commit {sha[:12]})" in done.stderr
    assert "changes db/schema.sql" in done.stderr
    assert "changes db/schema.sql" in gate.audit("push:%")[-1]["detail"]["culprits"]


def test_the_committers_name_is_inspected_as_the_authors(alice: Person, person: Make, hub: Hub, gate: Gate) -> None:
    hub.install(inspects=True)
    bob = person("bob")
    tree = bob.git("rev-parse", "HEAD^{tree}")
    mails = {"GIT_AUTHOR_EMAIL": "bob@example.com", "GIT_COMMITTER_EMAIL": "bob@example.com"}
    parent = bob.git("rev-parse", "HEAD")
    sha = git(
        bob.clone, "commit-tree", tree, "-p", parent, "-m", "x", env=mails | {"GIT_COMMITTER_NAME": "bob\u202egnol"}
    ).stdout.strip()
    rule = '@id("bidi") forbid (principal, action == Action::"push", resource) '
    asked = 'when { !context.inspected || context.findings.contains("bidi") };'
    configure(gate, policies=POLICIES + rule + asked)
    done = bob.push(f"{sha}:refs/heads/main")
    assert done.returncode != 0 and f"found bidi in commit {sha[:12]}" in done.stderr


def test_what_is_looked_into_and_clean_is_taken(alice: Person, gate: Gate, hub: Hub) -> None:
    hub.install(inspects=True)
    (alice.clone / "latin").write_bytes("caf\xe9\n".encode("latin-1"))
    alice.commit()
    assert alice.push("main").returncode == 0
    assert gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]["inspected"]


def test_more_than_the_check_sends_counts_as_not_looked_into(alice: Person, gate: Gate, hub: Hub) -> None:
    hub.install(inspects=True)
    alice.commit("large", "".join(f"line {n}\n" for n in range(300_000)))
    done = alice.push("main")
    assert done.returncode == 0, done.stderr
    context = gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]
    assert not context["inspected"] and context["paths_known"]


def test_no_name_of_a_path_says_that_the_paths_are_all(alice: Person, person: Make, gate: Gate) -> None:
    """As many paths as are sent at most, and more: the cut must not end a list so that it looks whole."""
    bob = person("bob")
    bob.commit("db/schema.sql")
    for number in range(260):
        (bob.clone / f"{'.' * (number % 3 + 1)}{number:04d}{'z' * 200}").write_text("x\n")
    bob.commit()
    for number in range(260, 2400):
        (bob.clone / f".{number:04d}{'y' * 200}").write_text("x\n")
    bob.commit()
    done = bob.push("HEAD:refs/heads/topic")
    assert done.returncode != 0
    assert not gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]["paths_known"]


def test_what_a_replacement_shows_is_not_what_is_looked_at(alice: Person, person: Make) -> None:
    """`refs/replace/…` may be pushed like any ref, and git would show that commit in place of the one that is pushed."""
    bob = person("bob")
    evil = bob.commit("db/schema.sql")
    bob.git("reset", "-q", "--hard", "HEAD~1")
    harmless = bob.commit("harmless")
    bob.push(f"{harmless}:refs/replace/{evil}")
    done = bob.push(f"{evil}:refs/heads/topic")
    assert done.returncode != 0 and "migrations-need-owners" in done.stderr


def test_what_a_denied_push_is_told_to_ask_for_explains_it(
    alice: Person, person: Make, gate: Gate, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    charlie, robot = person("charlie"), person("robot")
    robot.git("pull", "-q", "origin", "main")
    robot.commit()
    told = robot.push("main").stderr
    name = re.findall(r"tidegate policy explain ([0-9a-f-]{36})", told)[0]
    sit_down(gate.folder, postgres, monkeypatch)
    code, out, err = command("policy", "explain", name)
    assert (code, err) == (0, "")
    assert "push:denied: deny by robots-stay-off-main (push.cedar:" in out and "may robot (agent, in " in out
    assert "change   it would be allowed if a person does it" in out
    told = charlie.push("HEAD:refs/heads/topic").stderr
    (name,) = re.findall(r"tidegate policy explain ([0-9a-f-]{36})", told)
    assert "no policy was asked about it: account gogs:" in command("policy", "explain", name)[1]
    assert command("policy", "explain", "01890000-0000-7000-8000-000000000001")[0] == 3
