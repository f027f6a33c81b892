"""An AWS account's users, roles and groups, read whole with one paged call. The only place where boto3 is used.

`details.py` says what the answers mean; `events.py` reads the notices that EventBridge posts after a change.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Annotated, Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ProxyConnectionError,
    SSLError,
)
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain.access import Hint, Page
from app.domain.errors import SecretUnavailable, SourceUnavailable
from app.integrations.identity.aws.details import AwsAccount, Details, Naming
from app.integrations.identity.protocol import Tools

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 20, 3
PAGE_SIZE = 300  # AWS would give 1,000, but every user and role comes with its policies, some 10 kB each
MOST_PAGES = 1_000  # an account has at most 5,000 users and some thousand roles (IAM quotas); pages may be short
_LOOPBACK = r"(localhost|127\.0\.0\.1|\[::1\])"
_KEY = re.compile(r"[\x21-\x7e]+")
_CODE = re.compile(r"[A-Za-z.]{1,64}")
_MEANINGS = {
    "AccessDenied": "the credentials need iam:GetAccountAuthorizationDetails",
    "ExpiredToken": "the credentials have expired",
    "InvalidClientTokenId": "the access key is not known",
    "SignatureDoesNotMatch": "the secret key does not fit the access key",
}
_NO_CONNECTION = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError, SSLError)
_Reference = Annotated[str, Field(pattern=r"^(env|file):.+$")]
_TagKey = Annotated[str, Field(min_length=1, max_length=128)]


class Options(BaseModel):
    """An AWS source's own keys. Without access keys here, boto3 looks for credentials."""

    model_config = ConfigDict(extra="forbid")
    region: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)+-\d{1,2}$")] = "us-east-1"
    access_key_id: _Reference | None = None
    secret_access_key: _Reference | None = None
    session_token: _Reference | None = None
    endpoint: Annotated[str, Field(pattern=rf"^(https://[^\s@/?#]+|http://{_LOOPBACK}(:\d+)?)/?$")] | None = None
    subject_tag: _TagKey = "email"
    group_tag: _TagKey = "tidegate-groups"
    group_prefix: Annotated[str, Field(max_length=64)] = ""
    events_secret: _Reference | None = None

    @model_validator(mode="after")
    def _is_a_pair(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key come together")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token needs access_key_id and secret_access_key")
        return self


# A session may make only one client at a time (boto3's guide, "Multithreading or multiprocessing with sessions").
_client_lock = threading.Lock()


class AwsIam:
    """An AWS account's IAM (protocol: IdentitySource). Safe to share between threads: every read has its own client."""

    def __init__(self, options: Options, tools: Tools) -> None:
        self._options = options
        self._secret = tools.secret

    def read_all(self) -> Iterator[Page]:
        """Read the account; raises SourceUnavailable."""
        options = self._options
        account = AwsAccount(Naming(options.subject_tag, options.group_tag, options.group_prefix))
        for details in self._read():
            yield Page(identities=account.add(details))
        yield Page(groups=account.groups())

    def read_changes(self, since: datetime) -> Iterator[Page] | None:
        """Return None: IAM does not say when a user, a tag or a group was changed."""
        return None

    def read_again(self, hint: Hint) -> Iterator[Page] | None:
        """Return None: IAM lists a group's members with each user, not with the group."""
        return None

    def _read(self) -> Iterator[Details]:
        """Yield page after page; raises SourceUnavailable, also if the last page is not the end."""
        is_truncated = True
        try:
            with closing(self._client()) as client:
                for page in islice(_pages(client), MOST_PAGES):
                    details = Details.model_validate(page)
                    is_truncated = details.IsTruncated
                    yield details
        except SecretUnavailable as fault:
            raise SourceUnavailable(f"AWS IAM: {fault}") from None
        except Exception as fault:  # botocore lets KeyError and ValueError out if an answer is not IAM's
            raise SourceUnavailable(f"AWS IAM: {_reason(fault)}") from None
        if is_truncated:  # botocore ends silently if the marker of the next page is missing
            raise SourceUnavailable("AWS IAM: the answer is not complete")

    def _client(self) -> Any:
        """Make a client with the current secrets. Only the first client of a process takes a third of a second."""
        options = self._options
        limits = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        with _client_lock:
            return _session().client(
                "iam",
                region_name=options.region,
                endpoint_url=options.endpoint,
                aws_access_key_id=self._value(options.access_key_id),
                aws_secret_access_key=self._value(options.secret_access_key),
                aws_session_token=self._value(options.session_token),
                config=limits,
            )

    def _value(self, reference: str | None) -> str | None:
        if reference is None:
            return None
        value = self._secret(reference).reveal().decode(errors="replace")
        if not _KEY.fullmatch(value):
            raise SecretUnavailable(f"{reference} does not hold an AWS key")
        return value


@cache
def _session() -> Any:
    """Return the process's one session, which has loaded the descriptions of AWS's services."""
    return boto3.session.Session()


def _pages(client: Any) -> Iterable[object]:
    paginator = client.get_paginator("get_account_authorization_details")
    pages: Iterable[object] = paginator.paginate(Filter=["User", "Group", "Role"], PaginationConfig={"PageSize": PAGE_SIZE})
    return pages


def _reason(fault: Exception) -> str:
    """Describe a fault in one line, in our own words, since botocore's may quote the request or the answer."""
    kind = type(fault).__name__
    if isinstance(fault, ClientError):
        return _refusal(fault.response)
    if isinstance(fault, _NO_CONNECTION):
        return f"no connection ({kind})"
    if isinstance(fault, HTTPClientError):
        return f"no answer ({kind})"
    if isinstance(fault, NoCredentialsError):
        return "no credentials: none are configured, and boto3 finds none"
    if isinstance(fault, BotoCoreError):
        return f"cannot be read ({kind})"
    return f"the answer cannot be understood ({kind})"


def _refusal(response: Any) -> str:
    code = str(response.get("Error", {}).get("Code") or "")
    if code in _MEANINGS:
        return f"AWS refuses ({code}): {_MEANINGS[code]}"
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return f"AWS refuses ({code})" if _CODE.fullmatch(code) else f"AWS refuses (HTTP {status})"
