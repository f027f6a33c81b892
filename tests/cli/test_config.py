"""`tidegate config keyset-key`: what the receiver needs instead of the master key."""

from __future__ import annotations

import base64
from pathlib import Path

from app.integrations.tokens.endorsement import Endorser
from tests.cli.forked import tidegate

MASTER = bytes(range(32))
SERVERS = {"TIDEGATE_DATABASE_URL": "postgresql://x@127.0.0.1:1/none", "TIDEGATE_REDIS_URL": "redis://127.0.0.1:1/0"}


def test_the_public_key_is_printed_alone_and_gives_nothing_away(tmp_path: Path) -> None:
    key = base64.b64encode(MASTER).decode()
    env = {**SERVERS, "TIDEGATE_MASTER_KEY": key}
    code, out, _ = tidegate("config", "keyset-key", folder=tmp_path, env=env)
    assert (code, out.decode().strip()) == (0, Endorser(MASTER).public)
    assert key.encode() not in out


def test_without_the_master_key_it_says_which_setting_is_missing(tmp_path: Path) -> None:
    code, _, err = tidegate("config", "keyset-key", folder=tmp_path, env=SERVERS)
    assert code == 2 and b"TIDEGATE_MASTER_KEY: is not set" in err
