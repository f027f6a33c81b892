"""A bare repository as Gogs keeps it, whose check asks a gate that serves; and people who push to it with git."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from app.integrations.forges.pre_receive import Check, install
from app.integrations.inspection.patch import GIT_ARGUMENTS
from app.integrations.system import write_private
from tests.configurations import FORGE, table, toml
from tests.web.gate import Gate

SECRET = "0123456789abcdef-instance"
ACCOUNTS = {"alice": 71, "bob": 72, "charlie": 73, "robot": 74, "dora": 75}
REPOSITORY_ID = 5
PEOPLE = """\
[[people]]
subject = "alice"
groups = ["owners", "team"]
emails = ["alice@example.com"]
accounts = ["gogs:71"]
[[people]]
subject = "bob"
groups = ["team"]
emails = ["bob@example.com"]
accounts = ["gogs:72"]
[[people]]
subject = "robot"
kind = "agent"
owner = "alice"
groups = ["team"]
emails = ["robot@example.com"]
accounts = ["gogs:74"]
[[people]]
subject = "dora"
groups = ["team"]
active = false
accounts = ["gogs:75"]
"""
POLICIES = """\
@id("team-pushes")
@reason("members of team may push; ask for membership")
permit (principal in Group::"team", action == Action::"push", resource);
@id("shop-is-for-the-owner-to-force")
@reason("only owners force or delete")
forbid (principal, action == Action::"push", resource == Repository::"gogs:Acme/Shop")
when { context.forced } unless { principal in Group::"owners" };
@id("robots-stay-off-main")
@reason("an agent's work goes to main by a person")
forbid (principal, action == Action::"push", resource) when { principal.kind == "agent" && context.branch == "main" };
@id("known-authors-on-main")
@reason("main takes only commits of known people")
forbid (principal, action == Action::"push", resource) when { context.branch == "main" && !context.authors_known };
@id("migrations-need-owners")
@reason("db/ is the owners'")
forbid (principal, action == Action::"push", resource)
when { !context.paths_known || context.paths.contains("db/") } unless { principal in Group::"owners" };
@id("no-secrets")
@reason("a secret must not enter the repository")
forbid (principal, action == Action::"push", resource) when { context.inspected && context.findings.contains("secret") };
@id("libs-are-frozen")
@reason("the library is no longer developed")
forbid (principal, action == Action::"push", resource == Repository::"gogs:Acme/Lib");
@id("deploy") permit (principal in Group::"team", action == Action::"deploy", resource);
"""
DELEGATE = """\
#!/bin/sh
# as Gogs writes it: "/opt/gogs/gogs" hook --config='/opt/gogs/custom/conf/app.ini' pre-receive
exec "$GIT_DIR/custom_hooks/pre-receive"
"""


@dataclass
class Hub:
    """The instance's side: one bare repository with its check. `shell` runs the check's script."""

    gate: Gate
    bare: Path
    secret_file: Path
    env: dict[str, str] = field(default_factory=dict)

    def check(self, **over: object) -> Check:
        values = {
            "url": self.gate.url,
            "forge": "gogs",
            "secret_file": self.secret_file,
            "is_closed": True,
            "seconds": 60,
            "inspects": False,
            "git_diff": GIT_ARGUMENTS,
        }
        return Check(**{**values, **over})  # type: ignore[arg-type]

    def install(self, **over: object) -> None:
        install(self.bare, self.check(**over), force=True)

    def refs(self) -> dict[str, str]:
        out = git(self.bare, "for-each-ref", "--format=%(refname) %(objectname)").stdout
        return dict(line.split(" ") for line in out.splitlines())


@dataclass
class Person:
    """Somebody with a clone, whom Gogs has let in under an account."""

    name: str
    hub: Hub
    clone: Path
    owner_name: str = "acme"
    repository: str = "shop"

    def commit(self, path: str = "file", content: str = "x\n", *, message: str = "more", email: str | None = None) -> str:
        file = self.clone / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        git(self.clone, "add", "-A", "-f")
        mail = email if email is not None else f"{self.name}@example.com"
        identity = {
            f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("EMAIL", mail), ("NAME", "x"))
        }
        git(self.clone, "commit", "-q", "--allow-empty", "-m", message, env=identity)
        return git(self.clone, "rev-parse", "HEAD").stdout.strip()

    def git(self, *args: str) -> str:
        return git(self.clone, *args).stdout.strip()

    def push(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Push as git does through Gogs: what that puts into the environment is in ours, since the repository is on this disk."""
        told = {
            "GOGS_AUTH_USER_ID": str(ACCOUNTS[self.name]),
            "GOGS_AUTH_USER_NAME": self.name,
            "GOGS_REPO_ID": str(REPOSITORY_ID),
            "GOGS_REPO_OWNER_NAME": self.owner_name,
            "GOGS_REPO_NAME": self.repository,
            "SSH_ORIGINAL_COMMAND": "1",
        }
        given = {name: value for name, value in (told | self.hub.env | env).items() if value != "-"}
        return git(self.clone, "push", str(self.hub.bare), *args, env=given, check=False)


def git(folder: Path, *args: str, env: dict[str, str] | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    bare = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    identity = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@x"}
    done = subprocess.run(
        ["git", "-C", str(folder), *args], env=bare | identity | (env or {}), capture_output=True, text=True, timeout=120
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def configure(
    gate: Gate, *, secrets: tuple[str, ...] = ("decide",), policies: str = POLICIES, people: str = PEOPLE, more: str = ""
) -> None:
    """Have the gate guard the repository; `secrets` are files in its folder."""
    (gate.folder / "people.toml").write_text(people)
    for old in (gate.folder / "policies").glob("*.cedar"):
        old.unlink()
    (gate.folder / "policies" / "push.cedar").write_text(policies)
    hook = {"url": "http://127.0.0.1:1", "webhook_secrets": [f"file:{gate.folder}/hook"]}
    clone = f"file://{gate.folder}/../repositories/{{repository}}.git"
    text = toml(
        table("forges.other", {**FORGE, **hook, "decide_secrets": [f"file:{gate.folder}/decide-other"]}),
        forge={**hook, "clone": clone, "decide_secrets": [f"file:{gate.folder}/{name}" for name in secrets]},
        site={"path": f"{gate.folder}/site"},
        production={"repository": "gogs:Acme/Shop", "deploys": ["branch:main", "tag:v*"]},
    )
    (gate.folder / "tidegate.toml").write_text(f"{text}\n{more}")


def a_hub(gate: Gate, folder: Path) -> Hub:
    """Make the bare repository, with what Gogs puts into its `hooks/`, and install the check."""
    bare = folder / "repositories" / "acme" / "shop.git"
    bare.mkdir(parents=True)
    git(bare, "init", "-q", "--bare", "-b", "main")
    delegate = bare / "hooks" / "pre-receive"
    delegate.write_text(DELEGATE)
    delegate.chmod(delegate.stat().st_mode | stat.S_IXUSR)
    secret_file = folder / "instance-secret"
    for path, secret in ((secret_file, SECRET), (gate.folder / "decide", SECRET), (gate.folder / "decide-other", SECRET + "2")):
        write_private(path, secret)
    hub = Hub(gate, bare, secret_file)
    hub.install()
    return hub


def a_person(name: str, hub: Hub, folder: Path) -> Person:
    clone = folder / name
    git(folder, "clone", "-q", str(hub.bare), str(clone))
    git(clone, "checkout", "-q", "-B", "main")
    return Person(name, hub, clone)
