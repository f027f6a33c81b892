"""An AWS account in which a test changes people: a real moto server, spoken to over HTTP."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from app.integrations.identity.aws.source import AwsIam, Options
from app.integrations.secrets.protocol import Secret
from tests.sources import tools

TRUST = '{"Version": "2012-10-17", "Statement": []}'


class MotoAccount:
    """People, groups and roles of an empty account, and the source that reads it. `moto_account` gives one."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        self._is_there = True
        self.url = "http://{}:{}".format(*self._server.get_host_and_port())
        self._tell("reset")
        self.iam: Any = boto3.session.Session("root", "root", region_name="us-east-1").client("iam", endpoint_url=self.url)

    def source(self, **options: Any) -> AwsIam:
        """Make the source, with `options` beside what it needs to get here."""
        return source_at(self.url, **options)

    def add_person(self, login: str, subject: str, active: bool = True) -> None:
        """Create a user whose tag names `subject`."""
        tags = {"email": subject} if active else {"email": subject, "tidegate-active": "false"}
        self.iam.create_user(UserName=login, Tags=as_tags(tags))

    def remove(self, login: str) -> None:
        """Delete a user, who must leave every group first (as on AWS)."""
        for group in self.iam.list_groups_for_user(UserName=login)["Groups"]:
            self.remove_from_group(login, group["GroupName"])
        self.iam.delete_user(UserName=login)

    def add_to_group(self, login: str, group: str) -> None:
        """Put a user into a group, which is created where it is not there."""
        if group not in {each["GroupName"] for each in self.iam.list_groups()["Groups"]}:
            self.iam.create_group(GroupName=group)
        self.iam.add_user_to_group(UserName=login, GroupName=group)

    def remove_from_group(self, login: str, group: str) -> None:
        """Take a user out of a group, which stays."""
        self.iam.remove_user_from_group(UserName=login, GroupName=group)

    def add_role(self, name: str, **tags: str) -> None:
        """Create a role that nobody can assume."""
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, Tags=as_tags(tags))

    def enforce(self) -> None:
        """Let IAM decide on every call from here on."""
        self._tell("reset-auth", b"0")

    def empty(self) -> None:
        """Forget everybody, and let everybody in."""
        self._tell("reset-auth", b"inf")  # kept by the process, not by the server
        self._tell("reset")

    def go_away(self) -> None:
        """Let nothing listen here any more."""
        if self._is_there:
            self.empty()
            self._server.stop()
            self._is_there = False

    @property
    def is_there(self) -> bool:
        """Tell whether it answers."""
        return self._is_there

    def _tell(self, what: str, body: bytes = b"") -> None:
        """Order moto itself (docs.getmoto.org, "Moto APIs" and "IAM-like Access Control")."""
        request = urllib.request.Request(f"{self.url}/moto-api/{what}", body, {"content-type": "text/plain"}, method="POST")
        urllib.request.urlopen(request).read()


_kept: list[MotoAccount] = []


@contextmanager
def moto_account() -> Iterator[MotoAccount]:
    """Give an empty account, on a server that the next test takes over: starting one takes longer than most tests."""
    account = _kept.pop() if _kept else MotoAccount()
    account.empty()
    yield account
    if account.is_there:
        _kept.append(account)


def source_at(url: str, access_key: str = "root", secret_key: str = "root", **options: Any) -> AwsIam:
    """Make a source that reads what answers at `url`, as whoever has these keys."""
    keys = {"env:ID": Secret(access_key.encode()), "env:KEY": Secret(secret_key.encode())}
    table = {"endpoint": url, "access_key_id": "env:ID", "secret_access_key": "env:KEY", **options}
    return AwsIam(Options.model_validate(table), tools(keys.__getitem__))


def as_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    """Spell tags as the API does."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
