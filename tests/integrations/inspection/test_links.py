"""Links that leave the release, by the text of their target."""

from __future__ import annotations

import pytest

from app.domain.change import ChangedFile, Changes, FileKind
from app.domain.finding import FindingKind
from app.integrations.inspection.inspector import ContentInspector
from app.integrations.inspection.links import look


def findings(path: str, link: str) -> list[str]:
    return [finding.what for finding in look(ChangedFile(path, FileKind.LINK, link=link))]


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("robots.txt", "/etc/passwd"),
        ("robots.txt", "//etc/passwd"),
        ("assets", "../../.tidegate"),
        ("assets", ".."),
        ("assets", "./.././x"),
        ("public/assets", "../.."),
        ("a/b/c", "../../../x"),
    ],
)
def test_a_link_that_leaves_the_release_is_a_finding(path: str, link: str) -> None:
    (what,) = findings(path, link)
    assert what == f"the link leads to {link}, outside of the release"


@pytest.mark.parametrize("link", ["d/e/../../x", "../a/../b", "a/..", "a/./../b"])
def test_a_way_that_goes_down_and_up_again_may_lead_anywhere(link: str) -> None:
    (what,) = findings("public/deep/assets", link)
    assert "may lead out of the release" in what


@pytest.mark.parametrize(("path", "link"), [("a", "b"), ("a", "."), ("a/b", ".."), ("a/b/c", "../../d/e"), ("a", "..b/c..")])
def test_a_link_inside_the_release_is_none(path: str, link: str) -> None:
    assert findings(path, link) == []


def test_a_link_whose_target_is_not_known_is_a_finding() -> None:
    assert findings("a", "") == ["the target of the link is not known"]


def test_a_finding_repeats_no_character_that_misleads() -> None:
    (what,) = findings("a", "/etc/\u202epasswd" + "x" * 1000)
    assert "<U+202E>" in what
    assert len(what) < 300


@pytest.mark.parametrize("kind", [kind for kind in FileKind if kind is not FileKind.LINK])
def test_only_links_are_looked_at(kind: FileKind) -> None:
    assert list(look(ChangedFile("a", kind, link="/etc/passwd"))) == []


def test_the_inspector_reports_links_and_paths_that_differ_by_case_alone() -> None:
    files = (
        ChangedFile("robots.txt", FileKind.LINK, link="/etc/passwd"),
        ChangedFile("src/Main.py", FileKind.TEXT),
        ChangedFile("src/main.py", FileKind.TEXT),
        ChangedFile("SRC/GONE.py", FileKind.GONE),
        ChangedFile("src/gone.py", FileKind.TEXT),
    )
    found = ContentInspector().inspect(Changes(files), agents=frozenset()).findings
    assert [(f.kind, f.where) for f in found] == [
        (FindingKind.OUTSIDE_LINK, "robots.txt"),
        (FindingKind.CONFUSABLE_NAME, "src/main.py"),
    ]
