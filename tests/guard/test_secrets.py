"""A reference leads to its secret, or to a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.errors import SecretUnavailable
from app.guard.secrets import secret


def test_a_reference_leads_to_its_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_FORGE", "one")
    (tmp_path / "kept").touch(mode=0o600)
    (tmp_path / "kept").write_text("two\n")
    assert secret("env:OF_THE_FORGE").reveal() == b"one"
    assert secret(f"file:{tmp_path}/kept").reveal() == b"two"
    for reference in ("env:NOT_SET_ANYWHERE", f"file:{tmp_path}/none"):
        with pytest.raises(SecretUnavailable):
            secret(reference)
