"""An AWS account for the contract of identity sources: a real moto server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from app.integrations.identity.protocol import IdentitySource
from tests.contracts.moto_account import MotoAccount, as_tags, moto_account
from tests.contracts.scenario import GROUPS, PEOPLE


class AwsAccount:
    """The account (protocol: Scenario). A login is the value of the tag that names the principal."""

    def __init__(self, account: MotoAccount) -> None:
        self.source: IdentitySource = account.source()
        self._account = account
        self._iam = account.iam
        self._numbers = count()
        self._names: dict[str, str] = {}

    def now(self) -> datetime:
        return datetime.now(UTC)

    def people(self) -> Mapping[str, str]:
        return {login: self._iam.get_user(UserName=name)["User"]["UserId"] for login, name in self._names.items()}

    def groups(self) -> Mapping[str, str]:
        return {group["GroupName"]: group["GroupId"] for group in self._iam.list_groups()["Groups"]}

    def add(self, login: str) -> None:
        name = f"user-{next(self._numbers)}"
        if not all(c.isalnum() or c in " _.:/=+-@" for c in login) or len(login) > 256:
            raise NotImplementedError  # AWS takes no other characters in the values of tags
        self._account.add_person(name, login)
        self._names[login] = name

    def rename(self, login: str, new: str) -> None:
        if "\x00" in new:
            raise NotImplementedError
        name = self._names.pop(login)
        self._iam.tag_user(UserName=name, Tags=as_tags({"email": new}))
        self._names[new] = name

    def deactivate(self, login: str) -> None:
        self._iam.tag_user(UserName=self._names[login], Tags=as_tags({"tidegate-active": "false"}))

    def activate(self, login: str) -> None:
        self._iam.untag_user(UserName=self._names[login], TagKeys=["tidegate-active"])

    def remove(self, login: str) -> None:
        self._account.remove(self._names.pop(login))

    def add_group(self, name: str) -> None:
        self._iam.create_group(GroupName=name)

    def rename_group(self, name: str, new: str) -> None:
        raise NotImplementedError  # moto does not do it (https://docs.getmoto.org, iam)

    def remove_group(self, name: str) -> None:
        for user in self._iam.get_group(GroupName=name)["Users"]:
            self._account.remove_from_group(user["UserName"], name)
        self._iam.delete_group(GroupName=name)

    def add_to_group(self, name: str, login: str) -> None:
        self._account.add_to_group(self._names[login], name)

    def remove_from_group(self, name: str, login: str) -> None:
        self._account.remove_from_group(self._names[login], name)

    def go_away(self) -> None:
        self._account.go_away()


@contextmanager
def aws_scenario(_folder: Path) -> Iterator[AwsAccount]:
    """Run an account with the people and groups that every scenario begins with."""
    with moto_account() as account:
        made = AwsAccount(account)
        for login in PEOPLE:
            made.add(login)
        for name, members in GROUPS.items():
            made.add_group(name)
            for login in members:
                made.add_to_group(name, login)
        yield made
