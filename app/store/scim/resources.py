"""The users and groups that a SCIM client has written (protocol: scim2_server's ScimStorage). Served in `web/scim/server.py`.

One object serves one request of one source. A writer locks the source's row from its first read on. So writers of one
source run one after another: none overwrites changes that it has not seen, and none deadlocks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, cast

from scim2_models import (
    InvalidValueException,
    NotFoundException,
    Path,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimProvider,
    SearchRequest,
    UniquenessException,
)
from scim2_server.storage import ScimStorage, SearchPage
from sqlalchemy import ColumnElement, Row, Text, any_, delete, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DataError, IntegrityError

from app.domain.clock import Clock, Ids
from app.domain.scim import WrittenResource
from app.store.schema.access import identities, scim_resources
from app.store.scim.search import SearchIn, page_of, plan
from app.store.unit import SqlUnit

LONGEST_NAME = 500  # characters: an index entry has at most some 2,700 bytes (PostgreSQL, "B-Tree Indexes")
_NAMES = {"User": "userName", "Group": "displayName"}
_HOLDS = text("document @> CAST(:holds AS jsonb)")


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts that a storage works with. `open` locks the source before a write; `record` gets each write (`serve_scim.py`)."""

    unit: Callable[[], AbstractContextManager[SqlUnit]]
    open: Callable[[SqlUnit], object]
    record: Callable[[SqlUnit, WrittenResource], None]
    clock: Clock
    ids: Ids
    provider: ScimProvider


class SqlScim(ScimStorage):
    """The resources of one source, for one request."""

    def __init__(self, source: str, desk: Desk) -> None:
        self._source = source
        self._desk = desk
        self._current: SqlUnit | None = None
        self._is_writing = False

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Enclose one request: all its reads and writes are one transaction."""
        with self._unit():
            yield

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """Return a resource. Without parameters it is not a GET but will be changed, so other writers are locked out."""
        with self._unit(writing=response_parameters is None) as unit:
            return self._resource(self._row(unit, resource_type, resource_id))

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """Return a page; see `search.py` for the part that the database does."""
        names = [_name(resource_type) for resource_type in resource_types]
        fits = [scim_resources.c.source == self._source, scim_resources.c.type.in_(names)]
        with self._unit() as unit:
            return page_of(SearchIn(unit.connection, fits, self._resource), plan(search_request, names), search_request)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Store a new resource, and record it."""
        with self._unit(writing=True) as unit:
            now = self._desk.clock.now()
            key = {"source": self._source, "type": _name(resource_type), "id": self._desk.ids.new()}
            values = key | self._values(unit, resource_type, resource) | {"created_at": now, "modified_at": now}
            return self._write(unit, insert(scim_resources).values(values).returning(scim_resources))

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Replace a resource, and record it."""
        with self._unit(writing=True) as unit:
            row = self._row(unit, resource_type, cast(str, resource.id), expected_version)
            values = self._values(unit, resource_type, resource)
            return self._write(unit, self._change(row, values), row.document)

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Delete a resource, take it out of every group, and record both."""
        with self._unit(writing=True) as unit:
            row = self._row(unit, resource_type, resource_id, expected_version)
            for group in self._groups_of(unit, row.id):
                left = [member for member in group.document["members"] if member.get("value") != row.id]
                self._write(unit, self._change(group, {"document": group.document | {"members": left}}))
            unit.connection.execute(delete(scim_resources).where(*_key(row)))
            self._desk.record(unit, WrittenResource(row.type, row.id, None))

    @contextmanager
    def _unit(self, *, writing: bool = False) -> Iterator[SqlUnit]:
        """Yield the operation's unit, or a new one if the call is outside an operation."""
        if self._current is not None:
            self._begin_writing(self._current, writing)
            yield self._current
            return
        try:
            with self._desk.unit() as unit:
                self._current = unit
                self._begin_writing(unit, writing)
                yield unit
        except (DataError, UnicodeEncodeError):  # a NUL or half a surrogate pair, which Postgres does not store as text
            raise InvalidValueException(detail="the request holds a character that cannot be stored") from None
        finally:
            self._current, self._is_writing = None, False

    def _begin_writing(self, unit: SqlUnit, writing: bool) -> None:
        if writing and not self._is_writing:
            self._desk.open(unit)
            self._is_writing = True

    def _row(self, unit: SqlUnit, resource_type: ResourceType, resource_id: str, version: str | None = None) -> Row[Any]:
        where = _where(self._source, _name(resource_type), resource_id)
        row = unit.connection.execute(select(scim_resources).where(*where)).first()
        if row is None:
            raise NotFoundException(detail=f"there is no {_name(resource_type)} with this id")
        if version is not None and version != _etag(row):
            raise PreconditionFailedException
        return row

    def _values(self, unit: SqlUnit, resource_type: ResourceType, resource: Resource[Any]) -> dict[str, Any]:
        """Make the columns of a resource; raises InvalidValueException if it cannot be stored."""
        document = resource.model_dump()
        document = {name: value for name, value in document.items() if name not in ("id", "meta", "password")}
        if _name(resource_type) == "Group":
            document["members"] = self._members(unit, document.get("members") or [])
        name = str(document.get(_NAMES[_name(resource_type)]) or "")
        external_id = document.get("externalId")
        if not name.strip() or len(name) > LONGEST_NAME or len(external_id or "") > LONGEST_NAME:
            _refuse(f"{_NAMES[_name(resource_type)]} and externalId must have 1 to {LONGEST_NAME} characters")
        if "\\u0000" in json.dumps(document):
            _refuse("the request holds a character that cannot be stored")
        return {
            "unique_name": self._comparable(resource_type, _NAMES[_name(resource_type)], name),
            "external_id": self._comparable(resource_type, "externalId", external_id) if external_id else None,
            "document": document,
        }

    def _comparable(self, resource_type: ResourceType, attribute: str, value: str) -> str:
        """Spell a value as filters compare it."""
        model: Any = self._desk.provider.model_for(resource_type)
        binding: Any = Path[model](attribute).resolve()
        return cast(str, binding.comparable(value, self._desk.provider.policy))

    def _members(self, unit: SqlUnit, members: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the members, each once; raises InvalidValueException unless each is a user of this source."""
        once = {str(member.get("value") or ""): member for member in members}
        is_member = scim_resources.c.id == any_(literal(list(once), ARRAY(Text)))  # one value: a statement has at most 65,535
        ids = unit.connection.execute(select(scim_resources.c.id).where(*_where(self._source, "User", None), is_member))
        if missing := set(once) - set(ids.scalars()):
            _refuse(f"members must be users of this source, by id: {min(missing)!r} is not one")
        return list(once.values())

    def _groups_of(self, unit: SqlUnit, user_id: str) -> list[Row[Any]]:
        holds = _HOLDS.bindparams(holds=json.dumps({"members": [{"value": user_id}]}))
        return list(unit.connection.execute(select(scim_resources).where(*_where(self._source, "Group", None), holds)))

    def _change(self, row: Row[Any], values: Mapping[str, Any]) -> Any:
        """Change a row. Its time of change is also its version, so it always grows, whatever the clock does."""
        now = max(self._desk.clock.now(), row.modified_at + timedelta(microseconds=1))
        return update(scim_resources).where(*_key(row)).values(**values, modified_at=now).returning(scim_resources)

    def _write(self, unit: SqlUnit, statement: Any, former: Mapping[str, Any] | None = None) -> Resource[Any]:
        try:
            row = unit.connection.execute(statement).one()
        except IntegrityError:
            raise UniquenessException(
                detail="another resource of this source has this name (upper and lower case are equal)"
            ) from None
        self._desk.record(unit, WrittenResource(row.type, row.id, _effective_document(unit, row), former))
        return self._resource(row)

    def _resource(self, row: Row[Any]) -> Resource[Any]:
        model: Any = self._desk.provider.model_for(row.type)
        meta = {"resourceType": row.type, "created": row.created_at, "lastModified": row.modified_at, "version": _etag(row)}
        resource: Resource[Any] = model.model_validate(row.document | {"id": row.id, "meta": meta})
        return resource


def _where(source: str, name: str, resource_id: str | None) -> list[ColumnElement[bool]]:
    of_type = [scim_resources.c.source == source, scim_resources.c.type == name]
    return of_type if resource_id is None else [*of_type, scim_resources.c.id == resource_id]


def _key(row: Row[Any]) -> list[ColumnElement[bool]]:
    return _where(row.source, row.type, row.id)


def _effective_document(unit: SqlUnit, row: Row[Any]) -> dict[str, Any]:
    """Return the document. If it does not say `active`, take that from the access map: silence does not undo a deactivation.

    A server may keep attributes that a PUT leaves out (RFC 7644 §3.5.1). A new user is not in the access map yet.
    """
    document: dict[str, Any] = row.document
    if row.type != "User" or document.get("active") is not None:
        return document
    query = select(identities.c.active).where(identities.c.source == row.source, identities.c.external_id == row.id)
    active = unit.connection.execute(query).scalar_one_or_none()
    return document if active is None else document | {"active": active}


def _name(resource_type: ResourceType) -> str:
    return cast(str, resource_type.name)


def _etag(row: Row[Any]) -> str:
    return f'W/"{row.modified_at:%Y%m%d%H%M%S%f}"'


def _refuse(why: str) -> NoReturn:
    raise InvalidValueException(detail=why)
