"""An Okta org for the contract of identity sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from app.integrations.http import HttpClient
from app.integrations.identity.okta.source import Okta, Options
from app.integrations.identity.protocol import IdentitySource
from app.integrations.secrets.protocol import Secret
from tests.contracts.scenario import GROUPS, PEOPLE
from tests.okta_fake import TOKEN, FakeOkta, StillClock, serving_okta
from tests.sources import tools


class OktaScenario:
    """The fake org, and the source that reads it page by page (protocol: Scenario)."""

    def __init__(self, fake: FakeOkta, clock: StillClock, away: ExitStack) -> None:
        client = HttpClient(connect_timeout=5.0, read_timeout=20.0)
        options = Options(url=fake.url, token="env:OKTA_TOKEN")
        secret = Secret(TOKEN.encode())
        self.source: IdentitySource = Okta(options, tools(lambda _: secret, clock=clock, pause=clock.pause, client=client))
        self._fake = fake
        self._clock = clock
        self._away = away

    def now(self) -> datetime:
        self._clock.move(3600)
        return self._clock.now()

    def people(self) -> Mapping[str, str]:
        return {user["profile"]["login"]: key for key, user in self._fake.users.items()}

    def groups(self) -> Mapping[str, str]:
        return {group["profile"]["name"]: key for key, group in self._fake.groups.items()}

    def add(self, login: str) -> None:
        self._fake.add_user(login)

    def rename(self, login: str, new: str) -> None:
        self._fake.set_profile(self.people()[login], login=new)

    def deactivate(self, login: str) -> None:
        self._fake.set_status(self.people()[login], "DEPROVISIONED")

    def activate(self, login: str) -> None:
        self._fake.set_status(self.people()[login], "ACTIVE")

    def remove(self, login: str) -> None:
        self._fake.delete_user(self.people()[login])

    def add_group(self, name: str) -> None:
        self._fake.add_group(name)

    def rename_group(self, name: str, new: str) -> None:
        self._fake.rename_group(self.groups()[name], new)

    def remove_group(self, name: str) -> None:
        self._fake.delete_group(self.groups()[name])

    def add_to_group(self, name: str, login: str) -> None:
        self._fake.add_member(self.groups()[name], self.people()[login])

    def remove_from_group(self, name: str, login: str) -> None:
        self._fake.remove_member(self.groups()[name], self.people()[login])

    def go_away(self) -> None:
        self._away.close()


@contextmanager
def okta_scenario(_folder: Path) -> Iterator[OktaScenario]:
    """Run an org with the people and groups that every scenario begins with, two on a page."""
    clock = StillClock()
    with ExitStack() as away:
        fake = away.enter_context(serving_okta(clock))
        fake.page_size = 2
        people = {login: fake.add_user(login) for login in PEOPLE}
        for name, members in GROUPS.items():
            fake.add_group(name, [people[login] for login in members])
        yield OktaScenario(fake, clock, away)
