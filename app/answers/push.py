"""Answers to a forge's instance about a push (`POST /api/v1/decide`): as JSON, or as a few lines to the person who pushes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.domain.finding import Finding
from app.domain.text import visible
from app.pipeline.ask.decide_push import PushAnswer, RefDecision

MOST_SHOWN, LONGEST_REF = 10, 200
FIRST_VERSION = 1


class _Model(BaseModel):
    """Unlike other answers, these may get more fields: `additionalProperties` is open."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class DecideFinding(_Model):
    """One finding of content inspection."""

    kind: str
    where: str
    line: int | None
    what: str


class DecideDecision(_Model):
    """The decision about one ref."""

    ref: str
    effect: Literal["allow", "deny", "hold"]
    policies: list[str] = Field(description="the ids of the policies that decided")
    reason: str
    findings: list[DecideFinding]
    culprits: list[str] = Field(description="what policies ask about and the ref does not meet, named")


class DecideAnswer(_Model):
    """The decision about a push, which is allowed only if every ref may be changed."""

    id: str = Field(description="names the decision in the audit log")
    allowed: bool
    decisions: list[DecideDecision]


def push_answer(answer: PushAnswer) -> DecideAnswer:
    """Return the decision about a push."""
    return DecideAnswer(id=answer.id, allowed=answer.allowed, decisions=[_decision(decision) for decision in answer.decisions])


def push_text(answer: PushAnswer, check_version: int | None) -> str:
    """Spell the decision in a few lines for the person who pushes: `ok N` for N refs, or what is denied and why.

    The first version of the check knows `ok` alone.
    """
    allowed = "ok" if check_version == FIRST_VERSION else f"ok {len(answer.decisions)}"
    lines = [allowed] if answer.allowed else ["denied"]
    denied = [decision for decision in answer.decisions if decision.effect.value != "allow"]
    for decision in denied[:MOST_SHOWN]:
        lines.append(f"{visible(decision.ref, LONGEST_REF)}: {decision.reason}")
        lines += [f"  {culprit}" for culprit in decision.culprits[:MOST_SHOWN]]
        lines += [_line(finding) for finding in decision.findings[:MOST_SHOWN]]
    if len(denied) > MOST_SHOWN:
        lines.append(f"and {len(denied) - MOST_SHOWN} more refs")
    if denied:
        lines.append(f"tidegate policy explain {answer.id}")
    return "\n".join(lines) + "\n"


def _decision(decision: RefDecision) -> DecideDecision:
    return DecideDecision(
        ref=decision.ref,
        effect=decision.effect.value,
        policies=list(decision.policies),
        reason=decision.reason,
        findings=[DecideFinding(**(asdict(finding) | {"kind": finding.kind.value})) for finding in decision.findings],
        culprits=list(decision.culprits),
    )


def _line(finding: Finding) -> str:
    place = f"{finding.where}:{finding.line}" if finding.line else finding.where
    return f"  found {finding.kind.value} in {place}: {finding.what}"
