"""tidegate.toml: what is right loads, and every fault is told with file, line, place and reason."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.config.check import unwise
from app.config.load import Configuration, load_configuration
from app.domain.environment import HealthCheck, Zone
from app.domain.errors import BadConfiguration
from app.guard.load import KINDS
from app.settings import load_settings
from tests.configurations import STAGING, environment, toml

EXAMPLE = Path(__file__).parents[2] / "examples" / "tidegate.toml"
HEALTH = {"url": "https://staging.example/healthz", "within": "2m"}
GOOD = toml(
    environment({"deploys": ["branch:*", "tag:v*", "release"], "health": HEALTH}, STAGING),
    top="",
    forge={"webhook_secrets": ["env:HOOK", "file:/run/hook"]},
)
NAME_PATTERN = "String should match pattern '^[a-z0-9][a-z0-9-]{0,62}$'"
URL_PATTERN = r"String should match pattern '^(https?|ssh|file)://\S+$'"
REFERENCE = 'must be a reference, "env:NAME" or "file:PATH": this file holds no secrets'
DURATION = 'write seconds, or a number with ms, s, m or h, such as "90s" or "2h"'
REF_PATTERN = 'must be "branch:GLOB", "tag:GLOB" or "release"'

# fault: what stands in GOOD, what stands there instead, and the whole text of the one fault
FAULTS = {
    "unknown key in a forge": ('kind = "gogs"', 'kind = "gogs"\nusr = 1', "3: forges.gogs.usr: Extra inputs are not permitted"),
    "unknown key in a zone": ('region = "local"', 'region = "local"\nx = 1', "9: zones.local.x: Extra inputs are not permitted"),
    "unknown key in an environment": (
        'name = "staging"',
        'name = "staging"\ntarget = "site"',
        "24: environments.1.target: Extra inputs are not permitted",
    ),
    "unknown key at the top": ("[forges.gogs]", "peple = 'x'\n[forges.gogs]", "1: peple: Extra inputs are not permitted"),
    "unknown table": ("[zones.local]", "[zoned.x]\n[zones.local]", "6: zoned: Extra inputs are not permitted"),
    "missing key in a forge": ('kind = "gogs"\n', "", "1: forges.gogs.kind: Field required"),
    "no webhook secret at all": (
        'webhook_secrets = ["env:HOOK", "file:/run/hook"]\n',
        "",
        "1: forges.gogs.webhook_secrets: Field required, here or for each repository in `repositories`",
    ),
    "repository's secret in the file": (
        'url = "http',
        'repositories = { "acme/shop" = { webhook_secrets = ["s3cret"] } }\nurl = "http',
        f"3: forges.gogs.repositories.acme/shop.webhook_secrets.0: {REFERENCE}",
    ),
    "repository twice": (
        'url = "http',
        'repositories = { "a/b" = { webhook_secrets = ["env:A"] }, "A/b" = { webhook_secrets = ["env:B"] } }\nurl = "http',
        "3: forges.gogs.repositories: a/b stands here twice: upper and lower case are the same",
    ),
    "repository without an owner": (
        'url = "http',
        'repositories = { "shop" = { webhook_secrets = ["env:A"] } }\nurl = "http',
        r"3: forges.gogs.repositories.shop.[key]: String should match pattern '^[^/\s]+/[^/\s]+$'",
    ),
    "missing key in a zone": ('region = "local"\n', "", "6: zones.local.region: Field required"),
    "missing zone of a target": ('zone = "local"\n', "", "10: targets.site.zone: Field required"),
    "missing key in the second environment": ('name = "staging"\n', "", "22: environments.1.name: Field required"),
    "wrong type: text": ('region = "local"', "region = 3", "8: zones.local.region: Input should be a valid string"),
    "wrong type: list": (
        'targets = ["site"]\naudience = "https://shop',
        'targets = "site"\naudience = "https://shop',
        "19: environments.0.targets: Input should be a valid list",
    ),
    "wrong type in a list": (
        '["branch:main"]',
        '["branch:main", 4]',
        "18: environments.0.deploys.1: Input should be a valid string",
    ),
    "wrong type: number": (
        'name = "staging"',
        'name = "staging"\nrepository_id = "x"',
        "24: environments.1.repository_id: Input should be a valid integer, unable to parse string as an integer",
    ),
    "repository id of nobody": (
        'name = "staging"',
        'name = "staging"\nrepository_id = 0',
        "24: environments.1.repository_id: Input should be greater than 0",
    ),
    "path that is none": (
        "[forges.gogs]",
        "people = 3\n[forges.gogs]",
        "1: people: Input is not a valid path for <class 'pathlib.Path'>",
    ),
    "empty list": (
        'deploys = ["branch:main"]',
        "deploys = []",
        "18: environments.0.deploys: List should have at least 1 item after validation, not 0",
    ),
    "empty text": ('region = "local"', 'region = ""', "8: zones.local.region: String should have at least 1 character"),
    "bad name of a forge": ("[forges.gogs]", '[forges."Go gs"]', f"1: forges.Go gs.[key]: {NAME_PATTERN}"),
    "bad name of an environment": ('name = "staging"', 'name = "Staging"', f"23: environments.1.name: {NAME_PATTERN}"),
    "overlong name": ('name = "staging"', f'name = "{"s" * 64}"', f"23: environments.1.name: {NAME_PATTERN}"),
    "bad url": ('url = "http://127.0.0.1:3000"', 'url = "127.0.0.1:3000"', f"3: forges.gogs.url: {URL_PATTERN}"),
    "bad repository": (
        'name = "production"\nrepository = "gogs:acme/shop"',
        'name = "production"\nrepository = "acme/shop"',
        r"17: environments.0.repository: String should match pattern '^[a-z0-9-]+:[^/\s]+/[^/\s]+$'",
    ),
    "secret in the file": ('"env:HOOK"', '"s3cret"', f"4: forges.gogs.webhook_secrets.0: {REFERENCE}"),
    "reference to nothing": ('"file:/run/hook"', '"file:"', f"4: forges.gogs.webhook_secrets.1: {REFERENCE}"),
    "token in the file": ('kind = "gogs"', 'kind = "gogs"\napi_token = "t"', f"3: forges.gogs.api_token: {REFERENCE}"),
    "bad pattern": ('"branch:main"', '"main"', f"18: environments.0.deploys.0: {REF_PATTERN}"),
    "empty glob": ('"tag:v*"', '"tag:"', f"25: environments.1.deploys.1: {REF_PATTERN}"),
    "release with a glob": ('"release"', '"release:v*"', f"25: environments.1.deploys.2: {REF_PATTERN}"),
    "bad duration": (
        '"2m"',
        '"2 min"',
        f"28: environments.1.health.within: '2 min' is not a time: {DURATION}",
    ),
    "no duration at all": ('"2m"', '"0s"', "28: environments.1.health.within: Input should be greater than 0"),
    "negative duration": ('"2m"', "-1", "28: environments.1.health.within: Input should be greater than 0"),
    "unknown key in an inline table": (
        'within = "2m"',
        'witin = "2m"',
        "28: environments.1.health.witin: Extra inputs are not permitted",
    ),
    "health check of no url": (
        '"https://staging.example/healthz"',
        '"file:///etc/passwd"',
        r"28: environments.1.health.url: String should match pattern '^https?://\S+$'",
    ),
    "unknown forge kind": (
        'kind = "gogs"',
        'kind = "gitlab"',
        "2: forges.gogs.kind: unknown kind 'gitlab'; known: forgejo, gitea, gogs",
    ),
    "unknown zone kind": ('kind = "compute"', 'kind = "moon"', "7: zones.local.kind: Input should be 'compute' or 'storage'"),
    "unknown zone": ('zone = "local"', 'zone = "remote"', "12: targets.site.zone: there is no zone 'remote'"),
    "unknown target": (
        'targets = ["site"]\naudience = "https://staging',
        'targets = ["site", "cite"]\naudience = "https://staging',
        "26: environments.1.targets: there is no target 'cite'",
    ),
    "unknown forge": (
        'name = "staging"\nrepository = "gogs:',
        'name = "staging"\nrepository = "gitea:',
        "24: environments.1.repository: names no configured forge",
    ),
    "environment twice": (
        'name = "staging"',
        'name = "production"',
        "23: environments.1.name: a second environment 'production'",
    ),
    "target twice": (
        'targets = ["site"]\naudience = "https://shop',
        'targets = ["site", "site"]\naudience = "https://shop',
        "19: environments.0.targets: names a target twice",
    ),
    "unknown target kind": (
        'kind = "directory"',
        'kind = "ftp"',
        "11: targets.site.kind: unknown target kind 'ftp'; known: command, directory, webhook",
    ),
    "unknown target option": (
        'path = "/srv/site"',
        'path = "/srv/site"\nkep = 5',
        "14: targets.site.kep: Extra inputs are not permitted",
    ),
    "bad target option": (
        'path = "/srv/site"',
        'path = "/srv/site"\nkeep = 0',
        "14: targets.site.keep: Input should be greater than or equal to 1",
    ),
    "unknown time zone": (
        'name = "staging"',
        'name = "staging"\ntime_zone = "Berlin"',
        "24: environments.1.time_zone: 'Berlin' is not a time zone; it is spelled as in the IANA database, such as Europe/Berlin",
    ),
    "missing target option": ('path = "/srv/site"\n', "", "10: targets.site.path: Field required"),
}


def load(folder: Path, text: str = GOOD) -> Configuration:
    path = folder / "tidegate.toml"
    path.write_text(text, encoding="utf-8", newline="")
    return load_configuration(path, KINDS)


def faults_of(folder: Path, text: str) -> list[str]:
    with pytest.raises(BadConfiguration) as caught:
        load(folder, text)
    return [fault.removeprefix(f"{folder}/") for fault in caught.value.faults]


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_a_fault_is_told_with_file_line_place_and_reason(tmp_path: Path, kind: str) -> None:
    old, new, told = FAULTS[kind]
    assert faults_of(tmp_path, changed(old, new)) == [f"tidegate.toml:{told}"]


def test_an_environment_has_the_time_zone_that_is_said_or_utc(tmp_path: Path) -> None:
    text = changed('name = "staging"', 'name = "staging"\ntime_zone = "Europe/Berlin"')
    assert [each.time_zone for each in load(tmp_path, text).environments] == ["UTC", "Europe/Berlin"]


def test_a_forge_cannot_take_a_name_of_the_gate(tmp_path: Path) -> None:
    for name in ("os", "tidegate"):
        text = GOOD.replace("[forges.gogs]", f"[forges.{name}]").replace('"gogs:', f'"{name}:')
        assert faults_of(tmp_path, text) == [f"tidegate.toml:1: forges.{name}: this name is reserved for the gate itself"]


def test_an_empty_file_lacks_every_table(tmp_path: Path) -> None:
    assert faults_of(tmp_path, "") == [
        "tidegate.toml:1: environments: Field required",
        "tidegate.toml:1: forges: Field required",
        "tidegate.toml:1: targets: Field required",
        "tidegate.toml:1: zones: Field required",
    ]


def test_several_faults_are_all_listed_in_line_order(tmp_path: Path) -> None:
    text = GOOD.replace('kind = "compute"', 'kind = "moon"').replace('"env:HOOK"', '"s3cret"')
    text = text.replace('"branch:main"', '"main"').replace('name = "staging"', 'name = "Staging"').replace('"2m"', '"soon"')
    assert faults_of(tmp_path, text) == [
        f"tidegate.toml:4: forges.gogs.webhook_secrets.0: {REFERENCE}",
        "tidegate.toml:7: zones.local.kind: Input should be 'compute' or 'storage'",
        f"tidegate.toml:18: environments.0.deploys.0: {REF_PATTERN}",
        f"tidegate.toml:23: environments.1.name: {NAME_PATTERN}",
        f"tidegate.toml:28: environments.1.health.within: 'soon' is not a time: {DURATION}",
    ]


def test_names_that_lead_nowhere_are_all_listed_in_line_order(tmp_path: Path) -> None:
    text = GOOD.replace('kind = "gogs"', 'kind = "gitlab"').replace('zone = "local"', 'zone = "remote"')
    text = text.replace("path =", "pth =").replace('name = "staging"', 'name = "production"')
    assert faults_of(tmp_path, text) == [
        "tidegate.toml:2: forges.gogs.kind: unknown kind 'gitlab'; known: forgejo, gitea, gogs",
        "tidegate.toml:10: targets.site.path: Field required",
        "tidegate.toml:12: targets.site.zone: there is no zone 'remote'",
        "tidegate.toml:13: targets.site.pth: Extra inputs are not permitted",
        "tidegate.toml:23: environments.1.name: a second environment 'production'",
    ]


def test_a_fault_in_a_table_of_inline_tables_is_told_with_the_line_of_their_key(tmp_path: Path) -> None:
    head = GOOD[: GOOD.index("[[environments]]")]
    text = f'environments = [\n  {{ name = "production" }},\n]\n{head}'
    assert faults_of(tmp_path, text) == [
        "tidegate.toml:1: environments.0.audience: Field required",
        "tidegate.toml:1: environments.0.deploys: Field required",
        "tidegate.toml:1: environments.0.repository: Field required",
        "tidegate.toml:1: environments.0.targets: Field required",
    ]


def test_a_fault_under_a_dotted_key_is_told_with_its_line(tmp_path: Path) -> None:
    text = changed('audience = "https://shop.example/deploy"', 'audience = "a"\nhealth.url = "x"')
    told = faults_of(tmp_path, text)
    assert told == [r"tidegate.toml:21: environments.0.health.url: String should match pattern '^https?://\S+$'"]


def test_a_fault_in_a_header_with_blanks_and_a_comment_is_told_with_its_line(tmp_path: Path) -> None:
    text = GOOD.replace("[zones.local]", "[ zones . local ]  # here").replace('kind = "compute"', "kind = 1")
    assert faults_of(tmp_path, text) == ["tidegate.toml:7: zones.local.kind: Input should be 'compute' or 'storage'"]


def test_lines_are_counted_as_editors_and_toml_count_them(tmp_path: Path) -> None:
    text = "# one\u2028line\u0085only\r\n" + changed('zone = "local"', 'zone = "remote"')
    assert faults_of(tmp_path, text) == ["tidegate.toml:13: targets.site.zone: there is no zone 'remote'"]


@pytest.mark.parametrize(("text", "line"), [("a = \n", 1), ("a = 1\nb == 2\n", 2), ("a = 1\n\na = 2\n", 3), ("[x", 1)])
def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    told = faults_of(tmp_path, text)
    assert len(told) == 1
    assert told[0].startswith(f"tidegate.toml:{line}: not TOML: ")


def test_what_is_not_utf8_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.toml"
    path.write_bytes(b"# caf\xe9\n")
    with pytest.raises(BadConfiguration) as caught:
        load_configuration(path, KINDS)
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].startswith(f"{path}:1: not TOML: 'utf-8' codec can't decode byte 0xe9")


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.toml"
    with pytest.raises(BadConfiguration) as caught:
        load_configuration(path, KINDS)
    told = f"{path}: cannot be read: No such file or directory; `tidegate up` writes an example"
    assert caught.value.faults == [told]


def test_a_folder_in_its_place_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="cannot be read: Is a directory"):
        load_configuration(tmp_path, KINDS)


def test_the_shipped_example_loads() -> None:
    configuration = load_configuration(EXAMPLE, KINDS)
    assert [environment.name for environment in configuration.environments] == ["production"]
    assert configuration.targets["example-site"].options["keep"] == 5
    assert configuration.people == EXAMPLE.parent / "people.toml"


def test_everything_that_is_written_arrives(tmp_path: Path) -> None:
    configuration = load(tmp_path)
    forge = configuration.forges["gogs"]
    assert (forge.name, forge.kind, forge.url) == ("gogs", "gogs", "http://127.0.0.1:3000")
    assert (forge.clone, forge.webhook_secrets, forge.api_token) == (
        "{url}/{repository}.git",
        ("env:HOOK", "file:/run/hook"),
        None,
    )
    assert configuration.zones == {"local": Zone("local", "compute", "local")}
    site = configuration.targets["site"]
    assert (site.name, site.kind, site.zone) == ("site", "directory", Zone("local", "compute", "local"))
    assert site.options["path"] == Path("/srv/site")
    assert site.options["keep"] == 5
    production, staging = configuration.environments
    assert (production.name, production.repository, production.repository_id) == ("production", "gogs:acme/shop", None)
    assert (production.health, production.targets) == (None, ("site",))
    assert staging.deploys == ("branch:*", "tag:v*", "release")
    assert staging.health == HealthCheck("https://staging.example/healthz", 120.0)


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    assert load(tmp_path).digest == hashlib.sha256(GOOD.encode()).hexdigest()
    assert load(tmp_path, GOOD + "\n").digest != hashlib.sha256(GOOD.encode()).hexdigest()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ('"500ms"', 0.5),
        ('"60s"', 60.0),
        ('"1.5s"', 1.5),
        ('"2m"', 120.0),
        ('"1h"', 3600.0),
        ("45", 45.0),
        ("0.25", 0.25),
    ],
)
def test_a_duration_is_read_in_every_unit(tmp_path: Path, written: str, seconds: float) -> None:
    health = load(tmp_path, GOOD.replace('"2m"', written)).environments[1].health
    assert health is not None
    assert health.within == pytest.approx(seconds)


@pytest.mark.parametrize("written", ['"60"s', '"s"', '"1d"', '"-1s"', '"1s "', '"1,5s"', '"1e3s"', '"1m30s"', '""', "inf", "nan"])
def test_what_is_no_duration_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(BadConfiguration):
        load(tmp_path, GOOD.replace('"2m"', written))


def test_a_health_check_waits_a_minute_unless_told(tmp_path: Path) -> None:
    health = load(tmp_path, GOOD.replace(', within = "2m"', "")).environments[1].health
    assert health is not None
    assert health.within == 60.0


def test_people_and_policies_lie_beside_the_file_unless_told(tmp_path: Path) -> None:
    configuration = load(tmp_path)
    assert (configuration.people, configuration.policies) == (tmp_path / "people.toml", tmp_path / "policies")


def test_relative_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    configuration = load(tmp_path, 'people = "who/all.toml"\npolicies = "../rules"\n' + GOOD)
    assert (configuration.people, configuration.policies) == (tmp_path / "who/all.toml", tmp_path / "../rules")


def test_absolute_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    configuration = load(tmp_path, 'people = "/etc/people.toml"\npolicies = "/etc/policies"\n' + GOOD)
    assert (configuration.people, configuration.policies) == (Path("/etc/people.toml"), Path("/etc/policies"))


@pytest.mark.parametrize("template", ["{nowhere}/{repository}", "{url", "{url.__class__}/{repository}", "{0}"])
def test_a_clone_template_that_cannot_be_filled_in_is_refused(tmp_path: Path, template: str) -> None:
    told = faults_of(tmp_path, changed('kind = "gogs"', f'kind = "gogs"\nclone = "{template}"'))
    assert len(told) == 1
    assert told[0].startswith("tidegate.toml:3: forges.gogs.clone: ")


@pytest.mark.parametrize("text", [f"a = {'[' * 5000}{']' * 5000}", f"a = {'9' * 5000}", f"{'a.' * 5000}a = 1"])
def test_what_overwhelms_the_parser_is_a_fault(tmp_path: Path, text: str) -> None:
    told = faults_of(tmp_path, text)
    assert told[0].startswith("tidegate.toml:1: ")


def refuses_or_loads(folder: Path, text: str) -> None:
    path = folder / "tidegate.toml"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        assert load_configuration(path, KINDS).environments
    except BadConfiguration as fault:
        assert fault.faults
        assert all(told.startswith(f"{path}:") for told in fault.faults)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@example(text=GOOD)
def test_arbitrary_text_never_raises_anything_else(fuzzed: Path, text: str) -> None:
    refuses_or_loads(fuzzed, text)


LINES = GOOD.splitlines()
VALUES = [
    "1",
    "true",
    '""',
    '"gogs"',
    '"inf"',
    "[]",
    "{}",
    "[[]]",
    "1979-05-27",
    "nan",
    '["a", 1]',
    '{ url = "http://x" }',
    '"""',
]


@given(data=st.data())
def test_a_mangled_file_never_raises_anything_else(fuzzed: Path, data: st.DataObject) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        key = lines[at].partition("=")[0]
        other = data.draw(st.sampled_from(LINES))
        lines[at] = data.draw(st.sampled_from(["", other, *(f"{key}= {value}" for value in VALUES)]))
    refuses_or_loads(fuzzed, "\n".join(lines))


@pytest.mark.parametrize(
    ("env", "warnings"),
    [
        ({}, []),
        ({"PUBLIC_URL": "https://gate.example"}, ["TRUSTED_PROXIES", "METRICS_TOKEN"]),
        ({"PUBLIC_URL": "https://gate.example", "TRUSTED_PROXIES": "10.0.0.0/8", "METRICS_TOKEN": "file:/x"}, []),
        ({"HSTS": "31536000"}, ["HSTS"]),
        ({"PUBLIC_URL": "https://gate.example", "HSTS": "1", "TRUSTED_PROXIES": "10.0.0.0/8", "METRICS_TOKEN": "file:/x"}, []),
    ],
)
def test_settings_that_are_allowed_but_risky_are_warned_of(env: dict[str, str], warnings: list[str]) -> None:
    needed = {"TIDEGATE_DATABASE_URL": "postgresql://x", "TIDEGATE_REDIS_URL": "redis://h/0"}
    found = unwise(load_settings(needed | {f"TIDEGATE_{name}": value for name, value in env.items()}))
    assert [each.partition(":")[0] for each in found] == [f"TIDEGATE_{name}" for name in warnings]


@pytest.mark.parametrize(
    ("kind", "written", "committers"),
    [
        ("gogs", "", {"gogs@fake.local"}),
        ("gitea", "", {"gitea@fake.local"}),
        ("forgejo", "", {"gitea@fake.local"}),
        ("gogs", 'committer = ["Git@Forge.example"]\n', {"git@forge.example"}),
        ("gogs", "committer = []\n", set()),
    ],
)
def test_the_forges_own_e_mail_is_that_of_its_kind(tmp_path: Path, kind: str, written: str, committers: set[str]) -> None:
    text = changed('kind = "gogs"\n', f'kind = "{kind}"\n{written}') if (kind, written) != ("gogs", "") else GOOD
    assert load(tmp_path, text).forges["gogs"].committers == committers
