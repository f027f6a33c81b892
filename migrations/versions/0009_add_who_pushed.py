"""Keep of each checked push who pushed, what the ref was before, and what the check compared with.

Revision ID: 0009
Revises: 0008

The version that runs goes on: it inserts without these columns, on whatever conflict, and reads by the same columns. Its rows
have an empty account, and vouch for their commit alone.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE checked_pushes
            ADD COLUMN old TEXT NOT NULL DEFAULT '',
            ADD COLUMN account TEXT NOT NULL DEFAULT '',
            ADD COLUMN bases JSONB,
            DROP CONSTRAINT pk_checked_pushes,
            ADD CONSTRAINT pk_checked_pushes PRIMARY KEY (forge, repository_id, ref, sha, old, account)
        """
    )
    op.execute("CREATE INDEX ix_checked_pushes_sha ON checked_pushes (forge, repository_id, sha)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_checked_pushes_sha")
    op.execute(
        """
        DELETE FROM checked_pushes a USING checked_pushes b
        WHERE (a.forge, a.repository_id, a.ref, a.sha) = (b.forge, b.repository_id, b.ref, b.sha)
            AND (a.decided_at, a.old, a.account) > (b.decided_at, b.old, b.account)
        """
    )
    op.execute(
        """
        ALTER TABLE checked_pushes
            DROP CONSTRAINT pk_checked_pushes,
            DROP COLUMN old, DROP COLUMN account, DROP COLUMN bases,
            ADD CONSTRAINT pk_checked_pushes PRIMARY KEY (forge, repository_id, ref, sha)
        """
    )
