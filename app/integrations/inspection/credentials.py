"""Secrets in added lines, by those detectors of detect-secrets (1.5.0) whose secrets bear a mark of their own.

Left out are the detectors that take names and randomness for secrets (keywords, entropy), public IP addresses, and four whose
pattern is any string beside a word such as `key` (Artifactory, Cloudant, IBM, SoftLayer); docs/inspection.md has the figures.
A few marks that the library does not know are added, each from its vendor's page.

Only `analyze_string` is called, which is a regular expression and nothing more. The library's `analyze_line` may ask a vendor
over the network whether a secret is valid, and reads settings that all threads share. Its `pragma: allowlist` comments, which
would let a pusher allow himself, are not read by `analyze_string`. A secret that is found does not leave this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from detect_secrets.filters.heuristic import is_prefixed_with_dollar_sign, is_templated_secret
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from app.domain.finding import Finding, FindingKind
from app.integrations.inspection.protocol import Passage


class MoreTokensDetector(RegexBasedDetector):
    """Tokens whose marks are newer than the library."""

    secret_type = "Token"  # noqa: S105 - a kind
    denylist = (
        re.compile(r"github_pat_[0-9A-Za-z_]{30,}"),  # docs.github.com, "GitHub's token formats"
        re.compile(r"sk-ant-[a-z]+[0-9]{2}-[0-9A-Za-z_-]{30,}"),  # Anthropic
        re.compile(r"AIza[0-9A-Za-z_-]{35}"),  # cloud.google.com, API keys
        re.compile(r"hv[sbr]\.[0-9A-Za-z_-]{24,}"),  # developer.hashicorp.com/vault, "Tokens"
        re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),  # age-encryption.org/v1
        re.compile(r"tgs_[0-9A-Za-z_-]{43}"),  # the gate's own, for SCIM
    )


class MoreKeysDetector(RegexBasedDetector):
    """Private keys under headings that the library does not know (RFC 7468 §11; PuTTY, appendix C.1)."""

    secret_type = "Private Key"  # noqa: S105 - a kind
    denylist = (re.compile(r"BEGIN (?:ENCRYPTED|ANY) PRIVATE KEY"), re.compile(r"PuTTY-User-Key-File-\d"))


@dataclass(frozen=True, slots=True)
class _Mark:
    """A detector, and texts (in lower case): without one of them it finds nothing, so most passages are skipped quickly."""

    detector: RegexBasedDetector
    texts: tuple[str, ...]

    def may_be_in(self, lowered: str) -> bool:
        return any(text in lowered for text in self.texts)

    def is_anywhere_in(self, text: str) -> bool:
        """Tell whether a pattern matches anywhere, also across a line's end. A match in a single line is a match here too."""
        return any(pattern.search(text) for pattern in self.detector.denylist)


_MARKS = (
    _Mark(AWSKeyDetector(), ("a3t", "abia", "acca", "akia", "asia", "aws")),
    _Mark(AzureStorageKeyDetector(), ("accountkey=",)),
    _Mark(BasicAuthDetector(), ("://",)),
    _Mark(DiscordBotTokenDetector(), (".",)),
    _Mark(GitHubTokenDetector(), ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    _Mark(
        GitLabTokenDetector(),
        ("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "gr1348941", "glcbt-", "glimt-", "glptt-", "glagent-", "gloas-"),
    ),
    _Mark(JwtTokenDetector(), ("eyj",)),
    _Mark(MailchimpDetector(), ("-us",)),
    _Mark(NpmDetector(), ("/:_authtoken=",)),
    _Mark(OpenAIDetector(), ("t3blbkfj",)),
    _Mark(PrivateKeyDetector(), ("private key", "putty-user-key-file")),
    _Mark(MoreKeysDetector(), ("private key", "putty-user-key-file")),
    _Mark(PypiTokenDetector(), ("pypi-age",)),
    _Mark(SendGridDetector(), ("sg.",)),
    _Mark(SlackDetector(), ("xox", "hooks.slack.com")),
    _Mark(SquareOAuthDetector(), ("sq0csp-",)),
    _Mark(StripeDetector(), ("k_live_",)),
    _Mark(TelegramBotTokenDetector(), (":",)),
    _Mark(TwilioKeyDetector(), ("ac", "sk")),
    _Mark(MoreTokensDetector(), ("github_pat_", "sk-ant-", "aiza", "hvs.", "hvb.", "hvr.", "age-secret-key-1", "tgs_")),
)


def look(passage: Passage) -> Iterator[Finding]:
    """List one finding for each line and kind of secret."""
    lowered = passage.text.lower()
    for mark in _MARKS:
        if mark.may_be_in(lowered) and mark.is_anywhere_in(passage.text):
            what = f"looks like a secret: {mark.detector.secret_type}"
            for number, text in passage.lines:
                if _has_secret(mark.detector, text):
                    yield Finding(FindingKind.SECRET, passage.where, number, what)


def _has_secret(detector: RegexBasedDetector, text: str) -> bool:
    """Tell whether a line holds a secret. A placeholder for a password in a URL, such as `${PASSWORD}`, does not count."""
    try:
        secrets = detector.analyze_string(text)
        if isinstance(detector, BasicAuthDetector):
            return any(not is_templated_secret(s) and not is_prefixed_with_dollar_sign(s) for s in secrets)
        return any(True for _ in secrets)
    except RecursionError:  # a "JSON Web Token" of a thousand brackets: not a token, but not there by chance either
        return True
