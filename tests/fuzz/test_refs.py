"""Ref names as git itself takes them: `git check-ref-format` is the judge."""

from __future__ import annotations

import hmac
import json
import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import BadDelivery
from app.domain.event import Event
from app.integrations.forges.gogs import Gogs
from app.integrations.forges.protocol import UnverifiedDelivery

PARTS = ["a", "B", "/", "//", ".", "..", ".lock", "@", "@{", "{", "~", "^", ":", "?", "*", "[", "]", "\\", " ", "\t", "\x7f", "-"]
PARTS += ["\x01", "é", "\u2028", "\U0001f600", "main", "lock", "%", "#", "$", "'", '"', "<", "|", "\xa0", "HEAD", "refs/heads/"]
NAMES = st.lists(
    st.sampled_from(PARTS) | st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6
)


def is_taken(ref: str) -> bool:
    """Tell whether a signed push to this ref is understood."""
    repository = {"id": 9, "full_name": "acme/shop", "owner": {"id": 1, "username": "acme"}}
    push = {"ref": ref, "before": "1" * 40, "after": "2" * 40, "commits": [], "repository": repository}
    body = json.dumps(push | {"sender": {"id": 2, "login": "alice"}}).encode()
    headers = {"content-type": "application/json", "x-gogs-delivery": "1", "x-gogs-event": "push"}
    headers["x-gogs-signature"] = hmac.digest(b"s", body, "sha256").hex()
    try:
        return isinstance(Gogs().parse(Gogs().verify(UnverifiedDelivery("gogs", headers, body), [b"s"])), Event)
    except BadDelivery:
        return False


def git_takes(ref: str) -> bool:
    return subprocess.run(["git", "check-ref-format", ref], capture_output=True, check=False).returncode == 0


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["refs/heads/", "refs/tags/"]), NAMES.map("".join))
def test_what_git_refuses_is_refused_and_what_git_takes_is_taken(prefix: str, name: str) -> None:
    may_order = any("\x80" <= c <= "\x9f" for c in name)  # git takes C1 controls, which a terminal obeys; the gate does not
    assert is_taken(prefix + name) is (git_takes(prefix + name) and not may_order)
