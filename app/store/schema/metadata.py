"""All tables, for migrations and tests. A new file of tables is one line here."""

from __future__ import annotations

import app.store.schema.access
import app.store.schema.approvals
import app.store.schema.baselines
import app.store.schema.freezes
import app.store.schema.line
import app.store.schema.notices
import app.store.schema.proposals
import app.store.schema.pushes

metadata = app.store.schema.line.metadata
