"""Commits by agents, recognised by e-mails and names, and by the marks that their tools leave in messages.

The commit itself makes all these statements, so a person who wants to hide an agent leaves them out. Sources: the marks of
Claude Code, Codex (openai/codex, pull request 11617), Cursor, Devin and Copilot; aider.chat/docs/git.html; GitHub's "[bot]"
accounts; `Assisted-by:` as in the kernel's Documentation/process/coding-assistants.rst; `Generated-by:` as in
apache.org/legal/generative-tooling.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.domain.change import CommitMessage
from app.domain.finding import Finding, FindingKind
from app.domain.text import visible

_EMAIL = re.compile(
    r"noreply@anthropic\.com|(?:noreply|codex)@openai\.com|cursoragent@cursor\.com|devin@cognition\.ai|copilot@github\.com"
    r"|[^@]*@aider\.chat|openhands@all-hands\.dev|amp@ampcode\.com|agent@replit\.com"
    r"|(?:\d+\+)?(?:copilot|codex)@users\.noreply\.github\.com|[^@]*\[bot\]@users\.noreply\.[^@]*"
)
_NAME = re.compile(  # no given names: a Claude, a Devin or a Jules may be a person, so only an e-mail tells
    r"claude[ -](?:code|opus|sonnet|haiku|\d).*|(?:github )?copilot|cursor agent|(?:openai )?codex|chatgpt|gpt-\d.*|devin ai"
    r"|gemini[ -](?:cli|code|pro|flash|\d).*|google gemini|aider(?: \(.*\))?|openhands|.*\(aider\)|.*\[bot\]"
)
_CO_AUTHOR = frozenset({"co-authored-by", "co-developed-by", "generated-by", "assisted-by", "authored-by", "signed-off-by"})
_OF_TOOLS = frozenset({"generated-by", "assisted-by"})
_MADE_WITH = re.compile(
    r"^\W*(?:generated|created|made|written) (?:with|by|using) \[?"
    r"(?:claude|(?:github )?copilot|(?:openai )?codex|cursor|devin|gemini|aider)\b",
    re.IGNORECASE | re.MULTILINE,
)
_PERSON = re.compile(r"([^<>]*)<([^<>]*)>\s*\Z")
_TRAILER = re.compile(r"([0-9A-Za-z-]+)[ \t]*:(.*)")
_GITS_OWN = ("Signed-off-by: ", "(cherry picked from commit ")
LONGEST_TOKEN = 100


def look(message: CommitMessage, where: str, agents: frozenset[str]) -> Iterator[Finding]:
    """Report the first sign that a commit is an agent's, if there is one."""
    what = _by_identity(message, agents) or _by_trailer(message.text, agents)
    if what is None and _MADE_WITH.search(message.text):
        what = "the message says that it was made with an AI agent"
    if what is not None:
        yield Finding(FindingKind.AGENT_COMMIT, where, None, what)


def _by_identity(message: CommitMessage, agents: frozenset[str]) -> str | None:
    for role, email in (("author", message.author_email), ("committer", message.committer_email)):
        if email.strip().lower() in agents:
            return f"the {role} is an agent in the access map"
        if _EMAIL.fullmatch(email.strip().lower()):
            return f"the {role}'s e-mail is an agent's"
    for role, name in (("author", message.author_name), ("committer", message.committer_name)):
        if _NAME.fullmatch(name.strip().lower()):
            return f"the {role}'s name is an agent's"
    return None


def _by_trailer(text: str, agents: frozenset[str]) -> str | None:
    for token, value in trailers(text):
        if token.lower() in _CO_AUTHOR and _names_agent(token.lower(), value.strip().lower(), agents):
            return f"the trailer {visible(token, LONGEST_TOKEN)} names an agent"
    return None


def _names_agent(token: str, value: str, agents: frozenset[str]) -> bool:
    person = _PERSON.match(value)
    if person is None:
        return bool(value) and (token in _OF_TOOLS or _NAME.fullmatch(value) is not None)
    email = person[2].strip()
    return email in agents or _EMAIL.fullmatch(email) is not None or _NAME.fullmatch(person[1].strip()) is not None


def trailers(text: str) -> list[tuple[str, str]]:
    """Read the trailers of a message as git does (git-interpret-trailers(1), DESCRIPTION).

    They are the last paragraph, unless that is the first. All its lines must be trailers, or a quarter and one of git's own.
    """
    block = _last_paragraph(text)
    pairs: list[tuple[str, str]] = []
    others = continuing = 0
    has_gits_own = False
    for line in reversed(block):
        own, matched = line.startswith(_GITS_OWN), _TRAILER.fullmatch(line)
        has_gits_own = has_gits_own or own
        if line[0].isspace():
            continuing += 1
        elif own or matched:
            pairs.append((matched[1], matched[2].strip()) if matched else ("", line))
            continuing = 0
        else:
            others += 1 + continuing
            continuing = 0
    others += continuing
    is_block = bool(pairs) and (not others or (has_gits_own and len(pairs) * 3 >= others))
    return [(token, value) for token, value in reversed(pairs) if token] if is_block else []


def _last_paragraph(text: str) -> list[str]:
    """Return the lines of the last paragraph, without comments; none if it is the title."""
    lines = [line.rstrip("\r") for line in text.rstrip().split("\n") if not line.startswith("#")]
    blank = next((n for n in range(len(lines) - 1, -1, -1) if not lines[n].strip()), None)
    has_title = blank is not None and any(line.strip() for line in lines[:blank])
    return lines[blank + 1 :] if blank is not None and has_title else []
