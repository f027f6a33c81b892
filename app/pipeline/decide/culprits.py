"""Name what a denial or a hold is about: e-mails, commits, keys, files and lines, freezes, and what was not looked at. Pure.

Only facts are named that the policies behind the answer ask for, and whose value is not what they want to see. Used at the push,
at the deployment, and by `tidegate policy explain`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.decision import Decision, Effect
from app.domain.environment import TAGS
from app.domain.signature import Signatures
from app.domain.text import visible
from app.integrations.policy.protocol import Asks, PolicyText
from app.pipeline.evidence.content import MOST_PATHS

MOST_NAMED = 5  # of a kind
LONGEST = 300
MOST_TOLD, LONGEST_TOLD = 6, 200  # in a sentence, so that it leaves room for what would change the answer


def culprits_of(
    policy: PolicyText, decision: Decision, evidence: Mapping[str, Any], *, with_people: bool = True
) -> tuple[str, ...]:
    """List them, each as one line; none for what is allowed. Without `with_people` no line names a person or an account.

    `evidence` may be of an earlier release, or empty: what it does not hold is not named.
    """
    if decision.effect is Effect.ALLOW:
        return ()
    try:
        behind = policy.about(decision.request, decision.policies)
        kinds = behind.compared_with("findings") or policy.about(decision.request).compared_with("findings")
        asked = _Asked(behind, decision.request["request"]["context"], evidence, kinds, with_people)
        lines = dict.fromkeys(line for name in _NAMING for line in name(asked))
    except (KeyError, TypeError, AttributeError):  # a damaged or much older record
        return ()
    return tuple(visible(line, LONGEST) for line in lines)


def as_text(culprits: Sequence[str]) -> str:
    """Spell them as a part of one sentence, shortened; empty if there are none."""
    more = (f"and {len(culprits) - MOST_TOLD} more (tidegate policy explain DEPLOYMENT)",) if len(culprits) > MOST_TOLD else ()
    return "; ".join((*(culprit[:LONGEST_TOLD] for culprit in culprits[:MOST_TOLD]), *more))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the policies behind an answer ask for, the facts that they saw, and the evidence for these."""

    behind: Asks
    context: Mapping[str, Any]
    evidence: Mapping[str, Any]
    kinds: frozenset[str]  # of findings that policies name
    with_people: bool

    def asks(self, *facts: str) -> bool:
        return not self.behind.facts.isdisjoint(facts)

    def lacks(self, fact: str) -> bool:
        """Tell whether the policies ask for a fact that would have to be true, and is not."""
        return self.asks(fact) and not self.context.get(fact, False)

    def listed(self, name: str) -> Sequence[Any]:
        return self.evidence.get(name) or ()


def _freezes(asked: _Asked) -> Iterator[str]:
    if asked.asks("frozen", "freezes"):
        yield from _few([f"freeze {name} is in force" for name in asked.context.get("freezes", ())], "freezes")


def _authors(asked: _Asked) -> Iterator[str]:
    if not asked.asks("authors_known", "unknown_authors") or asked.context.get("authors_known", True):
        return
    places = {row["email"]: row for row in asked.listed("unknown_in")}
    unknown = asked.listed("unknown_authors")
    yield from _few([_author(email, places.get(email), asked.with_people) for email in unknown], "such e-mails")
    if why := asked.evidence.get("not_listed"):
        yield f"not looked at: {why}, so not all authors are known"


def _author(email: str, place: Mapping[str, str] | None, with_people: bool) -> str:
    who = f"e-mail {email or '(empty)'}" if with_people else "an e-mail"
    role = f"{place['role']} of " if place is not None and place["role"] else ""
    return f"{who} belongs to nobody" + (f" ({role}commit {place['commit'][:12]})" if place is not None else "")


def _signatures(asked: _Asked) -> Iterator[str]:
    if asked.asks("signatures") and asked.context.get("signatures") != Signatures.ALL:
        said = asked.listed("unsigned")
        yield from _few([line if asked.with_people else _without_signer(line) for line in said], "objects")


def _without_signer(objection: str) -> str:
    kind, _, rest = objection.partition(" ")
    is_object = kind in ("commit", "tag")
    return f"{kind} {rest[:12]} does not count as signed" if is_object else objection


def _content(asked: _Asked) -> Iterator[str]:
    """Name findings, also if all that counts is that not everything was looked at: they were found all the same."""
    if not asked.asks("inspected", "findings"):
        return
    is_inspected = asked.context.get("inspected", True)
    if not is_inspected:
        yield f"not looked at: {asked.evidence.get('not_inspected') or 'its content'}"
    if is_inspected and not asked.asks("findings"):
        return
    found = [finding for finding in asked.listed("findings") if not asked.kinds or finding["kind"] in asked.kinds]
    yield from _few([_finding(finding, asked.with_people) for finding in found], "findings")


def _finding(finding: Mapping[str, Any], with_people: bool) -> str:
    place = f"{finding['where']}:{finding['line']}" if finding["line"] else finding["where"]
    return f"found {finding['kind']} in {place}" + (f": {finding['what']}" if with_people else "")


def _paths(asked: _Asked) -> Iterator[str]:
    """Name changed files that policies name, by themselves, by a folder (`db/`) or by a suffix (`*.sql`)."""
    if not asked.asks("paths", "paths_known"):
        return
    named = asked.behind.compared_with("paths")
    paths = [path for path in asked.listed("paths") if not path.endswith("/") and not path.startswith("*.")]
    changed = [path for path in paths if any(_fits(path, name) for name in named)]
    yield from _few([f"changes {path}" for path in changed], "such files")
    if not asked.context.get("paths_known", True):
        is_limit = len(asked.listed("paths")) >= MOST_PATHS
        why = f"at most {MOST_PATHS} are" if is_limit else asked.evidence.get("not_inspected")
        yield "not looked at: not all changed paths could be listed" + (f" ({why})" if why else "")


def _fits(path: str, name: str) -> bool:
    if name.endswith("/"):
        return path.casefold().startswith(name.casefold())
    return path.casefold().endswith(name[1:].casefold()) if name.startswith("*.") else path == name


def _left_behind(asked: _Asked) -> Iterator[str]:
    if not asked.asks("forced") or not asked.context.get("forced", False):
        return
    ref = asked.context["ref"]
    verb = "moved, and stood at" if ref.startswith(TAGS) else "leaves behind"
    verb = "is deleted, and stood at" if asked.context["event"] == "delete" else verb
    yield from _few([f"{ref} {verb} commit {commit[:12]}" for commit in asked.listed("left_behind")], "former commits")


def _unchecked(asked: _Asked) -> Iterator[str]:
    if not asked.lacks("checked_at_push"):
        return
    if not asked.evidence.get("let_onto_ref", False):
        yield f"no check before a push let commit {asked.context['sha'][:12]} onto {asked.context['ref']}"
    yield from _few([f"no check looked at commit {commit[:12]}" for commit in asked.listed("unchecked")], "commits")


def _hands(asked: _Asked) -> Iterator[str]:
    if not asked.lacks("involved_known"):
        return
    who = [f"account {key}" if asked.with_people else "an account" for key in asked.listed("unlinked")]
    yield from _few([f"{account} pushed some of it and is not linked to a person" for account in who], "accounts")
    unpushed = asked.listed("unpushed")
    yield from _few([f"it is not known who pushed commit {commit[:12]}, and it is not signed" for commit in unpushed], "commits")


def _few(lines: Sequence[str], what: str) -> Iterator[str]:
    yield from lines[:MOST_NAMED]
    if len(lines) > MOST_NAMED:
        yield f"and {len(lines) - MOST_NAMED} more {what}"


_NAMING: tuple[Callable[[_Asked], Iterator[str]], ...] = (
    _freezes,
    _authors,
    _signatures,
    _content,
    _paths,
    _left_behind,
    _unchecked,
    _hands,
)
