"""The pages show what the results say, and nothing else between the markers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench import plots
from bench.parts import PARTS
from bench.report import PAGES, RESULTS, filled, texts
from bench.tables import number, percent, table

RESULT = json.loads(RESULTS.read_text())


def test_a_place_is_filled_and_the_rest_of_the_page_kept() -> None:
    page = "before\n<!-- bench:one -->\nold\nlines\n<!-- /bench:one -->\nafter <!-- bench:two -->\n<!-- /bench:two -->\n"
    done = filled(page, {"one": "| new |", "two": "text"})
    assert done == (
        "before\n<!-- bench:one -->\n| new |\n<!-- /bench:one -->\nafter <!-- bench:two -->\ntext\n<!-- /bench:two -->\n"
    )
    assert filled(done, {"one": "| new |", "two": "text"}) == done


def test_a_place_that_nothing_fills_is_a_fault() -> None:
    with pytest.raises(KeyError):
        filled("<!-- bench:other -->\n<!-- /bench:other -->", {"one": ""})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_figure_of_a_page_is_typed_by_hand(page: Path) -> None:
    text = page.read_text()
    assert filled(text, texts(RESULT)) == text


def test_every_part_has_its_result_its_table_its_plot_and_its_place() -> None:
    places = {name for page in PAGES for name in re.findall(r"<!-- bench:(\w+) -->", page.read_text())}
    assert set(RESULT["parts"]) == set(PARTS) == set(plots.PLOTS)
    assert places == set(texts(RESULT)) == {*PARTS, "machine", "capacity", "breaking"}


def test_plots_are_small_and_named_in_the_page() -> None:
    text = PAGES[0].read_text()
    for name in PARTS:
        assert f"(performance/{name}.svg)" in text
        assert 1_000 < (RESULTS.parent / f"{name}.svg").stat().st_size < 100_000


def test_figures_have_as_many_digits_as_they_deserve() -> None:
    spelled = [number(v) for v in (12_345.6, 123.4, 12.34, 1.234, 0.1234, 0.0)]
    assert spelled == ["12,346", "123", "12.3", "1.23", "0.12", "0"]
    assert percent(0.1234) == "12.3 %"


def test_a_table_is_one_of_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
