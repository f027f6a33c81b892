"""A sealed value opens under its own key, for its own purpose, unaltered; in every other case it is broken."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import BadConfiguration, SealBroken
from app.integrations.secrets.sealed import Sealer

KEY = bytes(range(32))
PLAIN = b"canary-private-key-77aa"


@settings(deadline=None)
@given(plain=st.binary(max_size=3000), purpose=st.text(st.characters(codec="utf-8")))
def test_what_was_sealed_comes_back(plain: bytes, purpose: str) -> None:
    assert Sealer(KEY).unseal(Sealer(KEY).seal(plain, purpose), purpose) == plain


def test_a_value_moved_to_another_purpose_does_not_open() -> None:
    sealed = Sealer(KEY).seal(PLAIN, "signing-key:a")
    for purpose in ("signing-key:b", "signing-key:", "", "signing-key:a "):
        with pytest.raises(SealBroken):
            Sealer(KEY).unseal(sealed, purpose)


def test_another_master_key_does_not_open_even_if_it_claims_the_keys_id() -> None:
    other = Sealer(bytes(32))
    sealed = Sealer(KEY).seal(PLAIN, "p")
    with pytest.raises(SealBroken, match="another master key"):
        other.unseal(sealed, "p")
    with pytest.raises(SealBroken):
        other.unseal(json.dumps(json.loads(sealed) | {"kek": other.key_id}), "p")


@pytest.mark.parametrize("field", ["key_nonce", "key", "nonce", "text"])
def test_any_flipped_bit_breaks_the_seal(field: str) -> None:
    parts = json.loads(Sealer(KEY).seal(PLAIN, "p"))
    raw = base64.b64decode(parts[field])
    for index in range(len(raw)):
        altered = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
        with pytest.raises(SealBroken):
            Sealer(KEY).unseal(json.dumps(parts | {field: base64.b64encode(altered).decode()}), "p")


def test_the_data_key_of_one_value_does_not_open_another() -> None:
    one, two = (json.loads(Sealer(KEY).seal(plain, "p")) for plain in (b"one", b"two"))
    with pytest.raises(SealBroken):
        Sealer(KEY).unseal(json.dumps(one | {"text": two["text"], "nonce": two["nonce"]}), "p")


@pytest.mark.parametrize(
    "sealed",
    ["", "x", "[]", "{}", "null", "7", '"a"', '{"v": 1}', "[" * 100_000, '{"v": 2}', "\x00", "{'v': 1}"],
)
def test_what_is_no_sealed_value_is_broken(sealed: str) -> None:
    with pytest.raises(SealBroken):
        Sealer(KEY).unseal(sealed, "p")


@pytest.mark.parametrize("field", ["v", "kek", "key_nonce", "key", "nonce", "text"])
@pytest.mark.parametrize("value", [None, 7, [], {}, "", "é", "AA", "====", True])
def test_a_damaged_field_is_broken(field: str, value: object) -> None:
    parts = json.loads(Sealer(KEY).seal(PLAIN, "p"))
    if field == "v" and value is True:
        value = False  # JSON true equals 1 in Python, and is this version
    with pytest.raises(SealBroken):
        Sealer(KEY).unseal(json.dumps(parts | {field: value}), "p")


@settings(deadline=None)
@given(st.text())
def test_no_text_makes_it_raise_anything_else(sealed: str) -> None:
    with pytest.raises(SealBroken):
        Sealer(KEY).unseal(sealed, "p")


def test_the_plaintext_is_not_in_the_sealed_form_and_no_two_are_alike() -> None:
    one, two = (Sealer(KEY).seal(PLAIN, "p") for _ in range(2))
    first, second = json.loads(one), json.loads(two)
    assert all(first[field] != second[field] for field in ("key_nonce", "key", "nonce", "text"))
    assert PLAIN not in base64.b64decode(first["text"])


def test_a_broken_seal_does_not_tell_what_was_in_it() -> None:
    sealed = Sealer(KEY).seal(PLAIN, "p")
    with pytest.raises(SealBroken) as caught:
        Sealer(KEY).unseal(sealed, "q")
    assert PLAIN.decode() not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_keys_id_tells_keys_apart_and_is_not_the_key() -> None:
    assert Sealer(KEY).key_id == Sealer(KEY).key_id != Sealer(bytes(32)).key_id
    assert KEY.hex() not in Sealer(KEY).seal(PLAIN, "p")
    assert KEY.hex() not in repr(vars(Sealer(KEY)))


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
def test_a_master_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(BadConfiguration, match="32 bytes"):
        Sealer(b"k" * length)
