"""Hypothesis on every fuzz target: any bytes, and the seeds with pieces cut out, put in and repeated."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, configuration, delivery, people, policies

DEEP = 20_000
SIGNS = [bytes([each]) for each in b"[]{}()\"'\\=.,\n\0\xff%&#!"]
SIGNS += [
    b"\xed\xa0\x80",
    b"//",
    b"/*",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"9" * 5000,
    b"-0",
    b"nan",
    b"null",
    b"[[",
    b"&&",
    b"::",
]


@st.composite
def changed(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed, changed in a few places."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 12))
        put = draw(st.sampled_from(SIGNS) | st.binary(max_size=6) | st.just(text[start : start + 40]))
        text = text[:start] + put + text[end:]
    return text


@pytest.mark.parametrize("name", TARGETS)
@tried(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_only_documented_refusals_come_out(name: str, data: st.DataObject) -> None:
    target, seeds = TARGETS[name]
    target(data.draw(st.binary(max_size=400) | changed(seeds)))


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_themselves_pass(name: str) -> None:
    target, seeds = TARGETS[name]
    for seed in seeds:
        target(seed)


BOMBS = {
    "deep lists": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP,
    "a deep field": b'{"commits":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "an endless number": b'{"repository": {"id": ' + b"9" * 1_000_000 + b"}}",
    "an endless exponent": b'{"repository": {"id": 1e' + b"9" * 100_000 + b"}}",
    "an endless key": b'{"' + b"k" * 1_000_000 + b'": 1}',
    "many keys": b"{" + b",".join(b'"%d": 1' % n for n in range(100_000)) + b"}",
    "one key often": b"{" + b'"ref": "refs/heads/a",' * 50_000 + b'"ref": "refs/heads/b"}',
    "lone surrogates": b'{"ref": "\\ud800", "before": "\\udfff"}',
    "a NUL": b'{"ref": "refs/heads/\\u0000", "before": "' + b"0" * 40 + b'", "after": "' + b"1" * 40 + b'"}',
    "bytes that are no UTF-8": b'{"ref": "\xed\xa0\x80\xff"}',
    "long escapes": b'{"ref": "' + b"\\u0041" * 200_000 + b'"}',
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("kind", range(5))
def test_a_json_bomb_with_a_true_signature_is_refused_in_time(bomb: str, kind: int) -> None:
    delivery(bytes([kind]) + BOMBS[bomb])


TOML_BOMBS = {
    "deep lists": b"a = " + b"[" * DEEP,
    "an endless number": b"a = " + b"9" * 5000,
    "a NUL in a text": b'a = "\\u0000"',
    "a NUL in a key": b'"\\u0000" = 1',
    "bytes that are no UTF-8": b"\xff",
    "a deep key": b"a" + b".a" * 2000 + b" = 1",
    "a deep table": b"[a" + b".a" * 2000 + b"]",
    "many tables": b"[[environments]]\n" * 2000,
}


@pytest.mark.parametrize("bomb", TOML_BOMBS)
def test_a_toml_bomb_is_a_fault_with_a_line(bomb: str) -> None:
    configuration(TOML_BOMBS[bomb])
    people(TOML_BOMBS[bomb])


DEEP_POLICIES = [
    "(" * DEEP,
    "[" * DEEP,
    "!" * DEEP,
    "true" + " && true" * DEEP,
    "if true then true else " * DEEP,
    "a" + ".a" * DEEP,
]


@pytest.mark.parametrize("deep", DEEP_POLICIES, ids=range(len(DEEP_POLICIES)))
def test_a_policy_that_would_end_the_process_is_a_fault_with_a_line(deep: str) -> None:
    policies(f'// one\n@id("a")\npermit (principal, action, resource) when {{ {deep} }};'.encode())


@pytest.mark.parametrize("many", [b"%41", b"%", b"&", b"=", b"+", b"a"])
def test_a_form_bomb_from_a_stranger_is_refused_in_time(many: bytes) -> None:
    target, _ = TARGETS["form"]
    target(b"payload=" + many * (400_000 // len(many)))
