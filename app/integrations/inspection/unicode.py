"""Characters that make a text look other than it is: bidirectional controls, invisible ones, tags, runs of variation selectors.

- Bidirectional controls: "Trojan Source", CVE-2021-42574, https://trojansource.codes; Unicode Standard Annex #9 §2; UTS #55 §3.
- Invisible: Unicode Standard §23.2 (layout controls), §23.3 (deprecated format characters), §18.6 (Hangul fillers); control
  codes, which a terminal obeys (§23.1). Joiners are allowed if emoji (UTS #51 §2.3) or cursive and Indic scripts
  (UAX #31 §2.3.1) need them.
- Tags: Unicode Standard §23.9. Allowed in the three flags recommended for interchange (UTS #51, RGI emoji tag sequences).
- Variation selectors: one after a character is their proper use (Unicode Standard §23.4; UTS #37). More in a row, or those of
  the supplement after anything but an ideograph, only hide data.

A Hebrew or Arabic text may hold a mark that is reported here and is meant. Policy decides what a finding means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.domain.change import Line
from app.domain.finding import Finding, FindingKind
from app.domain.text import visible

CODE_POINTS_SHOWN = 5

_JOINING = (  # scripts in which a joiner changes what a reader sees: Arabic to N'Ko, Indic to Tibetan, Myanmar, Khmer, Mongolian
    "\u0620-\u07ff\u0840-\u085f\u0860-\u08ff\u0900-\u0dff\u0f00-\u0fff\u1000-\u109f\u1780-\u17b3\u17b6-\u17ff\u1820-\u18af"
    "\ua840-\ua877\ua8e0-\ua8ff\ua930-\ua95f\ua980-\ua9df\uaa60-\uaa7f\ufb50-\ufdff\ufe70-\ufefc\U00011000-\U00011fff"
)
_PICTURES = "\u00a9\u00ae\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TAGS = re.compile("[\U000e0000-\U000e007f]+")
_FLAGS = re.compile(  # England, Scotland, Wales
    "\U0001f3f4\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074|\U000e0077\U000e006c\U000e0073)\U000e007f"
)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]|\r(?!\\Z)"  # neither tab nor form feed, nor a carriage return that ends the line
    "|[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0080-\U000e00ff\U000e01f0-\U000e0fff]"
    "|(?<![\u2801-\u28ff])\u2800(?![\u2801-\u28ff])"  # among Braille, it is a blank
    f"|(?<![{_JOINING}])\u200c"
    f"|(?<![{_JOINING}])\u200d(?:(?![{_PICTURES}])|(?<![{_PICTURES}\ufe0f\U000e007f]\u200d))"
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}"
    f"|(?<![{_IDEOGRAPHS}\ufe00-\ufe0f\U000e0100-\U000e01ef])[\U000e0100-\U000e01ef]"
)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0d-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class _Search:
    kind: FindingKind
    pattern: re.Pattern[str]
    what: str


_SEARCHES = (
    _Search(FindingKind.BIDI, _BIDI, "characters that reorder what is shown"),
    _Search(FindingKind.TAG_CHARACTERS, _TAGS, "tag characters, which hide text"),
    _Search(FindingKind.INVISIBLE, _INVISIBLE, "characters that do not show"),
)


def look(where: str, lines: tuple[Line, ...]) -> Iterator[Finding]:
    """List one finding for each line and kind. A byte order mark at the beginning of line 1 is not a finding."""
    for number, text in lines:
        if text.isascii() and not _CONTROLS.search(text):
            continue
        if number == 1:
            text = text.removeprefix("\ufeff")
        yield from _in_line(where, number, text)


def name(path: str) -> Iterator[Finding]:
    """List what a path hides, one finding for each kind. Any control character in a path is one."""
    shown = visible(path)
    for finding in _in_line(shown, None, path):
        yield finding
        if finding.kind is FindingKind.INVISIBLE:
            return
    if re.search("[\t\n\x0c\r]", path):
        yield Finding(FindingKind.INVISIBLE, shown, None, "the path holds control characters")


def _in_line(where: str, number: int | None, text: str) -> Iterator[Finding]:
    for search in _SEARCHES:
        searched = _FLAGS.sub("", text) if search.kind is FindingKind.TAG_CHARACTERS else text
        points = sorted({ord(c) for match in search.pattern.findall(searched) for c in match})
        if points:
            yield Finding(search.kind, where, number, f"{search.what}: {_list(points)}")


def _list(points: list[int]) -> str:
    shown = ", ".join(f"U+{point:04X}" for point in points[:CODE_POINTS_SHOWN])
    return shown if len(points) <= CODE_POINTS_SHOWN else f"{shown} and {len(points) - CODE_POINTS_SHOWN} more"
