"""Tokens: minted from a grant at dispatch, held in memory, and given to the target and to nothing else."""

from __future__ import annotations

from typing import Protocol

from app.domain.grant import Grant


class Token:
    """A minted secret that does not print; `id` (jti) may be kept, the value may not."""

    __slots__ = ("_value", "id")

    def __init__(self, value: str, token_id: str) -> None:
        self._value = value
        self.id = token_id

    def reveal(self) -> str:
        """Return the token itself, for the call to the target."""
        return self._value

    def __repr__(self) -> str:
        return f"Token(id={self.id}, ***)"

    __str__ = __repr__

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a token is not serialised")


class TokenIssuer(Protocol):
    """Mints tokens."""

    def mint(self, grant: Grant) -> Token:
        """Mint a token that says what the grant says, valid for `grant.seconds` from now."""
        ...
