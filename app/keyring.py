"""The keys that sign deployment tokens: made, adopted and unsealed by processes that mint; published by the receiver.

Whoever writes to the database can add a row, but cannot endorse it (`integrations/tokens/endorsement.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from app.domain.audit import AuditAction
from app.domain.clock import Clock
from app.domain.errors import NoKeyYet, SealBroken
from app.domain.event import GATE_ACCOUNT
from app.integrations.secrets.sealed import Sealer
from app.integrations.tokens.endorsement import EndorsementCheck, Endorser
from app.integrations.tokens.issuer import SigningKey, generate_key, public_half
from app.pipeline.ports.record import Recorder
from app.store.signing_keys import SqlSigningKeys, StoredSigningKey, Written

READ_AGAIN = timedelta(minutes=10)
# A process goes on with a key for READ_AGAIN after its successor was made; tokens and verifiers' caches live for 5 minutes each.
PUBLISHED_AFTER_SUCCESSOR = timedelta(hours=1)

_log = logging.getLogger(__name__)


class Keyring:
    """The signing side. It holds the master key; only processes that mint make one."""

    def __init__(self, keys: SqlSigningKeys, master_key: bytes, recorder: Recorder, clock: Clock) -> None:
        self._keys = keys
        self._sealer = Sealer(master_key)
        self._endorser = Endorser(master_key)
        self._check = EndorsementCheck(self._endorser.public)
        self._recorder = recorder
        self._clock = clock
        self._signing: tuple[SigningKey, datetime] | None = None

    def current(self) -> SigningKey:
        """Return the newest genuine key, unsealed; makes the first one ever. Raises SealBroken if no row is genuine."""
        now = self._clock.now()
        if self._signing is None or now > self._signing[1] + READ_AGAIN:
            self._signing = (self._unseal(self._newest()), now)
        return self._signing[0]

    def _newest(self) -> StoredSigningKey:
        rows = self._keys.settle(self._create, self._adopt, self._is_genuine)
        genuine = next((row for row in rows if self._is_genuine(row)), None)
        if genuine is None:
            kids = ", ".join(row.kid for row in rows)
            raise SealBroken(
                f"no signing key of the database ({kids}) was endorsed with this TIDEGATE_MASTER_KEY;"
                " set the master key that made them, or have the owner of the tables delete those rows"
            )
        return genuine

    def _is_genuine(self, key: StoredSigningKey) -> bool:
        return is_genuine(key, self._check)

    def _unseal(self, key: StoredSigningKey) -> SigningKey:
        return SigningKey(key.kid, self._sealer.unseal(key.sealed, _purpose(key.kid)))

    def _create(self) -> Written:
        kid, pem, public_jwk = generate_key()
        made = StoredSigningKey(kid, public_jwk, self._sealer.seal(pem, _purpose(kid)), self._clock.now())
        return self._endorse(made, AuditAction.KEY_MADE)

    def _adopt(self, row: StoredSigningKey) -> Written | None:
        """Endorse a row of a release that knew no endorsements, if its sealed private half fits its public half."""
        try:
            genuine = public_half(self._unseal(row).private_pem)
        except (SealBroken, ValueError):
            genuine = None
        if genuine != (row.kid, row.public_jwk):
            _log.error("signing key not adopted kid=%s: its sealed half does not open, or does not fit its public half", row.kid)
            return None
        return self._endorse(row, AuditAction.KEY_ADOPTED)

    def _endorse(self, key: StoredSigningKey, action: AuditAction) -> Written:
        entry = self._recorder.entry(action, {"kid": key.kid}, actor=GATE_ACCOUNT.key)
        return replace(key, endorsement=self._endorser.endorse(key.public_jwk, key.created_at)), entry


@dataclass(slots=True)
class PublishedKeys:
    """The verifying side: the keys that the receiver publishes. It needs only the public half of the endorsing key."""

    keys: SqlSigningKeys
    check: EndorsementCheck
    clock: Clock
    foreign: frozenset[str] = field(default=frozenset())

    def jwks(self) -> list[dict[str, Any]]:
        """List the public keys that verifiers need now; raises NoKeyYet if there is none, so that no empty set is cached."""
        genuine = self._genuine()
        if not genuine:
            raise NoKeyYet
        return [key.public_jwk for key in still_published(genuine, self.clock.now())]

    def count_foreign(self) -> int:
        """Count the rows that the gate did not endorse."""
        self._genuine()
        return len(self.foreign)

    def _genuine(self) -> list[StoredSigningKey]:
        rows = self.keys.all()
        genuine = [row for row in rows if is_genuine(row, self.check)]
        self._note_foreign({row.kid for row in rows} - {row.kid for row in genuine})
        return genuine

    def _note_foreign(self, kids: set[str]) -> None:
        for kid in sorted(kids - self.foreign):
            _log.error("signing key not published kid=%r: it was not endorsed with this gate's master key", kid)
        self.foreign = frozenset(kids)


def is_genuine(key: StoredSigningKey, check: EndorsementCheck) -> bool:
    """Tell whether a row is endorsed as it stands there, under its own id."""
    return key.public_jwk.get("kid") == key.kid and check.holds(key.endorsement, key.public_jwk, key.created_at)


def still_published(genuine: Sequence[StoredSigningKey], now: datetime) -> list[StoredSigningKey]:
    """Return the keys whose tokens may still be in use: the newest, and those that were followed lately. Newest first."""
    keys = sorted(genuine, key=lambda key: key.created_at, reverse=True)
    successors = [None, *keys[:-1]]
    oldest = now - PUBLISHED_AFTER_SUCCESSOR
    return [key for key, after in zip(keys, successors, strict=False) if after is None or after.created_at > oldest]


def _purpose(kid: str) -> str:
    return f"signing-key:{kid}"
