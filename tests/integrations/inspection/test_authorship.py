"""Commits by agents: what their tools write, and people who bear the same names. git itself says what is a trailer."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.change import CommitMessage
from app.domain.finding import FindingKind
from app.integrations.inspection.authorship import look, trailers

AGENTS = frozenset({"robot@example.com"})


def found(text: str = "Fix", name: str = "Alice", author: str = "alice@example.com", committer: str = "") -> list[str]:
    message = CommitMessage("a" * 40, text, name, author, committer or author)
    findings = list(look(message, "commit aaaaaaaaaaaa", AGENTS))
    assert all(f.kind is FindingKind.AGENT_COMMIT and f.line is None for f in findings)
    return [f.what for f in findings]


@pytest.mark.parametrize(
    "trailer",
    [
        "Co-authored-by: Claude <noreply@anthropic.com>",
        "Co-Authored-By: Claude Opus 4.1 <noreply@anthropic.com>",
        "co-authored-by: Copilot <198982749+Copilot@users.noreply.github.com>",
        "Co-authored-by: GitHub Copilot <x@example.com>",
        "Co-authored-by: Cursor <cursoragent@cursor.com>",
        "Co-authored-by: Codex <noreply@openai.com>",
        "Co-authored-by: devin-ai-integration[bot] <158243242+devin-ai-integration[bot]@users.noreply.github.com>",
        "Co-authored-by: gemini-code-assist[bot] <176961590+gemini-code-assist[bot]@users.noreply.github.com>",
        "Co-authored-by: aider (gpt-5) <aider@aider.chat>",
        "Co-authored-by: Robot <Robot@Example.com>",
        "Signed-off-by: Claude Code <x@example.com>",
        "Generated-by: Claude Code",
        "Generated-by: some-tool 1.2",
        "Assisted-by: Claude:claude-opus-4 coccinelle",
        "Reviewed-by: Bob <bob@example.com>\nCo-authored-by : Claude <noreply@anthropic.com>",
    ],
)
def test_a_trailer_gives_an_agent_away(trailer: str) -> None:
    (what,) = found(f"Fix it\n\nBecause.\n\n{trailer}\n")
    assert what.startswith("the trailer ")


@pytest.mark.parametrize(
    "who",
    [
        {"author": "noreply@anthropic.com"},
        {"author": "cursoragent@cursor.com"},
        {"committer": "NoReply@Anthropic.com"},
        {"author": "198982749+Copilot@users.noreply.github.com"},
        {"author": "49699333+dependabot[bot]@users.noreply.github.com"},
        {"author": "ROBOT@example.com"},
        {"committer": "robot@example.com"},
        {"name": "Alice (aider)"},
        {"name": "copilot-swe-agent[bot]"},
    ],
)
def test_an_identity_gives_an_agent_away(who: dict[str, str]) -> None:
    assert len(found(**who)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Fix it\n\n🤖 Generated with [Claude Code](https://claude.com/claude-code)\n",
        "Fix it\n\nGenerated with [Devin](https://devin.ai)\n\nMore.",
    ],
)
def test_the_line_of_a_tool_gives_an_agent_away(text: str) -> None:
    assert found(text) == ["the message says that it was made with an AI agent"]


@pytest.mark.parametrize(
    "text",
    [
        "Fix it",
        "Co-authored-by: Claude <noreply@anthropic.com>",  # a title is not a trailer
        "Fix\n\nCo-authored-by: Claude Dupont <claude.dupont@example.fr>",
        "Fix\n\nCo-authored-by: Devin Smith <devin@example.com>",
        "Fix\n\nCo-authored-by: Claude <claude@example.fr>",
        "Fix\n\nAssisted-by: Jane Doe <jane@example.com>",
        "Fix\n\nReviewed-by: Claude Code <x@example.com>",
        "Fix\n\nCo-authored-by: Claude <noreply@anthropic.com>\n\nThat was an example, and this is the last paragraph.",
        "Document the trailer\n\nWe write\nCo-authored-by: Claude <noreply@anthropic.com>\nin such commits\nand in others.",
        "Generated code for the API is updated",
        "Fix\n\nGenerated with protoc 3",
    ],
)
def test_people_are_no_agents(text: str) -> None:
    assert found(text) == []


def gits(text: str) -> list[tuple[str, str]]:
    command = ["git", "interpret-trailers", "--parse", "--no-divider"]
    out = subprocess.run(command, input=text.encode(), check=True, capture_output=True).stdout.decode()
    rows = [line.partition(":") for line in out.split("\n") if line]
    return [(token.strip(), value.strip()) for token, colon, value in rows if colon and not token.startswith("(cherry")]


LINES = st.sampled_from(
    [
        "",
        "Fix it",
        "Signed-off-by: A <a@b>",
        "Co-authored-by: B <b@c>",
        "X-Y : z",
        "(cherry picked from commit 0123)",
        "no trailer here",
        "neither: is: this",
        "also not this: one",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=9))
def test_trailers_are_what_git_takes_for_such(lines: list[str]) -> None:
    text = "\n".join(["Title", *lines, ""])
    assert [t for t in trailers(text) if t[1]] == gits(text)


@given(st.text())
def test_any_message_is_read(text: str) -> None:
    trailers(text)
    found(text)


def test_the_committers_name_tells_as_the_authors_does() -> None:
    message = CommitMessage("a" * 40, "Fix", "Alice", "alice@example.com", "alice@example.com", "GitHub Copilot")
    assert [each.what for each in look(message, "commit", frozenset())] == ["the committer's name is an agent's"]
