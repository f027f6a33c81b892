"""Secrets by reference (`env:NAME`, `file:/path`), in a wrapper that does not show them."""

from __future__ import annotations

from typing import Protocol


class Secret:
    """Bytes that do not print: repr, str and formatting show `***`; only `reveal` returns them."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the secret itself. Call this only where the secret is used, and keep no copy."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not serialised")


class SecretStore(Protocol):
    """A place that holds secrets."""

    def get(self, reference: str) -> Secret:
        """Return the secret that the reference names after its colon; raises SecretUnavailable."""
        ...
