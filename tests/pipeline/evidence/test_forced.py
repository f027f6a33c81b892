"""A ref is compared with where it stood, whatever was released from other refs in between."""

from __future__ import annotations

from app.domain.deployment import Stage
from tests.integrations.repositories.test_mirror import MAIN, Origin
from tests.pipeline.conftest import Line
from tests.pipeline.evidence.cast import found, push, released


def tag(origin: Origin, name: str, what: str = "HEAD", *options: str) -> str:
    origin.git("tag", "-f", *options, name, what)
    origin.git("push", "-q", "-f", "origin", f"refs/tags/{name}")
    return origin.git("rev-parse", f"{name}^{{commit}}")


def test_invariant_12_a_tag_that_moved_is_forced_though_another_was_released_since(gate: Line, origin: Origin) -> None:
    first = origin.commit("first")
    released(gate, push(gate, None, tag(origin, "v20"), "refs/tags/v20"))
    second = origin.commit("second")
    released(gate, push(gate, None, tag(origin, "v21"), "refs/tags/v21"))
    third = origin.commit("third")
    moved = push(gate, None, tag(origin, "v20", third), "refs/tags/v20")
    assert found(gate, moved)["forced"] is True and first != second


def test_a_tag_that_moved_to_an_unrelated_root_is_forced(gate: Line, origin: Origin) -> None:
    origin.commit("first")
    released(gate, push(gate, None, tag(origin, "v20"), "refs/tags/v20"))
    origin.commit("second")
    released(gate, push(gate, None, tag(origin, "v21"), "refs/tags/v21"))
    root = origin.git("commit-tree", "-m", "root", "HEAD^{tree}")
    evidence = found(gate, push(gate, None, tag(origin, "v20", root), "refs/tags/v20"))
    assert evidence["forced"] is True and evidence["authors"] == ["alice@example.com"]


def test_a_tag_that_moves_twice_in_a_moment_is_forced(gate: Line, origin: Origin) -> None:
    """The first one is planned and nothing more: it is not a release yet, and may never be one."""
    origin.commit("first")
    one = push(gate, None, tag(origin, "v20"), "refs/tags/v20")
    origin.commit("second")
    two = push(gate, None, tag(origin, "v20"), "refs/tags/v20")
    assert (found(gate, two)["forced"], found(gate, one)["forced"]) == (True, False), "the order of receipt tells which moved"


def test_a_tag_that_was_made_anew_at_its_commit_is_not_forced(gate: Line, origin: Origin) -> None:
    first = origin.commit("first")
    released(gate, push(gate, None, tag(origin, "v1"), "refs/tags/v1"))
    released(gate, push(gate, None, first))
    second = push(gate, None, tag(origin, "v2"), "refs/tags/v2")
    assert found(gate, second)["forced"] is False


def test_a_branch_that_left_its_release_is_forced_though_a_tag_was_released_since(gate: Line, origin: Origin) -> None:
    base = origin.commit("base")
    lost = origin.commit("lost")
    released(gate, push(gate, base, lost))
    origin.git("reset", "-q", "--hard", base)
    amended = origin.commit("amended")
    origin.git("push", "-q", "origin", f"{lost}:refs/tags/v31")
    released(gate, push(gate, None, lost, "refs/tags/v31"))
    after = origin.commit("after")
    assert found(gate, push(gate, amended, after))["forced"] is True, "the delivery's own `before` is an ancestor"


def test_what_was_denied_or_never_released_counts_as_a_former_commit(gate: Line, origin: Origin) -> None:
    base = origin.commit("base")
    released(gate, push(gate, None, base))
    gate.run(push(gate, base, origin.commit("lost")), last=Stage.VALIDATE_IDENTITY)
    origin.git("reset", "-q", "--hard", base)
    assert found(gate, push(gate, base, origin.commit("instead")))["forced"] is True


def test_a_branch_that_only_grows_is_not_forced(gate: Line, origin: Origin) -> None:
    first = origin.commit("first")
    released(gate, push(gate, None, first))
    origin.git("tag", "v1")
    origin.git("push", "-q", "origin", "v1")
    second = origin.commit("second")
    released(gate, push(gate, first, second))
    assert found(gate, push(gate, second, origin.commit("third"), MAIN))["forced"] is False
