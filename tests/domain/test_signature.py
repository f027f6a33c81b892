"""The sum of signatures: the table of verdicts, and the e-mails that a key may sign for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.signature import ObjectKind, Signatures, SignatureVerdict, SignedObject, objection, summary

OWNERS = {"alice@example.com": "alice", "bob@example.com": "bob"}
GOOD = SignedObject("1" * 40, ObjectKind.COMMIT, "alice@example.com", SignatureVerdict.GOOD, "alice", "SHA256:x")
UNSIGNED = replace(GOOD, verdict=SignatureVerdict.UNSIGNED, signer_subject=None, fingerprint="")
UNKNOWN = replace(GOOD, verdict=SignatureVerdict.UNKNOWN_KEY, signer_subject=None)
BAD = replace(GOOD, verdict=SignatureVerdict.BAD, signer_subject=None)
BY_BOB = replace(GOOD, signer_subject="bob")
TAG = replace(GOOD, kind=ObjectKind.TAG)


@pytest.mark.parametrize(
    ("objects", "is_whole", "expected"),
    [
        ([], True, Signatures.NONE),
        ([GOOD], True, Signatures.ALL),
        ([GOOD, TAG], True, Signatures.ALL),
        ([GOOD], False, Signatures.SOME),
        ([GOOD, UNSIGNED], True, Signatures.SOME),
        ([GOOD, UNKNOWN], True, Signatures.SOME),
        ([GOOD, BY_BOB], True, Signatures.SOME),
        ([BY_BOB], True, Signatures.NONE),
        ([UNSIGNED, UNKNOWN], True, Signatures.NONE),
        ([GOOD, GOOD, BAD], True, Signatures.BAD),
        ([BAD], False, Signatures.BAD),
        ([replace(GOOD, committer_email="Alice@Example.COM")], True, Signatures.ALL),
        ([replace(GOOD, committer_email="")], True, Signatures.NONE),
        ([replace(GOOD, signer_subject=None)], True, Signatures.NONE),
        ([replace(GOOD, committer_email="eve@example.com")], True, Signatures.NONE),
    ],
)
def test_the_sum_of_signatures(objects: list[SignedObject], is_whole: bool, expected: Signatures) -> None:
    assert summary(objects, OWNERS, is_whole=is_whole) is expected


def test_no_e_mail_is_nobodys_even_where_the_map_has_one() -> None:
    empty = replace(GOOD, committer_email="", signer_subject=None)
    assert objection(empty, {"": "alice"}) and objection(replace(empty, signer_subject="alice"), {"": "alice"})


@pytest.mark.parametrize(
    ("signed", "said"),
    [
        (UNSIGNED, "is not signed"),
        (UNKNOWN, "an unknown key (SHA256:x)"),
        (replace(UNKNOWN, fingerprint=""), "its fingerprint is not known"),
        (BAD, "bad signature"),
        (replace(BAD, signer_subject="bob"), "a revoked key of bob (SHA256:x)"),
        (BY_BOB, "of alice@example.com is signed by bob"),
        (replace(BY_BOB, committer_email="a\x1b[2J\nb"), "of a [2j b is signed by bob"),
    ],
)
def test_what_does_not_count_is_told_in_one_plain_line(signed: SignedObject, said: str) -> None:
    line = objection(signed, OWNERS)
    assert line is not None and said in line and line.isprintable()


def test_what_counts_has_nothing_said_against_it() -> None:
    assert objection(GOOD, OWNERS) is None
