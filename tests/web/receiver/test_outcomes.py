"""A delivery that arrives again is answered with what became of it, and with what its denial is about; it names no person."""

from __future__ import annotations

from app.domain.deployment import State
from app.integrations.policy.cedar import CedarPolicy
from app.store.reads import Reads
from app.web.receiver.outcomes import outcome_lines
from tests.integrations.repositories.test_mirror import Origin
from tests.pipeline.conftest import Line, line
from tests.pipeline.evidence.cast import push
from tests.pipeline.evidence.conftest import gate, mirror, origin

__all__ = ("gate", "line", "mirror", "origin")  # fixtures
POLICIES = """
@id("deploy") permit (principal, action == Action::"deploy", resource);
@id("known") forbid (principal, action == Action::"deploy", resource) unless { context.authors_known };
@id("whole") forbid (principal, action == Action::"deploy", resource) unless { context.inspected };
"""


def test_the_delivery_page_names_commit_and_file_and_no_person(gate: Line, origin: Origin) -> None:
    gate.policy = CedarPolicy({"a.cedar": POLICIES})  # type: ignore[assignment]
    (origin.work / "logo.png").write_bytes(b"\x89PNG\r\n\0\xff\n\0")
    sha = origin.commit("one", email="eve@example.com")
    ended = gate.run(push(gate, None, sha))
    assert ended.state is State.DENIED and ended.delivery_id is not None
    (told,) = outcome_lines(Reads(gate.engine), ended.delivery_id, gate.policy)
    assert f"an e-mail belongs to nobody (author of commit {sha[:12]}); not looked at: logo.png is binary" in told
    assert "eve" not in told and "alice" not in told and "eve@example.com" in (ended.reason or "")
