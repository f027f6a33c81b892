"""Facts about the signatures of what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.deployment import Deployment
from app.domain.environment import TAGS
from app.domain.errors import UnknownCommit
from app.domain.signature import Signatures, SignatureVerdict, objection, summary
from app.integrations.repositories.protocol import COMMITS_VERIFIED
from app.pipeline.evidence.content import LISTED
from app.pipeline.ports.services import Guard

NO_KEYS = "no public key of anybody is known, so no signature counts (tidegate access key add SUBJECT FILE)"
NOT_SIGNED: dict[str, Any] = {"signatures": Signatures.NONE.value, "unsigned": [NO_KEYS]}


@dataclass(frozen=True, slots=True)
class Signed:
    """The facts, and the signer of each commit whose signature counts."""

    facts: dict[str, Any]
    signers: dict[str, str] = field(default_factory=dict)


def signed(guard: Guard, deployment: Deployment, commits: Sequence[str], committers: frozenset[str], *, is_whole: bool) -> Signed:
    """Verify these commits, and the tag. Without known keys no signature can be valid.

    What the forge itself committed counts as unsigned: its e-mail owns no key.
    """
    keys = guard.identity.commit_keys()
    if not keys:
        return Signed(dict(NOT_SIGNED))
    tag = deployment.ref if deployment.ref.startswith(TAGS) and not deployment.is_rollback else None
    try:
        signatures = guard.repositories.signatures(deployment.repository.key, commits=commits, tag_ref=tag, keys=keys)
    except UnknownCommit:
        if not deployment.is_rollback:
            raise
        signatures = []  # going back must not depend on a mirror that was made anew
    emails = {s.committer_email for s in signatures if s.committer_email and s.committer_email.casefold() not in committers}
    owners = guard.identity.owners_of(emails)
    whole = is_whole and len(commits) <= COMMITS_VERIFIED
    worst_first = sorted(signatures, key=lambda s: s.verdict is not SignatureVerdict.BAD)
    objections = [why for why in (objection(s, owners) for s in worst_first) if why is not None]
    limit = () if whole else (f"not looked at: it brings more than {COMMITS_VERIFIED} commits to verify",)
    facts = {"signatures": summary(signatures, owners, is_whole=whole).value, "unsigned": [*objections[:LISTED], *limit]}
    valid = (s for s in signatures if objection(s, owners) is None)
    return Signed(facts, {s.id: s.signer_subject for s in valid if s.signer_subject is not None})
