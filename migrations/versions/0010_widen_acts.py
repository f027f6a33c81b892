"""Let a ref come to the same commit by more than one act; keep of a deployment that it is not proven who acted.

Revision ID: 0010
Revises: 0009

The version that runs goes on. It inserts without the new columns, so all its rows are first acts (0), and the new index holds
them apart exactly as the old one did. So the old index can go at once, and two versions together plan no act twice. The version
that runs does not heed a doubt: it holds a deployment for that only once all workers are new.
"""

from __future__ import annotations

from alembic import context, op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ACT = "(forge, repository_id, ref, sha, environment{act}) WHERE trigger IN ('push', 'tag', 'release')"


def upgrade() -> None:
    op.execute("ALTER TABLE deployments ADD COLUMN act INTEGER NOT NULL DEFAULT 0, ADD COLUMN doubt JSONB")
    _replace_index(", act")
    role = context.config.attributes.get("app_role")
    if role:
        name = str(role).replace('"', '""')
        # A deployment that is held after its permission runs two stages again.
        op.execute(f'GRANT UPDATE (outcome, detail, started_at, finished_at) ON stages TO "{name}"')


def downgrade() -> None:
    role = context.config.attributes.get("app_role")
    if role:
        name = str(role).replace('"', '""')
        op.execute(f'REVOKE UPDATE (outcome, detail, started_at, finished_at) ON stages FROM "{name}"')
    op.execute("UPDATE deployments SET trigger = 'replay' WHERE act > 0 AND trigger IN ('push', 'tag', 'release')")
    _replace_index("")
    op.execute("ALTER TABLE deployments DROP COLUMN act, DROP COLUMN doubt")


def _replace_index(act: str) -> None:
    """Make the new index before the old one goes: at no time is an act held apart by nothing."""
    op.execute(f"CREATE UNIQUE INDEX uq_deployments_new ON deployments {ACT.format(act=act)}")
    op.execute("DROP INDEX uq_deployments_act")
    op.execute("ALTER INDEX uq_deployments_new RENAME TO uq_deployments_act")
