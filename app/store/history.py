"""The history behind a deployment, read from deliveries, deployments and checked pushes; and the table of baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, text
from sqlalchemy.dialects.postgresql import insert

from app.domain.deployment import Deployment, Trigger
from app.domain.environment import TAGS
from app.domain.event import Account, Repository
from app.domain.push import Arrival, ArrivalKind, Baseline, Ground
from app.store.schema.baselines import baselines as table
from app.store.schema.deployment_rows import deployment_from
from app.store.schema.line import deployments

ACTS = frozenset({Trigger.PUSH, Trigger.TAG, Trigger.RELEASE})
# A replay and an override repeat an act: what came after that act is not a former commit of its ref.
_GROUND = text("""
WITH act AS (
    SELECT CASE WHEN :is_act THEN :position ELSE coalesce((
        SELECT max(position) FROM deployments WHERE forge = :forge AND repository_id = :repository_id AND ref = :ref
        AND environment = :environment AND sha = :sha AND trigger IN ('push', 'tag', 'release')
    ), :position) END AS position
)
(SELECT 'release' AS what, ref, sha FROM (
    SELECT forge, repository_id, ref, sha FROM deployments WHERE environment = :environment AND state = 'succeeded'
    ORDER BY position DESC, id DESC LIMIT 1
) AS newest WHERE forge = :forge AND repository_id = :repository_id)
UNION ALL (SELECT 'baseline', '', sha FROM baselines WHERE environment = :environment ORDER BY accepted_at DESC, sha)
UNION ALL (SELECT 'former', ref, sha FROM deployments WHERE forge = :forge AND repository_id = :repository_id AND ref = :ref
    AND environment = :environment AND position < (SELECT position FROM act) AND trigger NOT IN ('rollback', 'failure')
    ORDER BY position DESC LIMIT 1)
UNION ALL (SELECT 'former', ref, sha FROM deployments WHERE forge = :forge AND repository_id = :repository_id AND ref = :ref
    AND environment = :environment AND position < (SELECT position FROM act) AND state = 'succeeded'
    ORDER BY position DESC LIMIT 1)
UNION ALL (SELECT 'former', ref, sha FROM deployments WHERE :is_tag AND forge = :forge AND repository_id = :repository_id
    AND ref = :ref AND position < (SELECT position FROM act) AND sha <> :sha LIMIT 1)
""")
# Only a check is bound to its ref. So a commit that came to many refs by one account and from one commit is one row.
_ARRIVALS = text("""
SELECT event ->> 'kind' AS kind, '' AS ref, event ->> 'after' AS sha,
    CASE WHEN event ->> 'before' IS NULL THEN CAST('[]' AS jsonb) ELSE jsonb_build_array(event ->> 'before') END AS bases,
    event #>> '{actor,forge}' AS actor_forge, event #>> '{actor,id}' AS actor_id, event #>> '{actor,login}' AS actor_login
FROM deliveries WHERE forge = :forge AND event ->> 'after' = ANY(:shas) AND event IS NOT NULL
    AND event #>> '{repository,id}' = CAST(CAST(:repository_id AS bigint) AS text)
    AND lower(event #>> '{repository,full_name}') = lower(CAST(:full_name AS text))
UNION SELECT 'tag', '', sha, CAST(NULL AS jsonb), actor_forge, actor_id, actor_login FROM deployments
WHERE forge = :forge AND repository_id = :repository_id AND sha = ANY(:shas) AND trigger NOT IN ('rollback', 'failure')
UNION SELECT 'check', ref, sha, bases, split_part(account, ':', 1), split_part(account, ':', 2), '' FROM checked_pushes
WHERE forge = :forge AND repository_id = :repository_id AND sha = ANY(:shas)
""")
_ORIGIN = text("""
WITH RECURSIVE origin AS (
    SELECT * FROM deployments WHERE id = :id
    UNION ALL SELECT earlier.* FROM deployments AS earlier JOIN origin ON earlier.id = origin.release_id
)
SELECT * FROM origin WHERE release_id IS NULL LIMIT 1
""").columns(*deployments.c)


@dataclass(frozen=True, slots=True)
class SqlHistory:
    """What is known of refs and commits (protocol: `pipeline.ports.stores.history.History`)."""

    connection: Connection

    def ground(self, deployment: Deployment) -> Ground:
        """Return what the facts about a deployment are measured against."""
        repository = deployment.repository
        parameters = {
            "environment": deployment.environment,
            "forge": repository.forge,
            "repository_id": repository.id,
            "ref": deployment.ref,
            "sha": deployment.sha,
            "position": deployment.position,
            "is_act": deployment.trigger in ACTS,
            "is_tag": deployment.ref.startswith(TAGS),
        }
        rows = self.connection.execute(_GROUND, parameters).all()
        release = next(((row.ref, row.sha) for row in rows if row.what == "release"), None)
        baselines = tuple(row.sha for row in rows if row.what == "baseline")
        return Ground(release, baselines, tuple(dict.fromkeys(row.sha for row in rows if row.what == "former")))

    def arrivals(self, repository: Repository, shas: Sequence[str]) -> list[Arrival]:
        """List how these commits are known to have come.

        A delivery counts only under the repository's name, since by the name it is held against the secrets that are good for it.
        """
        place = {"forge": repository.forge, "repository_id": repository.id, "full_name": repository.full_name}
        return [_arrival(row) for row in self.connection.execute(_ARRIVALS, place | {"shas": list(shas)})]

    def origin(self, deployment: Deployment) -> Deployment | None:
        """Return the deployment at the beginning of a chain of rollbacks."""
        row = self.connection.execute(_ORIGIN, {"id": deployment.id}).first()
        return deployment_from(row) if row else None


@dataclass(frozen=True, slots=True)
class SqlBaselines:
    """The table of baselines (protocol: `pipeline.ports.stores.history.Baselines`)."""

    connection: Connection

    def add(self, baseline: Baseline) -> bool:
        """Store a baseline; False if the environment has it already."""
        statement = insert(table).values(asdict(baseline)).on_conflict_do_nothing()
        return self.connection.execute(statement.returning(table.c.sha)).first() is not None

    def all(self, environment: str | None = None) -> list[Baseline]:
        """List the baselines of an environment, or all, oldest first."""
        query = select(table).order_by(table.c.accepted_at, table.c.environment, table.c.sha)
        if environment is not None:
            query = query.where(table.c.environment == environment)
        return [Baseline(**row._mapping) for row in self.connection.execute(query)]


def _arrival(row: Row[Any]) -> Arrival:
    kind = {"push": ArrivalKind.PUSH, "check": ArrivalKind.CHECK}.get(row.kind, ArrivalKind.TAG)
    account = Account(row.actor_forge, row.actor_id, row.actor_login) if row.actor_forge else None
    return Arrival(kind, row.ref, row.sha, None if row.bases is None else tuple(row.bases), account)
