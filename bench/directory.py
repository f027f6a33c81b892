"""A SCIM client with ten thousand people behind it, for `parts/identity.py`."""

from __future__ import annotations

from typing import Any

from app.domain.scim import ScimToken, digest_of
from app.store.unit import SqlStore
from app.web.factory import create_app
from bench.scenes import Site

SOURCE = "directory"
TOKEN = "a-token-of-the-benchmark"  # noqa: S105
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
# The rows that the server would write, one like the other, without the minutes that it would take.
_FILL = (
    """
    INSERT INTO scim_resources (source, type, id, unique_name, external_id, document, created_at, modified_at)
    SELECT source, type, id || '-' || n, name, NULL,
        document || jsonb_build_object('id', id || '-' || n, 'userName', name), created_at, modified_at
    FROM scim_resources, LATERAL (
        SELECT n, 'person' || n || '@example.com' AS name FROM generate_series(1, %(count)s) AS n
    ) AS made WHERE source = %(source)s
    """,
    """
    INSERT INTO identities (source, external_id, subject, login, name, active, said_at)
    SELECT source, external_id || '-' || n, 'person' || n || '@example.com', '', '', true, said_at
    FROM identities, generate_series(1, %(count)s) AS n WHERE source = %(source)s
    """,
)


class Directory:
    """Speaks SCIM to the application of a site, in this process."""

    def __init__(self, site: Site) -> None:
        config = site.folder / "tidegate.toml"
        config.write_text(f'{config.read_text()}\n[identity.{SOURCE}]\nkind = "scim"\n')
        self._site = site
        self._client = create_app(site.process).test_client()
        self._headers = {"Authorization": f"Bearer {TOKEN}"}
        made = ScimToken(site.process.ids.new(), SOURCE, "bench", site.process.clock.now(), "os:bench")
        with SqlStore(site.process.engine).unit() as unit:
            unit.scim_tokens.add(made, digest_of(TOKEN))

    def fill(self, count: int) -> None:
        """Have `count` people more, beside the first one, who comes by the front door."""
        first = {"schemas": [USER], "userName": "person0@example.com", "active": True}
        self._sent("POST", "/Users", json=first)
        with self._site.sql() as connection:
            for statement in _FILL:
                connection.execute(statement.encode(), {"count": count, "source": SOURCE})
            connection.execute(b"ANALYZE")

    def look_up(self, number: int) -> None:
        """Look a person up by userName; RuntimeError where it is not found, or not alone."""
        found = self._sent("GET", f'/Users?filter=userName eq "Person{number}@example.com"')
        if found["totalResults"] != 1:
            raise RuntimeError(f"person {number} was found {found['totalResults']} times")

    def _sent(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        answer = self._client.open(f"/scim/v2{path}", method=method, headers=self._headers, **more)
        if answer.status_code >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.get_data(as_text=True)}")
        document: dict[str, Any] = answer.get_json()
        return document
