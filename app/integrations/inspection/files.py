"""Changed files that hold rules: those of agents, of the gate, of CI. The path alone decides, and its case does not matter.

A folder's name also matches by itself, since a link or a submodule may stand in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.domain.finding import Finding, FindingKind
from app.domain.text import visible

# The makers' pages: https://agents.md; code.claude.com/docs (memory, settings); cursor.com/docs/context/rules;
# docs.github.com "repository custom instructions"; docs.windsurf.com (memories); geminicli.com/docs (GEMINI.md);
# docs.cline.bot (.clinerules); docs.roocode.com; jetbrains.com/help/junie; kiro.dev/docs/steering; modelcontextprotocol.io.
_AGENT_RULES = re.compile(
    r"(?:^|/)(?:"
    r"agents?(?:\.override|\.local)?\.md|claude(?:\.local)?\.md|gemini\.md|qwen\.md|warp\.md|skill\.md"
    r"|\.cursorrules|\.windsurfrules|\.clinerules|\.roorules[^/]*|\.continuerules|\.goosehints|\.aider\.conf\.ya?ml|\.mcp\.json"
    r"|\.rules|\.augment-guidelines|\.github/copilot-instructions\.md|\.vscode/mcp\.json|\.idx/airules\.md"
    r")$"
    r"|(?:^|/)(?:"
    r"\.claude|\.cursor|\.windsurf|\.clinerules|\.roo|\.gemini|\.codex|\.junie|\.kiro|\.augment|\.continue|\.trae|\.amazonq"
    r"|\.agents?|\.openhands|\.opencode|\.github/(?:instructions|prompts|chatmodes|agents|skills)"
    r")(?:/|$)"
    r"|\.mdc$|\.instructions\.md$"
)
_GATE_FILES = re.compile(
    r"(?:^|/)(?:tidegate\.toml|people\.toml)$|\.cedar(?:schema(?:\.json)?)?$|(?:^|/)(?:policies|\.tidegate)$|(?:^|/)\.tidegate/"
)
# The makers' pages: docs.github.com, docs.gitea.com and forgejo.org/docs (actions); woodpecker-ci.org/docs; docs.drone.io;
# docs.gitlab.com/ci/yaml; jenkins.io/doc/book/pipeline/jenkinsfile; circleci.com/docs; and so on.
_CI_FILES = re.compile(
    r"^\.(?:github|gitea|forgejo|gogs)(?:$|/(?:workflows|actions)(?:/|$))"
    r"|^\.woodpecker(?:\.ya?ml|[^/]*$|/)|^\.drone(?:\.ya?ml|[^/]*$|/)"
    r"|^\.gitlab-ci[^/]*$|^\.gitlab(?:$|/ci(?:/|$))|(?:^|/)jenkinsfile[^/]*$|(?:^|/)[^/]+\.jenkinsfile$"
    r"|^\.(?:circleci|buildkite|builds|semaphore|teamcity|ci|tekton)(?:/|$)"
    r"|^(?:azure-pipelines|cloudbuild|buildspec)[^/]*\.ya?ml$|^bitbucket-pipelines\.ya?ml$|^\.?appveyor\.ya?ml$"
    r"|^\.(?:travis|cirrus|build)\.ya?ml$|^\.cirrus\.star$"
)
_SORTS = (
    (FindingKind.AGENT_RULES, _AGENT_RULES, "a file with rules for AI agents changes"),
    (FindingKind.GATE_FILES, _GATE_FILES, "a file with the gate's rules changes"),
    (FindingKind.CI_FILES, _CI_FILES, "a file that CI runs changes"),
)


def look(path: str) -> Iterator[Finding]:
    """List the sorts of rules that a changed path belongs to."""
    folded = path.casefold()
    for kind, pattern, what in _SORTS:
        if pattern.search(folded):
            yield Finding(kind, visible(path), None, what)


def is_agent_rules(path: str) -> bool:
    """Tell whether AI agents read this file for instructions."""
    return _AGENT_RULES.search(path.casefold()) is not None
