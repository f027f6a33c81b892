"""Which policies are refused before they come into force, and at which line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from app.domain.errors import BadConfiguration
from app.integrations.policy.cedar import CedarPolicy, load
from tests.integrations.policy.cast import PERMIT_ALL


def faults_of(texts: Mapping[str, str]) -> list[str]:
    with pytest.raises(BadConfiguration) as caught:
        CedarPolicy(texts)
    return caught.value.faults


def test_a_has_guard_is_refused_since_a_misspelt_one_makes_its_forbid_vanish() -> None:
    text = PERMIT_ALL + '@id("geo")\nforbid (principal, action, resource)\nwhen { context has geo && context.geo == "x" };'
    assert faults_of({"a.cedar": text}) == [
        "a.cedar:4: `has geo`: every attribute always exists, so `has` can only hide a misspelt one; leave it out"
    ]


def test_a_deep_has_guard_is_refused() -> None:
    text = '@id("a") permit (principal, action, resource) when { !([1].contains(1) && context has a.b) };'
    assert any("`has" in fault for fault in faults_of({"a.cedar": text}))


def test_a_template_is_refused_since_it_is_never_linked() -> None:
    text = PERMIT_ALL + '@id("t")\nforbid (principal == ?principal, action, resource);'
    assert [fault.split(": ")[0] for fault in faults_of({"a.cedar": text})] == ["a.cedar:3"]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("\npermit (principal, action, resource);", "2", "@id"),
        ('@id("")\npermit (principal, action, resource);', "2", "@id"),
        ("@id permit (principal, action, resource);", "1", "@id"),
        ('@id("a")\npermit (principal, action, resource)\nwhen { context.branhc == "main" };', "3", "branhc"),
        ('@id("a")\npermit (principal, action, resource)\nwhen { context.hour == "9" };', "2", "not compatible"),
        ('@id("a")\npermit (principal in Grop::"x", action, resource);', "2", "Grop"),
        ('@id("a")\npermit (principal,\n action == Action::"deplo", resource);', "3", "deplo"),
        ('@id("a")\npermit (principal, action, resource)\nwhen {\n  context.hour +\n};', "5", "unexpected token"),
        (
            '@id("a")\npermit (principal, action, resource);\n@id("b")\npremit (principal, action, resource);',
            "4",
            "premit",
        ),
        ('@id("a")\npermit (principal, action, resource)', "2", "unexpected end"),
        ('@id("a") @id("b") permit (principal, action, resource);', "1", "duplicate annotation"),
        (
            '// permit (x)\n@id("a") @reason("they permit (this)")\npermit (principal, action, resource);\n'
            '@id("b")\nforbid (principal, action, resource) when { context.nope };',
            "5",
            "nope",
        ),
    ],
)
def test_a_faulty_policy_is_refused_with_its_line(text: str, place: str, what: str) -> None:
    faults = faults_of({"a.cedar": text})
    assert [fault for fault in faults if fault.startswith(f"a.cedar:{place}: ") and what in fault], faults


@pytest.mark.parametrize("texts", [{}, {"a.cedar": ""}, {"a.cedar": "// permit (principal, action, resource);\n"}])
def test_invariant_7_no_policy_at_all_is_refused(texts: dict[str, str]) -> None:
    assert ["there is no policy" in fault for fault in faults_of(texts)] == [True]


def test_an_id_is_used_once_over_all_files() -> None:
    faults = faults_of({"a.cedar": PERMIT_ALL, "b.cedar": "\n" + PERMIT_ALL})
    assert faults == ['b.cedar:2: @id("all") is already used at a.cedar:1']


def test_every_fault_of_every_file_is_listed() -> None:
    faults = faults_of({"a.cedar": "permit (", "b.cedar": "permit (principal, action, resource);", "c.cedar": PERMIT_ALL})
    assert [fault.split(":")[0] for fault in faults] == ["a.cedar", "b.cedar"]


def test_two_halves_of_a_policy_do_not_make_one() -> None:
    assert faults_of({"a.cedar": '@id("a") permit (principal,', "b.cedar": "action, resource);"})


def test_load_names_the_file_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.cedar").write_text("permit (principal, action, resource);")
    with pytest.raises(BadConfiguration, match=f"^{tmp_path}/a.cedar:1: "):
        load(tmp_path)


@pytest.mark.parametrize("name", [None, "a.txt"])
def test_a_folder_without_policies_is_refused(tmp_path: Path, name: str | None) -> None:
    if name:
        (tmp_path / name).write_text(PERMIT_ALL)
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BadConfiguration, match="has no"):
            load(folder)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.cedar").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfiguration, match="cannot be read"):
        load(tmp_path)
