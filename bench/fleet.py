"""Many environments, people, policies and branches, made at once: configuration as text, commits by git fast-import."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

from bench.scenes import Site

SITE = '[targets.{name}]\nkind = "directory"\nzone = "here"\npath = "{folder}/sites/{name}"\n'
RUN = '[targets.{name}]\nkind = "command"\nzone = "here"\nargv = ["{script}"]\ncwd = "{folder}"\n'
ENVIRONMENT = (
    '[[environments]]\nname = "{name}"\nrepository = "gogs:acme/shop"\ndeploys = ["branch:{branch}"]\n'
    'targets = ["{name}"]\naudience = "https://shop.example/{name}"\n'
)
PERSON = (
    '[[people]]\nsubject = "person-{n}"\nemails = ["person-{n}@example.com"]\n'
    'accounts = ["gogs:{account}"]\ngroups = ["team-{n}"]\n'
)
POLICY = (
    '@id("team-{n}")\n@reason("team {n} deploys its own")\n'
    'permit (principal in Group::"team-{n}", action == Action::"deploy", resource == Environment::"e{n}");\n'
)
FIRST_ACCOUNT = 1000
MAIN = "refs/heads/main"
TRUNK = "trunk"  # not main, which the scene pushes to from a clone of its own


class Rules:
    """The scene's tidegate.toml, people.toml and policies, with as many more of each as asked for."""

    def __init__(self, site: Site) -> None:
        self._folder = site.folder
        self._toml = (site.folder / "tidegate.toml").read_text()
        self._people = (site.folder / "people.toml").read_text()

    def write(self, environments: int, *, idle: int = 0, people: int = 0, policies: int = 0, more: str = "") -> None:
        """Write `environments` that take branches b0, b1, …, `idle` ones that nobody pushes to, people and policies."""
        (self._folder / "people.toml").write_text(self._people + "\n" + "".join(_people(people)))
        (self._folder / "policies" / "teams.cedar").write_text("// More of them.\n" + "".join(_policies(policies)))
        parts = [_environment(self._folder, f"e{n}", f"b{n}") for n in range(environments)]
        parts += [_environment(self._folder, f"idle{n}", f"idle/b{n}") for n in range(idle)]
        fresh = self._folder / "tidegate.new"
        fresh.write_text("\n".join([self._toml, *parts, more]))
        fresh.replace(self._folder / "tidegate.toml")


def command_environment(folder: Path, name: str, branch: str, script: Path) -> str:
    """Spell an environment that runs a script."""
    return RUN.format(name=name, folder=folder, script=script) + ENVIRONMENT.format(name=name, branch=branch)


def _environment(folder: Path, name: str, branch: str) -> str:
    return SITE.format(name=name, folder=folder) + ENVIRONMENT.format(name=name, branch=branch)


def _people(count: int) -> Iterator[str]:
    return (PERSON.format(n=n, account=FIRST_ACCOUNT + n) for n in range(count))


def _policies(count: int) -> Iterator[str]:
    return (POLICY.format(n=n) for n in range(count))


def make_branches(site: Site, branches: int, commits: int) -> list[str]:
    """Make `commits` new commits from main on, put branches b0, b1, … on the last, and return the commits in order."""
    lines = [_commit(TRUNK, f"{uuid.uuid4()}", first_from=MAIN if n == 0 else None) for n in range(commits)]
    lines += [f"reset refs/heads/b{n}\nfrom refs/heads/{TRUNK}\n\n" for n in range(branches)]
    _import(site, "".join(lines))
    return _git(site, "rev-list", "--reverse", f"--max-count={commits}", TRUNK).split()


def make_own_commits(site: Site, branches: int) -> list[str]:
    """Give each of the branches b0, b1, … a commit of its own; return them in order."""
    _import(site, "".join(_commit(f"b{n}", f"{uuid.uuid4()}", first_from=MAIN) for n in range(branches)))
    return _git(site, "rev-parse", *(f"b{n}" for n in range(branches))).split()


def _commit(branch: str, text: str, *, first_from: str | None) -> str:
    who = "Alice <alice@example.com> 1700000000 +0000"
    page = f"<h1>{text}</h1>\n"
    start = f"from {first_from}^0\n" if first_from else ""
    return (
        f"commit refs/heads/{branch}\nauthor {who}\ncommitter {who}\ndata {len(text)}\n{text}\n{start}"
        f"M 100644 inline index.html\ndata {len(page)}\n{page}\n"
    )


def _import(site: Site, stream: str) -> None:
    _git(site, "fast-import", "--quiet", "--force", given=stream)
    _git(site, "pack-refs", "--all")


def _git(site: Site, *arguments: str, given: str | None = None) -> str:
    command = ["git", "-C", str(site.folder / "forge" / "acme" / "shop.git"), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout
