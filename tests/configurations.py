"""tidegate.toml for tests: one forge, one zone, one directory, one environment, and what a test changes about them.

`toml(production={"targets": []})` changes keys of a table, and None leaves a key out. More tables follow as text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

Keys = Mapping[str, object]

FORGE: Keys = {"kind": "gogs", "url": "http://127.0.0.1:3000", "webhook_secrets": ["env:HOOK"]}
ZONE: Keys = {"kind": "compute", "region": "local"}
SITE: Keys = {"kind": "directory", "zone": "local", "path": "/srv/site"}
PRODUCTION: Keys = {
    "name": "production",
    "repository": "gogs:acme/shop",
    "deploys": ["branch:main"],
    "targets": ["site"],
    "audience": "https://shop.example/deploy",
}
STAGING: Keys = {
    **PRODUCTION,
    "name": "staging",
    "deploys": ["branch:*"],
    "audience": "https://staging.example/deploy",
}
PEOPLE = 'people = "people.toml"\n'


def toml(
    *more: str,
    top: str = PEOPLE,
    forge: Keys | None = None,
    site: Keys | None = None,
    production: Keys | None = None,
    forge_name: str = "gogs",
) -> str:
    """Spell a whole configuration. `more` is text that follows."""
    tables = [
        table(f"forges.{forge_name}", FORGE, forge),
        table("zones.local", ZONE),
        table("targets.site", SITE, site),
        environment(production),
        *more,
    ]
    return "\n".join([top, *tables] if top else tables)


def environment(over: Keys | None = None, of: Keys = PRODUCTION) -> str:
    """Spell an environment."""
    return table("[environments]", of, over)


def table(name: str, keys: Keys, over: Keys | None = None) -> str:
    """Spell a table."""
    known = {key: value for key, value in {**keys, **(over or {})}.items() if value is not None}
    return "".join([f"[{name}]\n", *(f"{key} = {_spelled(value)}\n" for key, value in known.items())])


def _spelled(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_spelled(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)  # TOML spells text, numbers, truth and lists of them alike
