"""Acts: how a ref came to its commits, and who is named for it. They are read from planned deployments and checked pushes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from app.domain.deployment import Deployment, Doubt, EarlierActs, Grounds, Trigger
from app.store.audit import as_json
from app.store.schema.deployment_rows import deployment_from, doubt_json
from app.store.schema.line import deployments as table

# Found by the unique index of acts, and by the order of receipt of the environment; only a delivery that names a known ref and
# commit asks. A delivery without a former commit comes from the commit that the ref stands on.
_SAME_REF = "forge = :forge AND repository_id = :repository_id AND ref = :ref AND trigger IN ('push', 'tag', 'release')"
_LATEST = ", ".join(f'latest."{c.name}"' for c in table.c)
_EARLIER = text(f"""
WITH latest AS (
    SELECT * FROM deployments WHERE {_SAME_REF} AND sha = :sha AND environment = :environment ORDER BY act DESC LIMIT 1
), newest AS (
    SELECT sha FROM deployments WHERE {_SAME_REF} AND environment = :environment ORDER BY position DESC, id DESC LIMIT 1
), former AS (
    SELECT coalesce(CAST(:before AS text), (SELECT sha FROM newest)) AS sha
)
SELECT {_LATEST}, (SELECT sha FROM newest) AS stands_on,
    EXISTS (
        SELECT FROM deployments WHERE {_SAME_REF} AND sha = :sha AND environment = :environment
        AND before = (SELECT sha FROM former)
    ) AS is_repeated,
    EXISTS (
        SELECT FROM deployments WHERE {_SAME_REF} AND before = :sha AND environment = :environment
        AND position > latest.position
    ) AS has_left,
    EXISTS (
        SELECT FROM deployments WHERE {_SAME_REF} AND sha = (SELECT sha FROM former) AND environment = :environment
        AND position > latest.position
    ) AS was_at_former
FROM (SELECT 1) AS one LEFT JOIN latest ON true
""").columns(*table.c)  # noqa: S608 - names of ours only
# The delivery's own word about the former commit chooses among what the check saw, and hides nothing of it.
# The release that stands tells the number of the repository; before the first one under this name, any other number is told.
_GROUNDS = text("""
WITH seen AS (
    SELECT account, CAST(:old AS text) IS NULL OR old = :old AS fits FROM checked_pushes
    WHERE forge = :forge AND repository_id = :repository_id AND ref = :ref AND sha = :sha AND account <> ''
), released AS (
    SELECT forge, full_name, repository_id FROM deployments WHERE environment = :environment AND state = 'succeeded'
    ORDER BY updated_at DESC, id DESC LIMIT 1
), numbers AS (
    SELECT forge, full_name, repository_id FROM released
    UNION ALL
    SELECT forge, full_name, repository_id FROM deployments
    WHERE environment = :environment AND NOT EXISTS (SELECT FROM released WHERE lower(full_name) = lower(:full_name))
)
SELECT coalesce((SELECT version FROM access_version), 0) AS access_version,
    ARRAY(SELECT DISTINCT account FROM seen WHERE fits) AS pushers,
    ARRAY(SELECT DISTINCT account FROM seen WHERE NOT fits) AS others,
    ARRAY(
        SELECT DISTINCT repository_id FROM numbers
        WHERE forge = :forge AND lower(full_name) = lower(:full_name) AND repository_id <> :repository_id ORDER BY 1
    ) AS other_numbers
""")
_DISPUTE = text("""
UPDATE deployments SET doubt = CAST(:doubt AS jsonb),
    state = CASE WHEN state IN ('permitted', 'granted') THEN 'held' ELSE state END,
    reason = CASE WHEN state IN ('planned', 'identified', 'held', 'permitted', 'granted') THEN :why ELSE reason END
WHERE id = :id
""")


@dataclass(frozen=True, slots=True)
class SqlActs:
    """Acts in the tables of deployments and checked pushes (protocol: `pipeline.ports.stores.acts.Acts`)."""

    connection: Connection

    def earlier(self, deployment: Deployment, *, before: str | None) -> EarlierActs:
        """Tell how the ref of this new deployment came to its commit before. `before`: None if the delivery does not say."""
        row = self.connection.execute(_EARLIER, _act_of(deployment) | {"before": before}).one()
        latest = deployment_from(row) if row.id is not None else None
        return EarlierActs(latest, row.stands_on, row.is_repeated, row.has_left, row.was_at_former)

    def grounds(self, deployment: Deployment) -> Grounds:
        """Return the access map's version, who was allowed to make this change, and other numbers of the repository.

        One statement. A tag's delivery does not say what the tag named before, so for a tag each change to its commit counts.
        """
        old = None if deployment.trigger is Trigger.TAG else deployment.before or "0" * len(deployment.sha)
        repository = deployment.repository.full_name
        row = self.connection.execute(_GROUNDS, _act_of(deployment) | {"old": old, "full_name": repository}).one()
        return Grounds(row.access_version, frozenset(row.pushers), frozenset(row.others), tuple(row.other_numbers))

    def dispute(self, deployment: Deployment, doubt: Doubt) -> None:
        """Note that it is not proven who acted; hold the deployment if it was permitted and is not dispatched yet."""
        parameters = {"id": deployment.id, "doubt": as_json(doubt_json(doubt)), "why": doubt.why}
        self.connection.execute(_DISPUTE, parameters)


def _act_of(deployment: Deployment) -> dict[str, Any]:
    repository = deployment.repository
    return {
        "forge": repository.forge,
        "repository_id": repository.id,
        "ref": deployment.ref,
        "sha": deployment.sha,
        "environment": deployment.environment,
    }
