"""The seeded plan: what is pushed, tagged and sent, in which order, and which faults strike when. Pure and printable.

Commits are numbers here (`c7`), annotated tags `t3`; `world.py` makes them real. A commit that a ref has left behind never
comes back to it, so that `check_final.py` can tell by the end of a ref what it still holds. Next: `requests.py`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.torture.cast import BRANCHES, ENVIRONMENTS, REPOSITORIES
from tests.torture.schedule import Fault, schedule

# How often a kind of delivery comes up. The cheap ones dominate, as they would for an attacker or a nervous forge.
KINDS = {
    "push": 54, "merge": 13, "force": 6, "rewind": 3, "tag": 8, "annotated": 8, "tag-move": 3, "delete": 4,
    "test": 40, "branch-created": 20, "noise": 90, "unknown-repository": 50,
    "duplicate": 310, "replay": 150, "other-header": 70, "forged": 150, "rollback": 4,
}  # fmt: skip
MOVING = ("push", "merge", "force", "rewind", "tag", "annotated", "tag-move", "delete")
ACTORS = ("alice",) * 40 + ("bob",) * 35 + ("carol",) * 9 + ("dave",) * 8 + ("mallory",) * 8
NOISE = ("018-issues", "019-issue_comment", "026-pull_request", "030-pull_request", "032-fork", "039-pull_request")
HEADERS = ("issues", "create", "release", "pull_request", "fork", "nonsense")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit to be made: its number is its place in the repository's list."""

    repository: str
    name: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that somebody does: it may move a ref, and it sends one request (or asks for a rollback).

    `before` and `after` name planned objects; None stands for git's null id. `of` is the act that is repeated.
    `hold` acts pass before the request goes out. `detail`: a noise body's file, a false header, an environment.
    """

    index: int
    kind: str
    repository: str = ""
    ref: str = ""
    before: str | None = None
    after: str | None = None
    sender: str = "alice"
    pusher: str = "alice"
    of: int | None = None
    hold: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided beforehand."""

    seed: int
    commits: tuple[Commit, ...]
    tags: dict[str, tuple[str, str]]  # annotated tag -> (repository, commit)
    acts: tuple[Act, ...]
    endings: tuple[Act, ...]  # each decides what an environment must stand on
    encores: tuple[Act, ...]  # sent when those have ended; they must change nothing: two denied pushes and a failing one
    faults: tuple[Fault, ...]
    bad: frozenset[str] = field(default_factory=frozenset)  # `repository commit` that its target refuses for good

    @property
    def every(self) -> tuple[Act, ...]:
        """All acts in order."""
        return (*self.acts, *self.endings, *self.encores)

    def lines(self) -> list[str]:
        """Spell it, one line an act or fault, in the order in which they begin."""
        told = [(a.index, 1, _told(a)) for a in self.every]
        told += [(f.at, 0, f.told()) for f in self.faults]
        return [line for *_, line in sorted(told)]


def _told(act: Act) -> str:
    moves = f" {act.repository} {act.ref} {act.before or '0'}..{act.after or '0'}" if act.repository else ""
    more = f" of {act.of}" if act.of is not None else ""
    late = f" held for {act.hold}" if act.hold else ""
    return f"{act.index:>6} {act.kind}{moves} by {act.sender}{more}{late} {act.detail}".rstrip()


class _Writer:
    """Writes the plan while it keeps what each repository looks like."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"{seed}:acts")
        self.commits: list[Commit] = []
        self.tags: dict[str, tuple[str, str]] = {}
        self.acts: list[Act] = []
        self.refs: dict[str, dict[str, str]] = {r: {} for r in REPOSITORIES}
        self.first_parents: dict[tuple[str, str], str | None] = {}
        self.counts = dict.fromkeys(REPOSITORIES, 0)

    def commit(self, repository: str, *parents: str | None) -> str:
        name = f"c{len(self.commits) + 1}"
        real = tuple(p for p in parents if p)
        self.commits.append(Commit(repository, name, real))
        self.first_parents[repository, name] = real[0] if real else None
        return name

    def act(self, kind: str, **given: object) -> Act:
        act = Act(len(self.acts), kind, **given)  # type: ignore[arg-type]
        self.acts.append(act)
        return act

    def move(self, kind: str, repository: str, ref: str, after: str | None, sender: str, **more: object) -> Act:
        """Move a ref and say so."""
        before = self.refs[repository].get(ref)
        if after is None:
            self.refs[repository].pop(ref, None)
        else:
            self.refs[repository][ref] = after
        return self.act(kind, repository=repository, ref=ref, before=before, after=after, sender=sender, **more)

    def push(self, repository: str, ref: str, sender: str, **more: object) -> Act:
        head = self.refs[repository].get(ref) or self.refs[repository].get("refs/heads/main")
        kind = str(more.pop("kind", "push"))
        return self.move(kind, repository, ref, self.commit(repository, head), sender, **more)

    def next(self, kind: str) -> None:
        """Write one act of this kind, or a push where there is nothing to do it to yet."""
        repository = self.chance.choice(list(REPOSITORIES))
        getattr(self, "_" + kind.replace("-", "_"))(repository)

    def _actor(self) -> dict[str, str]:
        sender = self.chance.choice(ACTORS)
        return {"sender": sender, "pusher": sender}

    def _branch(self, repository: str) -> str:
        return f"refs/heads/{self.chance.choice(BRANCHES[repository])}"

    def _push(self, repository: str) -> None:
        hold = self.chance.randint(2, 25) if self.chance.random() < 0.06 else 0
        self.push(repository, self._branch(repository), **self._actor(), hold=hold)

    def _merge(self, repository: str) -> None:
        """Merge another branch: in Gogs the sender merged, and `pusher` names the request's author."""
        ref = self._branch(repository)
        others = [v for r, v in self.refs[repository].items() if r.startswith("refs/heads/") and r != ref]
        commit = self.commit(repository, self.refs[repository].get(ref), *others[:1])
        self.move("merge", repository, ref, commit, self.chance.choice(ACTORS), pusher=self.chance.choice(ACTORS))

    def _force(self, repository: str) -> None:
        ref = self._branch(repository)
        back = self._back(repository, ref)
        self.move("force", repository, ref, self.commit(repository, back), **self._actor())

    def _rewind(self, repository: str) -> None:
        ref = self._branch(repository)
        back = self._back(repository, ref)
        if back is None or back == self.refs[repository].get(ref):
            return self._push(repository)
        # By the account that brought the branch there: if a delivery between is late, the gate cannot tell the two acts apart.
        former = next((a for a in reversed(self.acts) if (a.repository, a.ref, a.after) == (repository, ref, back)), None)
        actor = self._actor() if former is None else {"sender": former.sender, "pusher": former.sender}
        self.move("rewind", repository, ref, back, **actor)

    def _back(self, repository: str, ref: str) -> str | None:
        head = self.refs[repository].get(ref)
        for _ in range(self.chance.randint(1, 3)):
            parent = self.first_parents.get((repository, head or ""))
            head = parent or head
        return head

    def _tag(self, repository: str) -> None:
        self._tagged("tag", repository)

    def _annotated(self, repository: str) -> None:
        self._tagged("annotated", repository)

    def _tagged(self, kind: str, repository: str) -> None:
        head = self.refs[repository].get("refs/heads/main")
        if head is None:
            return self._push(repository)
        self.counts[repository] += 1
        name = f"{self.chance.choice(('v', 'v', 'rc-', 'x'))}{self.counts[repository]}"
        self.move(kind, repository, f"refs/tags/{name}", self._named(kind, repository, head), **self._actor())

    def _named(self, kind: str, repository: str, commit: str) -> str:
        if kind != "annotated":
            return commit
        name = f"t{len(self.tags) + 1}"
        self.tags[name] = (repository, commit)
        return name

    def _tag_move(self, repository: str) -> None:
        tags = sorted(r for r in self.refs[repository] if r.startswith("refs/tags/"))
        if not tags:
            return self._push(repository)
        kind = "tag-move"
        commit = self.commit(repository, self.refs[repository].get("refs/heads/main"))
        self.move(kind, repository, self.chance.choice(tags), commit, **self._actor())

    def _delete(self, repository: str) -> None:
        refs = sorted(r for r in self.refs[repository] if r != "refs/heads/main")
        if not refs:
            return self._push(repository)
        self.move("delete", repository, self.chance.choice(refs), None, **self._actor())

    def _test(self, repository: str) -> None:
        head = self.refs[repository].get("refs/heads/main")
        if head is None:
            return self._push(repository)
        self.act("test", repository=repository, ref="refs/heads/main", before=head, after=head, **self._actor())

    def _branch_created(self, repository: str) -> None:
        self.act("branch-created", repository=repository, ref=self._branch(repository), **self._actor())

    def _noise(self, repository: str) -> None:
        self.act("noise", repository=repository, detail=self.chance.choice(NOISE), **self._actor())

    def _unknown_repository(self, repository: str) -> None:
        after = f"{self.chance.getrandbits(160):040x}"
        self.act("unknown-repository", ref="refs/heads/main", detail=after, **self._actor())

    def _rollback(self, repository: str) -> None:
        names = [e.name for e in ENVIRONMENTS.values() if e.repository == repository]
        self.act("rollback", detail=self.chance.choice(names))

    def _earlier(self) -> Act | None:
        """Pick one of the last acts that sent a request of its own; now and then a very old one."""
        first = 0 if self.chance.random() < 0.1 else max(0, len(self.acts) - 60)
        able = [a for a in self.acts[first:] if a.of is None and a.kind not in ("rollback", "forged")]
        return self.chance.choice(able) if able else None

    def _again(self, kind: str, repository: str, detail: str = "") -> None:
        earlier = self._earlier()
        if earlier is None:
            return self._push(repository)
        self.act(kind, of=earlier.index, detail=detail, sender=earlier.sender)

    def _duplicate(self, repository: str) -> None:
        self._again("duplicate", repository)

    def _replay(self, repository: str) -> None:
        self._again("replay", repository)

    def _other_header(self, repository: str) -> None:
        self._again("other-header", repository, self.chance.choice(HEADERS))

    def _forged(self, repository: str) -> None:
        self._again("forged", repository, self.chance.choice(("wrong secret", "changed body", "no signature", "empty signature")))


def make_plan(seed: int, deliveries: int, faults: int, processes: tuple[str, ...]) -> Plan:
    """Decide everything for this seed."""
    writer = _Writer(seed)
    for repository in REPOSITORIES:  # every environment gets a first release
        for branch in dict.fromkeys(BRANCHES[repository]):
            writer.push(repository, f"refs/heads/{branch}", "alice")
    kinds, weights = list(KINDS), list(KINDS.values())
    ends = _count_endings()
    while len(writer.acts) < deliveries - ends:
        writer.next(writer.chance.choices(kinds, weights)[0])
    acts = len(writer.acts)
    encores = _end(writer)
    failing = writer.acts[-1]
    return Plan(
        seed=seed,
        commits=tuple(writer.commits),
        tags=writer.tags,
        acts=tuple(writer.acts[:acts]),
        endings=tuple(writer.acts[acts:encores]),
        encores=tuple(writer.acts[encores:]),
        faults=schedule(seed, faults, acts, processes),
        bad=frozenset({f"{failing.repository} {failing.after}"}),
    )


def _count_endings() -> int:
    writer = _Writer(0)
    _end(writer)
    return len(writer.acts)


def _end(writer: _Writer) -> int:
    """End each environment on a good push that decides, then some of them on one that is denied or fails (the last).

    Returns the index of the first encore.
    """
    for repository, refs in {
        "acme/shop": ("refs/heads/next", "refs/heads/main"),
        "acme/api": ("refs/heads/release/1", "refs/heads/main"),
        "acme/site": ("refs/heads/draft", "refs/heads/main"),
        "acme/tools": ("refs/heads/main", "refs/heads/next"),
    }.items():
        for ref in refs:
            writer.push(repository, ref, "bob")
    for repository in ("acme/api", "acme/site"):
        commit = writer.refs[repository]["refs/heads/main"]
        named = writer._named("annotated", repository, commit)
        writer.move("annotated", repository, "refs/tags/v-last", named, "alice")
    encores = len(writer.acts)
    writer.push("acme/api", "refs/heads/release/1", "carol", pusher="alice")
    writer.push("acme/shop", "refs/heads/main", "mallory", pusher="bob")
    writer.push("acme/tools", "refs/heads/next", "alice")
    return encores
