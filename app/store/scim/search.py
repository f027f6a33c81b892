"""Search SCIM resources: the database answers what an index can answer, the library checks the rest, up to a limit.

An index finds `userName`, a group's `displayName`, `externalId` and `id` by `eq`, alone or as parts of an `and`. Without a
filter and an order, the database pages. The library decides everything else (RFC 7644 §3.4.2.2, §3.4.2.3), over the rows
that the index leaves, or over all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scim2_models import Resource, ScimFilter, SearchRequest, TooManyException
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator
from scim2_server.storage import SearchPage
from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, select

from app.store.schema.access import scim_resources

# The limit of one search, in comparisons of some 10 us each: about 3 seconds. Reading a resource counts as READING comparisons.
MOST_WORK = 300_000
READING = 8
MOST_MEMBERS = 20_000  # in all groups that are read at once: about a second, and some 60 MB
SHORTEST_TERM = 12  # characters of `id eq "" or `, which bounds the number of terms in a filter
_USER_NAME, _DISPLAY_NAME = ("User", "user_name"), ("Group", "display_name")


@dataclass(frozen=True, slots=True)
class SearchIn:
    """The rows to search, of one source and of the requested types, and a function that makes a resource from a row."""

    connection: Connection
    mine: Sequence[ColumnElement[bool]]
    resource: Callable[[Row[Any]], Resource[Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to search: the conditions for the database, and whether they are the whole search."""

    conditions: tuple[ColumnElement[bool], ...]
    is_whole: bool


def plan(request: SearchRequest[Any], names: Sequence[str]) -> Plan:
    """Plan a search of these resource types: decide which part the database can do."""
    if request.filter is None:
        return Plan((), request.sort_by is None)
    terms = list(_terms(request.filter.ast))
    in_sql = [_condition(request.filter, term, names) for term in terms]
    conditions = tuple(condition for condition in in_sql if condition is not None)
    return Plan(conditions, len(conditions) == len(terms) and request.sort_by is None)


def page_of(where: SearchIn, planned: Plan, request: SearchRequest[Any]) -> SearchPage:
    """Return the requested page; raises TooManyException if too many resources would have to be checked."""
    start, count = request.start_index_0 or 0, request.count
    wanted = select(scim_resources).where(*where.mine, *planned.conditions).order_by(scim_resources.c.id)
    if planned.is_whole:
        counting = select(func.count()).select_from(scim_resources).where(*where.mine, *planned.conditions)
        total = where.connection.execute(counting).scalar_one()
        rows = where.connection.execute(
            wanted.offset(start).limit(_count_readable(where, wanted.offset(start).limit(count)))
        ).all()
        return SearchPage(total, [where.resource(row) for row in rows])
    most = MOST_WORK // (READING + len(request.filter or "") // SHORTEST_TERM)
    readable = _count_readable(where, wanted.limit(most + 1))
    rows = where.connection.execute(wanted.limit(readable + 1)).all()
    if len(rows) > min(most, readable):
        raise TooManyException(
            detail=f"this search would look through more than {min(most, readable)} resources: ask for a name or an id"
        )
    resources = list(_matching(where, rows, request))
    if request.sort_by is not None:
        resources = request.sort(resources)
    return SearchPage(len(resources), resources[start : None if count is None else start + count])


def _count_readable(where: SearchIn, wanted: Select[Any]) -> int:
    """Count the rows, from the first on, that may be read at once: at least one, and not more than MOST_MEMBERS members in all.

    A page may be shorter than requested (RFC 7644 §3.4.2.4, `count`). The client then asks for the rest.
    """
    members = scim_resources.c.document["members"]
    size = case((func.jsonb_typeof(members) == "array", func.jsonb_array_length(members)), else_=0)
    total = readable = 0
    for count in where.connection.execute(wanted.with_only_columns(size)).scalars():
        total += count
        if readable and total > MOST_MEMBERS:
            break
        readable += 1
    return readable


def _matching(where: SearchIn, rows: Sequence[Row[Any]], request: SearchRequest[Any]) -> Iterator[Resource[Any]]:
    for row in rows:
        resource = where.resource(row)
        if request.filter is None or request.filter.match(resource):
            yield resource


def _terms(node: FilterNode) -> Iterator[FilterNode]:
    """Yield the terms that must all hold."""
    if isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_:
        for term in node.terms:
            yield from _terms(term)
    else:
        yield node


def _condition(scim_filter: ScimFilter[Any], term: FilterNode, names: Sequence[str]) -> ColumnElement[bool] | None:
    """Spell a comparison in SQL; None if no index covers it."""
    if len(names) != 1 or not isinstance(term, Comparison) or term.op != CompareOperator.eq or not isinstance(term.value, str):
        return None
    binding = scim_filter.resolve_comparison(term.attr_path, strict=False)
    if binding is None or binding.sub_field_name is not None:
        return None
    columns = {_USER_NAME: "unique_name", _DISPLAY_NAME: "unique_name"}
    column = columns.get((names[0], binding.field_name)) or {"external_id": "external_id", "id": "id"}.get(binding.field_name)
    if column is None:
        return None
    condition: ColumnElement[bool] = scim_resources.c[column] == binding.comparable(term.value)
    return condition
