"""The library's own contract of a SCIM storage, over ours in a real Postgres."""

from __future__ import annotations

import pytest
from scim2_models import ScimProvider
from scim2_server.storage import ScimStorage
from scim2_server.testing import ScimStorageContract
from sqlalchemy import Engine

from app.domain.access import SourceKind
from app.integrations.system import SystemClock, SystemIds
from app.store.scim.resources import Desk, SqlScim
from app.store.unit import SqlStore, SqlUnit
from app.web.scim.service import make_provider


class TestSqlScim(ScimStorageContract):
    """Every rule of the contract, with what we announce."""

    @pytest.fixture
    def provider(self) -> ScimProvider:
        return make_provider()

    @pytest.fixture
    def storage(self, engine: Engine) -> ScimStorage:
        store, provider = SqlStore(engine), make_provider()

        def open_source(unit: SqlUnit) -> object:
            return unit.statements.open("directory", SourceKind.SCIM)

        desk = Desk(store.unit, open_source, lambda *_: None, clock=SystemClock(), ids=SystemIds(), provider=provider)
        return SqlScim("directory", desk)
