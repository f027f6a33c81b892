"""Which paths change the rules, and which only sound like it."""

from __future__ import annotations

import pytest

from app.domain.finding import FindingKind
from app.integrations.inspection import files

RULES, GATE, CI = FindingKind.AGENT_RULES, FindingKind.GATE_FILES, FindingKind.CI_FILES


AGENT_RULES = """
AGENTS.md docs/agents.md CLAUDE.md sub/CLAUDE.local.md .claude/settings.json .claude .cursorrules .cursor/rules/a.mdc
web/.cursor/mcp.json .windsurfrules .windsurf/rules/x.md .github/copilot-instructions.md
.github/instructions/x.instructions.md .github/prompts/a.md GEMINI.md .gemini/settings.json .clinerules .clinerules/a.md
.roo/rules/x .mcp.json .aider.conf.yml .junie/guidelines.md .kiro/steering/a.md .vscode/mcp.json x/SKILL.md
"""
GATE_FILES = "tidegate.toml deploy/tidegate.toml people.toml policies/deploy.cedar x.cedarschema"
CI_FILES = """
.github/workflows/ci.yml .GitHub/Workflows/ci.yml .gitea/workflows/a.yaml .forgejo/workflows/a.yml .woodpecker.yml
.woodpecker/a.yaml .woodpecker .drone.yml .drone.star .gitlab-ci.yml .github Jenkinsfile sub/Jenkinsfile.release
.circleci/config.yml .travis.yml .builds/a.yml .ci/run azure-pipelines.yml bitbucket-pipelines.yml appveyor.yml
.cirrus.yml .buildkite/pipeline.yml
"""
SORTS = [(path, kind) for kind, paths in ((RULES, AGENT_RULES), (GATE, GATE_FILES), (CI, CI_FILES)) for path in paths.split()]


@pytest.mark.parametrize(("path", "kind"), SORTS)
def test_a_file_of_rules_is_told(path: str, kind: FindingKind) -> None:
    assert [f.kind for f in files.look(path)] == [kind]
    assert files.is_agent_rules(path) is (kind is RULES)


@pytest.mark.parametrize(
    "path",
    [
        "Makefile",
        "README.md",
        "src/agents.py",
        "agents/README.md",
        "docs/claude.html",
        "build.yml",
        "travis.py",
        "docs/workflows/ci.yml",
        "cedar.py",
        "people.py",
        ".github/CODEOWNERS",
        ".github/ISSUE_TEMPLATE/bug.md",
        "cursor/rules/x.md",
    ],
)
def test_other_files_are_let_be(path: str) -> None:
    assert list(files.look(path)) == []
