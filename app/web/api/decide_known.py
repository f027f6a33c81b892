"""Read the question which commits the gate vouches for (`POST /api/v1/decide/known`), a form that only the check sends.

It has the fields of `decide_parse.py` that name forge, repository and account; and `commits`, one line for each commit that may
be new, with its parents, parents first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.domain.errors import BadRequest
from app.pipeline.ask.vouch import MOST_COMMITS
from app.web.api.decide_lists import Graph, read_graph
from app.web.api.decide_parse import read_fields

_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class KnownQuestion:
    """Commits of one repository, each with its parents."""

    forge: str
    repository_id: int
    account_id: str
    graph: Graph


def read_known(body: bytes) -> KnownQuestion:
    """Read the form; raises BadRequest."""
    fields = read_fields(body)
    forge, repository, account = (
        fields.get(name, b"").decode("utf-8", "replace") for name in ("forge", "repository_id", "account_id")
    )
    if not _NUMBER.fullmatch(repository) or not _NUMBER.fullmatch(account):
        raise BadRequest("repository_id, account_id: must be numbers")
    graph = read_graph(fields.get("commits", b""))
    if len(graph) > MOST_COMMITS:
        raise BadRequest(f"commits: are more than {MOST_COMMITS}")
    return KnownQuestion(forge, int(repository), account, graph)
