"""Find the owner of a forge's personal access token by one request; the token is not kept (protocol: AccountProof).

Gogs, Gitea and Forgejo answer alike: `GET /api/v1/user` under `Authorization: token TOKEN` gives the token's owner
(gogs: internal/route/api/v1/user/user.go `GetAuthenticatedUser`; gitea: docs.gitea.com/api, userGetCurrent).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from app.domain.errors import BadRequest, SourceUnavailable
from app.domain.event import Account
from app.integrations.http import HttpClient, NotSent, Unanswered

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
        try:
            answer = self.client.get(f"{self.url.rstrip('/')}/api/v1/user", headers={"authorization": f"token {token}"})
        except (NotSent, Unanswered) as fault:
            raise SourceUnavailable(f"forge {self.name} cannot be asked now ({fault})") from None
        if answer.status in (401, 403):
            raise BadRequest(f"forge {self.name} does not accept this token")
        if answer.status != 200 or not answer.is_whole:
            raise SourceUnavailable(f"forge {self.name} cannot be asked now (HTTP {answer.status})")
        try:
            user = _User.model_validate_json(answer.body)
        except ValidationError:
            raise SourceUnavailable(f"forge {self.name} did not name the owner of this token") from None
        return Account(self.name, str(user.id), user.login)
