"""Who and what takes part: repositories, environments, targets, people. Pure; next: `plan.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

OWNER = ("acme", 7)
ISSUER = "http://gate.torture.example"
REPOSITORIES = {"acme/shop": 11, "acme/api": 12, "acme/site": 13, "acme/tools": 14}
BRANCHES = {
    "acme/shop": ("main", "main", "main", "next"),
    "acme/api": ("main", "main", "release/1", "release/1", "release/2"),
    "acme/site": ("main", "main", "main", "draft"),
    "acme/tools": ("main", "main", "next"),
}


@dataclass(frozen=True, slots=True)
class Person:
    """A forge account, and whether it may deploy."""

    login: str
    id: int
    may_deploy: bool


PEOPLE = {
    p.login: p
    for p in (
        Person("alice", 2, True),
        Person("bob", 3, True),
        Person("carol", 4, False),  # known, in no group
        Person("dave", 5, False),  # a deployer who has left: not active
        Person("mallory", 66, False),  # linked to nobody
    )
}
PEOPLE_TOML = """\
[[people]]
subject = "alice"
emails = ["alice@example.com"]
accounts = ["gogs:2"]
groups = ["deployers"]

[[people]]
subject = "bob"
emails = ["bob@example.com"]
accounts = ["gogs:3"]
groups = ["deployers"]

[[people]]
subject = "carol"
accounts = ["gogs:4"]

[[people]]
subject = "dave"
accounts = ["gogs:5"]
groups = ["deployers"]
active = false

[[people]]
subject = "olivia"
accounts = ["os:{user}"]
groups = ["operators"]
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A target: its kind, and what its own keys are beside kind and zone (`{folder}` and `{port}` are filled in)."""

    name: str
    kind: str
    options: str = field(default="", hash=False)


WEBHOOK = 'url = "http://127.0.0.1:{{port}}/{name}"\nsecret = "env:TORTURE_TARGET_SECRET"\nidempotent = true\ntimeout = {timeout}'
PLACES = {
    place.name: place
    for place in (
        *(Place(f"count-{n}", "webhook", WEBHOOK.format(name=f"count-{n}", timeout=8)) for n in range(1, 6)),
        Place("hasty", "webhook", WEBHOOK.format(name="hasty", timeout=1.5)),  # gives up before slow work has ended
        *(Place(f"folder-{n}", "directory", f'path = "{{folder}}/sites/folder-{n}"') for n in range(1, 5)),
        Place("disk", "directory", 'path = "{folder}/disk/site"'),  # on the small file system that is filled up
        Place("script", "command", 'argv = ["{python}", "-I", "-S", "{script}", "{folder}/target"]\ntimeout = 30'),
    )
}


@dataclass(frozen=True, slots=True)
class Guarded:
    """An environment: which refs of which repository it deploys, and where."""

    name: str
    repository: str
    deploys: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def audience(self) -> str:
        """What its tokens must be for."""
        return f"https://{self.name}.example/deploy"

    def takes(self, ref: str) -> bool:
        """Tell whether it deploys this full ref."""
        kind, name = ("branch", ref.removeprefix("refs/heads/")) if ref.startswith("refs/heads/") else ("tag", ref[10:])
        return any(_fits(pattern, kind, name) for pattern in self.deploys)


def _fits(pattern: str, kind: str, name: str) -> bool:
    wanted, _, glob = pattern.partition(":")
    globs, names = glob.split("/"), name.split("/")
    return wanted == kind and len(globs) == len(names) and all(map(fnmatchcase, names, globs))


ENVIRONMENTS = {
    e.name: e
    for e in (
        Guarded("shop-production", "acme/shop", ("branch:main", "tag:v*"), ("count-1",)),
        Guarded("shop-staging", "acme/shop", ("branch:*",), ("folder-1",)),
        Guarded("shop-both", "acme/shop", ("branch:main",), ("count-2", "folder-2")),
        Guarded("api-production", "acme/api", ("branch:main",), ("count-3",)),
        Guarded("api-staging", "acme/api", ("branch:release/*",), ("hasty",)),
        Guarded("api-tags", "acme/api", ("tag:v*",), ("folder-3",)),
        Guarded("site-live", "acme/site", ("branch:main",), ("disk",)),
        Guarded("site-preview", "acme/site", ("branch:*",), ("count-4",)),
        Guarded("site-tags", "acme/site", ("tag:v*", "tag:rc-*"), ("folder-4",)),
        Guarded("tools-main", "acme/tools", ("branch:main",), ("script",)),
        Guarded("tools-next", "acme/tools", ("branch:next",), ("count-5",)),
    )
}
SHOWING = {target: e.name for e in ENVIRONMENTS.values() for target in e.targets}


def subject_of(environment: str) -> str:
    """Spell the subject that tokens for this environment must have (written down here on its own, not by the gate's code)."""
    repository = ENVIRONMENTS[environment].repository
    name, number = repository.partition("/")[2], REPOSITORIES[repository]
    return f"repo:{OWNER[0]}@{OWNER[1]}/{name}@{number}:environment:{environment}"
