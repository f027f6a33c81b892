"""What is configured and can never work is told with what to add, as far as the files prove it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.config.load import Configuration, load_configuration
from app.domain.event import Account, Event, EventKind, Repository
from app.guard.advise import advise, unbound, widened
from app.guard.load import KINDS
from app.integrations.policy.cedar import load as load_policies
from tests.configurations import toml

PEOPLE = '[[people]]\nsubject = "alice"\naccounts = ["gogs:2"]\ngroups = ["deployers"]\n'
DEPLOY = '@id("deploy")\npermit (principal in Group::"deployers", action == Action::"deploy", resource);\n'
APPROVALS = '@id("two")\nforbid (principal, action == Action::"deploy", resource) unless { context.approvals.met };\n'
APPROVE = '@id("approve")\npermit (principal in Group::"deployers", action == Action::"approve", resource);\n'
ISSUER = (
    '[issuers.company]\nkind = "oidc"\nissuer = "https://id.example"\naudience = "https://gate.example"\nclient_id = "gate"\n'
)
RULE = "[[environments.approvals.rules]]\ncount = 2\ngroups = ['deployers']\n"

Advice = Callable[..., list[str]]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Configuration]:
    monkeypatch.chdir(tmp_path)

    def configure(text: str, people: str = PEOPLE) -> Configuration:
        (tmp_path / "people.toml").write_text(people)
        (tmp_path / "tidegate.toml").write_text(text)
        return load_configuration(tmp_path / "tidegate.toml", KINDS)

    return configure


@pytest.fixture
def advice(tmp_path: Path, configure: Callable[..., Configuration]) -> Advice:
    def advice(*more: str, policies: str = DEPLOY, people: str = PEOPLE) -> list[str]:
        (tmp_path / "policies").mkdir(exist_ok=True)
        (tmp_path / "policies" / "all.cedar").write_text(policies)
        return list(advise(configure(toml(*more, site={"modes": "commit"}), people), load_policies(tmp_path / "policies")))

    return advice


def test_what_works_is_not_spoken_of(advice: Advice) -> None:
    assert advice() == []
    people = PEOPLE + '[[people]]\nsubject = "bob"\ngroups = ["deployers"]\n'
    assert advice(RULE, ISSUER, policies=DEPLOY + APPROVALS + APPROVE, people=people) == []


def test_approvals_that_nobody_can_give_are_told_with_each_thing_that_lacks(advice: Advice) -> None:
    told = advice(RULE, policies=DEPLOY + APPROVALS)
    what = "policies ask for approvals of deployments to production, and "
    assert [line.removeprefix(what).partition(":")[0] for line in told] == [
        "nobody can sign in to vote",
        "no policy permits to approve",
        "a rule wants 2 of deployers, which have 1 active people",
    ]
    assert all(": add " in line for line in told)


def test_a_permit_for_any_action_gives_no_right_to_approve(advice: Advice) -> None:
    everything = '@id("all")\npermit (principal in Group::"deployers", action, resource);\n'
    assert any("no policy permits to approve" in line for line in advice(ISSUER, policies=everything + APPROVALS))


def test_an_environment_that_nobody_may_ever_deploy_to_is_told(advice: Advice) -> None:
    other = DEPLOY.replace("resource)", 'resource == Environment::"staging")')
    assert advice(policies=other) == [
        'policies name the environment "staging", which tidegate.toml does not have; there are production',
        "no policy permits to deploy to production: add a permit for the action deploy",
    ]


def test_groups_of_one_side_only_are_told(advice: Advice) -> None:
    assert advice(people=PEOPLE.replace("deployers", "deployer")) == [
        'policies name the group "deployers", which nobody in people.toml has: add it to the groups of a person',
        'people.toml has the group "deployer", which no policy names; policies name deployers',
    ]


def test_groups_are_not_judged_if_another_source_knows_people(advice: Advice) -> None:
    scim = '[identity.directory]\nkind = "scim"\n'
    assert advice(scim, people='[[people]]\nsubject = "alice"\n') == []


def test_a_repository_that_only_policies_name_is_told(advice: Advice) -> None:
    other = DEPLOY.replace("resource)", 'resource in Repository::"gogs:acme/shopp")')
    assert any('policies name the repository "gogs:acme/shopp"' in line for line in advice(policies=other))


def test_an_event_that_never_happens_is_told(advice: Advice) -> None:
    sink = '[sinks.chat]\nkind = "webhook"\nurl = "https://c.example"\nsecret = "env:S"\n'
    (told,) = advice(sink + 'events = ["deployment:hold", "deployment:*", "deployment:held"]\n')
    assert told.startswith('sinks.chat asks for "deployment:hold", and nothing is named so')


def test_an_account_at_an_unknown_forge_is_told_with_its_line(advice: Advice) -> None:
    (told,) = advice(people=PEOPLE.replace('"gogs:2"', '"gitlab:2"'))
    assert "people.toml:3: " in told and "at a forge that is not configured" in told


def test_a_secret_file_that_cannot_serve_is_told_without_the_secret(
    tmp_path: Path, configure: Callable[..., Configuration], advice: Advice
) -> None:
    (tmp_path / "hook").touch(mode=0o600)
    (tmp_path / "hook").write_text(" s3cret \n")
    advice()
    secrets = ["env:HOOK", f"file:{tmp_path}/hook", f"file:{tmp_path}/none"]
    configuration = configure(toml(site={"modes": "commit"}, forge={"webhook_secrets": secrets}))
    told = list(advise(configuration, load_policies(tmp_path / "policies")))
    assert [line.split(": ")[0] for line in told] == ["forges.gogs.webhook_secrets"] * 2
    assert "begins or ends with a blank" in told[0] and "s3cret" not in told[0] and "No such file" in told[1]


def seen(*refs: str) -> list[Event]:
    repository = Repository("gogs", 42, "acme/shop", "acme", 7)
    return [Event(EventKind.PUSH, repository, ref, None, "a" * 40, Account("gogs", "2", "alice")) for ref in refs]


def test_refs_that_two_stars_deploy_since_they_cross_a_slash_are_listed(configure: Callable[..., Configuration]) -> None:
    configuration = configure(toml(production={"deploys": ["branch:main", "branch:release/**"]}))
    known = seen("refs/heads/main", "refs/heads/release/1", "refs/heads/release/2024/05", "refs/heads/other/x")
    (told,) = widened(configuration, known)
    assert told.endswith("did not in former versions: refs/heads/release/2024/05 fit now")
    assert list(widened(configuration, known[:2])) == []
    (unknown,) = widened(configuration, None)
    assert 'production deploys "branch:release/**": ** crosses /' in unknown


def test_the_number_of_a_repository_is_offered_once_it_is_known(configure: Callable[..., Configuration]) -> None:
    (told,) = unbound(configure(toml()), seen("refs/heads/main"))
    assert told.endswith("add repository_id = 42")
    assert list(unbound(configure(toml(production={"repository_id": 42})), seen("refs/heads/main"))) == []
