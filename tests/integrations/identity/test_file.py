"""People in a file: exact accounts, active people's e-mails, and every fault with its line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from app.domain.access import Group, Identity
from app.domain.errors import BadConfiguration
from app.domain.principal import PrincipalKind
from app.integrations.identity.file import FilePeople, load

EXAMPLE = Path(__file__).parents[3] / "examples" / "people.toml"
PEOPLE = """\
[[people]]
subject = "alice"
emails = ["Alice@Example.com"]
accounts = ["gogs:2", "os:alice"]
groups = ["deployers", "production"]

[[people]]
subject = "robot"
kind = "machine"
emails = ["robot@example.com"]
accounts = ["gogs:7"]
active = false
"""


def people(folder: Path, text: str = PEOPLE) -> FilePeople:
    path = folder / "people.toml"
    path.write_text(text)
    return load(path)


def faults_of(folder: Path, text: str) -> list[str]:
    with pytest.raises(BadConfiguration) as caught:
        people(folder, text)
    return [fault.removeprefix(f"{folder}/") for fault in caught.value.faults]


def test_a_person_is_taken_as_written_with_emails_in_lower_case(tmp_path: Path) -> None:
    alice, robot = people(tmp_path).identities()
    assert alice == Identity(
        "alice", "alice", is_active=True, kind=PrincipalKind.HUMAN, login="alice", emails=frozenset({"alice@example.com"})
    )
    assert (robot.subject, robot.kind, robot.is_active) == ("robot", PrincipalKind.MACHINE, False)


def test_groups_are_those_that_people_name(tmp_path: Path) -> None:
    more = PEOPLE + '\n[[people]]\nsubject = "carol"\ngroups = ["deployers"]\n'
    assert people(tmp_path, more).groups() == (
        Group("deployers", "deployers", frozenset({"alice", "carol"})),
        Group("production", "production", frozenset({"alice"})),
    )


def test_accounts_are_taken_exactly(tmp_path: Path) -> None:
    accounts = [(account.forge, account.id, subject) for account, subject in people(tmp_path).accounts()]
    assert accounts == [("gogs", "2", "alice"), ("os", "alice", "alice"), ("gogs", "7", "robot")]


def test_an_agent_may_have_an_owner(tmp_path: Path) -> None:
    (agent,) = people(tmp_path, '[[people]]\nsubject = "bot"\nkind = "agent"\nowner = "alice"\n').identities()
    assert (agent.kind, agent.owner) == (PrincipalKind.AGENT, "alice")


def test_a_file_without_people_names_nobody(tmp_path: Path) -> None:
    nobody = people(tmp_path, "# nobody yet\n")
    assert (nobody.identities(), nobody.groups(), nobody.accounts()) == ((), (), [])


@pytest.mark.parametrize("subject", ["Alice", " alice", "al\\u0000ice", "a" * 201, "", "ALICE"])
def test_a_subject_that_other_sources_could_not_say_is_a_fault(tmp_path: Path, subject: str) -> None:
    (fault,) = faults_of(tmp_path, f'[[people]]\nsubject = "{subject}"\n')
    assert "in lower case" in fault


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    assert people(tmp_path).digest == hashlib.sha256(PEOPLE.encode()).hexdigest()


@pytest.mark.parametrize(
    ("addition", "line", "what"),
    [
        ('[[people]]\nsubject = "alice"\n', 13, "'alice' is already taken"),
        ('[[people]]\nsubject = "tidegate"\n', 14, "'tidegate' is already taken"),
        ('[[people]]\nsubject = "eve"\naccounts = ["gogs:2"]\n', 13, "already belongs to 'alice'"),
        ('[[people]]\nsubject = "eve"\naccounts = ["tidegate:gate"]\n', 13, "already belongs to 'tidegate'"),
        ('[[people]]\nsubject = "eve"\n# a comment\naccounts = ["gogs"]\n', 16, "people.2.accounts.0"),
        ('[[people]]\nsubject = "eve"\nemails = [""]\n', 15, "people.2.emails.0"),
        ('[[people]]\nsubject = "eve"\nkind = "robot"\n', 15, "people.2.kind"),
        ('[[people]]\nsubject = "eve"\nactive = "false"\n', 15, "people.2.active"),
        ('[[people]]\nsubject = "eve"\nactive = 0\n', 15, "people.2.active"),
        ('[[people]]\nsubject = "eve"\nadmin = true\n', 15, "people.2.admin"),
        ('[[people]]\nsubject = ""\n', 14, "people.2.subject"),
        ('[[people]]\nsubject = "eve"\ngroups = "deployers"\n', 15, "people.2.groups"),
        ('[[people]]\nemails = ["eve@example.com"]\n', 13, "people.2.subject"),
        ('[[people]]\nsubject = "eve\n', 14, "not TOML"),
        ('[[persons]]\nsubject = "eve"\n', 1, "persons"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, addition: str, line: int, what: str) -> None:
    faults = faults_of(tmp_path, PEOPLE + addition)
    assert len(faults) == 1
    assert faults[0].startswith(f"people.toml:{line}: ")
    assert what in faults[0]


def test_every_fault_is_listed(tmp_path: Path) -> None:
    text = '[[people]]\nsubject = ""\n\n[[people]]\nsubject = "bob"\nkind = "x"\nactive = 1\n'
    assert [fault.split(": ")[0] for fault in faults_of(tmp_path, text)] == [
        "people.toml:2",
        "people.toml:6",
        "people.toml:7",
    ]


@pytest.mark.parametrize("content", [b"\xff", b"people = 3\n", b"[people]\nsubject = 'x'\n"])
def test_what_is_no_list_of_people_is_a_fault(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "people.toml").write_bytes(content)
    with pytest.raises(BadConfiguration, match=r"people\.toml:1: "):
        load(tmp_path / "people.toml")


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="cannot be read"):
        load(tmp_path / "people.toml")


def test_the_sample_people_load() -> None:
    assert [person.subject for person in load(EXAMPLE).identities()] == ["alice"]


ACCOUNT = '[[people]]\nsubject = "eve"\naccounts = ["{}"]\n'


@pytest.mark.parametrize(
    ("account", "remedy"),
    [
        ("gogs:alice", "/api/v1/users/alice shows as id"),
        ("gogs:02", 'write "gogs:2"'),
        ("gogs:+2", 'write "gogs:2"'),
        ("gogs:-1", "the forge's number"),
        ("gogs:0", "the forge's number"),
        ("gogs:2.0", "the forge's number"),
        ("gogs:\u0662", "the forge's number"),
    ],
)
def test_an_account_that_nobody_can_have_is_a_slip_with_line_and_remedy(tmp_path: Path, account: str, remedy: str) -> None:
    (slip,) = people(tmp_path, PEOPLE + ACCOUNT.format(account)).slips
    assert str(slip).startswith(f"{tmp_path}/people.toml:15: people.2.accounts.0: the account '{account}' of eve ")
    assert remedy in str(slip)


@pytest.mark.parametrize("account", ["gogs:7", "os:alice", "os:02x", "gogs:12345678901"])
def test_a_number_and_a_name_of_the_machine_are_no_slips(tmp_path: Path, account: str) -> None:
    assert people(tmp_path, ACCOUNT.format(account)).slips == ()


@pytest.mark.parametrize("account", [" gogs:2", "gogs: 2", "gogs:2 ", "Gogs:2", "gogs", "2"])
def test_an_account_of_another_form_is_a_fault_that_says_the_form(tmp_path: Path, account: str) -> None:
    (fault,) = faults_of(tmp_path, ACCOUNT.format(account))
    assert fault.startswith("people.toml:3: people.0.accounts.0: ") and "is not FORGE:ID or os:NAME" in fault


def test_an_account_at_a_forge_that_is_not_configured_is_doubted(tmp_path: Path) -> None:
    loaded = people(tmp_path, PEOPLE + ACCOUNT.format("gitlab:2"))
    assert loaded.slips == ()
    (doubt,) = loaded.doubts(["gogs", "codeberg"])
    assert str(doubt).startswith(f"{tmp_path}/people.toml:15: ") and "there are codeberg, gogs" in str(doubt)


def test_a_number_of_the_machine_is_doubted(tmp_path: Path) -> None:
    (doubt,) = people(tmp_path, ACCOUNT.format("os:1000")).doubts(["gogs"])
    assert "os:NAME takes the login name" in doubt.what


def test_an_email_of_two_people_is_doubted_whatever_its_case(tmp_path: Path) -> None:
    (doubt,) = people(tmp_path, PEOPLE + '[[people]]\nsubject = "eve"\nemails = ["ALICE@example.com"]\n').doubts(["gogs"])
    assert "is also of alice" in doubt.what
