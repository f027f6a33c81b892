"""Words aimed at AI agents, in messages and in the files that agents take for instructions.

This is a tripwire, not a proof. It knows common wordings (OWASP LLM01:2025, "Prompt Injection"; Greshake et al.,
arXiv:2302.12173), in English and in a few spellings. A new wording, or one in another language, is not found. A text about
the matter is.

First, hidden characters are removed, tag characters are read as the letters that they hide, and letters that look Latin as
Latin ones. Wordings that belong in the rule files of agents ("you are an AI assistant") are looked for in messages only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from app.domain.finding import Finding, FindingKind
from app.integrations.inspection.protocol import Passage, passage

_TAG_BLOCK = 0xE0000
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0100-\U000e01ef]"
)
_LIKE_LATIN = str.maketrans(
    "аеіјорсухѕԁһӏАВЕІЈКМНОРСТУХЅαορνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeijopcyxsdhlABEIJKMHOPCTYXSaopvABEZHIKMNOPTYX",
)
_GAP = r"[\s>#*/\"'`-]{1,12}"  # between two words: a line may end there, and a quote or comment go on


@dataclass(frozen=True, slots=True)
class _Words:
    """One sort of wording. Its pattern is linear in the length of the text, except for bounded look-aheads."""

    what: str
    pattern: re.Pattern[str]
    in_messages: bool
    in_rules: bool


def _words_like(what: str, *patterns: str, in_messages: bool = True, in_rules: bool = True) -> _Words:
    spelled_out = "|".join(patterns).replace("~", _GAP)
    return _Words(what, re.compile(spelled_out, re.IGNORECASE), in_messages, in_rules)


_DISREGARD = r"\b(?:ignore|disregard|forget|override|bypass|do~not~follow|don['’]?t~follow|stop~following)~"
_MANY = r"(?:(?:all|any|every|each|the|of|these|those|my|your)~){0,4}"
_EARLIER = r"(?:previous|prior|above|preceding|earlier|former|foregoing|existing|original|initial|system|safety)"
_ORDERS = r"(?:instructions?|directives?|prompts?|rules|guidelines|guardrails|constraints|messages?)\b"
_AGENTS = (
    r"(?:(?:ai|llm|coding|code|copilot|claude|cursor|codex|gemini)~(?:assistants?|agents?|models?|reviewers?)"
    r"|ai|llms?|language~models?|assistants?|claude|copilot|chatgpt|codex|gemini)\b"
)
_PEOPLE = r"(?:users?|humans?|developers?|reviewers?|maintainers?|operators?)\b"
_SECRETS = r"(?:secrets?|credentials?|tokens?|api[ _-]?keys?|environment~variables|\.env|private~keys?|ssh~keys?)\b"
_ALL = (
    _words_like(
        "tells its reader to ignore instructions",
        rf"{_DISREGARD}{_MANY}(?:{_EARLIER}~(?:(?:and|or)~)?){{1,3}}(?:\w{{1,20}}~)?{_ORDERS}",
        rf"{_DISREGARD}{_MANY}{_ORDERS}~(?:above|before|so~far|(?:that~)?(?:you~)?(?:were|was|have~been)~(?:given|told))\b",
        rf"{_DISREGARD}(?:everything|anything|all)~(?:(?:that~)?you~(?:were|have~been)|above|before~this)\b",
    ),
    _words_like(
        "gives its reader new instructions",
        r"\bnew~(?:system~)?(?:instructions?|prompt)[ ]?:",
        r"\byour~(?:new|real|true|actual)~(?:instructions?|task|goal|objective)~(?:is|are)\b",
    ),
    _words_like(
        "tells its reader to hide something from people",
        r"\b(?:do~not|don['’]?t|never|without)~(?:tell|mention|inform|reveal|notify|alert|show|disclose|report)(?:ing)?~"
        rf"(?:(?:this|it|that|anything|of|these|changes?|about|to|the|any|your)~){{0,6}}{_PEOPLE}",
    ),
    _words_like(
        "asks for the system prompt",
        r"\b(?:reveal|print|show|leak|repeat|output|dump|send|replace|override)~(?:(?:me|the|your|any|all|full|entire)~){0,3}system~prompt\b",
    ),
    _words_like(
        "speaks to AI agents",
        rf"\b(?:attention|note|notice|message|instructions?|important|reminder)~(?:to|for)~{_MANY}{_AGENTS}[^\n]{{0,40}}?[:,!]",
        rf"(?:^|\n)[ \t>#*-]{{0,12}}(?:dear|hey|hello)~{_AGENTS}",
        rf"(?:^|\n)[ \t>#*-]{{0,12}}(?:if~you~are|as)~an?~{_AGENTS}",
        rf"\b{_AGENTS}[,:]?~(?:please~)?(?:you~)?(?:must|should|shall|have~to)~(?:always~|now~|immediately~)?(?:approve|merge|accept|ignore|skip|disable|run|execute|deploy|push)\b",
        in_rules=False,
    ),
    _words_like(
        "tells its reader what it is",
        r"\byou~are~(?:now~)?(?:(?:an?|the)~)?(?:\w{1,20}~)?(?:ai|llm|language~model|chatbot|(?:ai|coding|code)~(?:assistant|agent|reviewer))\b",
        r"\byou~are~(?:now~)?(?:claude|chatgpt|copilot|gemini|codex)\b",
        in_rules=False,
    ),
    _words_like(
        "tells its reader to break its limits",
        r"\byou~are~now~(?:in~)?(?:dan\b|developer~mode|jailbroken|unrestricted|no~longer~bound)",
    ),
    _words_like(
        "holds the marks of a chat with a model",
        r"<\|?/?(?:system|system-reminder|im_start|im_end|assistant)\|?>|(?-i:\[/?INST\])|<</?sys>>",
        r"(?:^|\n)[ \t>#*-]{0,12}(?:system|assistant)[ ]?:[ ]*you~are\b",
    ),
    _words_like(
        "hides instructions in a comment that is not shown",
        rf"<!--(?:(?!-->|<!--)[\s\S]){{0,2000}}?\b(?:{_AGENTS}|you~(?:must|should|are|will|have~to)\b)",
    ),
    _words_like(
        "asks to decode something and to obey it",
        r"\b(?:base64|atob|b64decode|decode)\b[^\n]{0,120}?\b(?:run|execute|eval|exec|sh|bash|follow|obey)\b",
        r"\b(?:run|execute|follow|obey)\b[^\n]{0,60}?\b(?:decoded|base64)\b",
    ),
    _words_like(
        "asks to fetch something and to run it",
        r"\b(?:curl|wget)\b[^\n|]{0,300}\|[ ]*(?:sudo[ ]+)?(?:ba|z|da|k|fi)?sh\b",
        r"\b(?:ba|z)?sh[ ]+(?:-c[ ]+)?[\"']?(?:<\(|\$\()[ ]*(?:curl|wget)\b",
        r"\b(?:iex|invoke-expression)\b[^\n]{0,100}?\b(?:iwr|downloadstring|invoke-webrequest)\b",
    ),
    _words_like(
        "asks to send secrets away",
        rf"\b(?:send|post|upload|exfiltrate|transmit|forward)\b[^\n]{{0,80}}?{_SECRETS}[^\n]{{0,80}}?https?://",
    ),
)


def look(original: Passage, *, is_message: bool) -> Iterator[Finding]:
    """List the words aimed at agents, one finding for each sort, at the line of the first match."""
    plain = passage(original.where, tuple((number, _plain(text)) for number, text in original.lines))
    for words in _ALL:
        if (words.in_messages if is_message else words.in_rules) and (found := words.pattern.search(plain.text)):
            yield Finding(FindingKind.AGENT_INSTRUCTIONS, original.where, plain.line_at(found.start()), words.what)


def _plain(text: str) -> str:
    if text.isascii():
        return text
    shown = _TAGS.sub(lambda tags: f" {''.join(chr(ord(c) - _TAG_BLOCK) for c in tags[0])} ", text)
    return unicodedata.normalize("NFKC", _HIDDEN.sub("", shown)).translate(_LIKE_LATIN)
