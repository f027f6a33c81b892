"""The credential that a deployment is entitled to: the claims of its token. It does not hold a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GRANT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Grant:
    """The claims that one deployment may prove about itself, to one audience, for five minutes from minting."""

    audience: str
    subject: str
    repository: str
    repository_id: int
    environment: str
    ref: str
    sha: str
    zones: tuple[str, ...]
    actor: str
    deployment_id: str
    seconds: int = GRANT_SECONDS

    @classmethod
    def read(cls, detail: Mapping[str, Any]) -> Grant:
        """Read a grant back from the result of `inject_token`."""
        return cls(**{**detail, "zones": tuple(detail["zones"])})


def subject_for(owner: str, owner_id: int, full_name: str, repository_id: int, environment: str) -> str:
    """Spell `repo:OWNER@ID/REPO@ID:environment:ENV`.

    Ids stand beside the names since names can be reused. GitHub has done the same since 2026-07-15
    (docs.github.com/actions/reference/security/oidc). There and here, `:` inside a value is escaped as %3A.
    """
    name = full_name.rpartition("/")[2]
    parts = (_escape(owner), owner_id, _escape(name), repository_id, _escape(environment))
    return "repo:{}@{}/{}@{}:environment:{}".format(*parts)


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace(":", "%3A").replace("@", "%40").replace("/", "%2F")
