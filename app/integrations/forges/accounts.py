"""Ask a forge whose a personal access token is (it is not kept; protocol: AccountProof), or which number a login has.

Gogs, Gitea and Forgejo answer alike: `GET /api/v1/user` under `Authorization: token TOKEN` gives the token's owner
(gogs: internal/route/api/v1/user/user.go `GetAuthenticatedUser`; gitea: docs.gitea.com/api, userGetCurrent).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from app.domain.errors import BadRequest, SourceUnavailable
from app.domain.event import Account
from app.domain.text import plain_line
from app.integrations.http import HttpAnswer, HttpClient, NotSent, Unanswered

SECONDS = 5.0
_TOKEN = re.compile(r"[A-Za-z0-9_.-]{1,255}")


class _User(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    id: int = Field(gt=0)
    login: str = Field(min_length=1, max_length=255, validation_alias=AliasChoices("username", "login"))


@dataclass(frozen=True, slots=True)
class ForgeAccounts:
    """Asks the forge that the configuration calls `name`."""

    name: str
    url: str
    client: HttpClient = field(default_factory=lambda: HttpClient(connect_timeout=SECONDS, read_timeout=SECONDS))

    def account_of(self, token: str) -> Account:
        """Return the account that the token belongs to.

        Raises BadRequest (the forge does not accept the token) or SourceUnavailable (the forge cannot be asked now). No error
        text holds the token.
        """
        if not _TOKEN.fullmatch(token):
            raise BadRequest("this is not an access token of a forge")
        answer = self._ask("user", token)
        if answer.status in (401, 403):
            raise BadRequest(f"forge {self.name} does not accept this token")
        if answer.status != 200 or not answer.is_whole:
            raise SourceUnavailable(f"forge {self.name} cannot be asked now (HTTP {answer.status})")
        user = _user(answer)
        if user is None:
            raise SourceUnavailable(f"forge {self.name} did not name the owner of this token")
        return Account(self.name, str(user.id), user.login)

    def number_of(self, login: str, token: str | None = None) -> str | None:
        """Return the number of the user with this login; None if there is none. Raises SourceUnavailable.

        `GET /api/v1/users/LOGIN` takes no token, unless the forge shows nothing to strangers.
        """
        answer = self._ask(f"users/{quote(login, safe='')}", token)
        if answer.status == 404:
            return None
        user = _user(answer) if answer.status == 200 and answer.is_whole else None
        if user is None:
            raise SourceUnavailable(f"forge {self.name} does not say whose login {plain_line(login)} is (HTTP {answer.status})")
        return str(user.id) if user.login.casefold() == login.casefold() else None

    def _ask(self, what: str, token: str | None) -> HttpAnswer:
        headers = {"authorization": f"token {token}"} if token else {}
        try:
            return self.client.get(f"{self.url.rstrip('/')}/api/v1/{what}", headers=headers)
        except (NotSent, Unanswered) as fault:
            raise SourceUnavailable(f"forge {self.name} cannot be asked now ({fault})") from None


def _user(answer: HttpAnswer) -> _User | None:
    try:
        return _User.model_validate_json(answer.body)
    except ValidationError:
        return None
