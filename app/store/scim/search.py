"""Searching SCIM resources: what an index can answer is asked of the database, the rest is looked through, up to a limit.

`userName`, a group's `displayName`, `externalId` and `id` compared by `eq` are found by an index, alone or as parts of an
`and`. Without a filter and an order the database pages. Everything else (RFC 7644 §3.4.2.2, §3.4.2.3) is decided by the
library over what the index left, or over all.
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

# What one search may look through, in comparisons of some 10 us: about 3 seconds. To read a resource counts as several.
MOST_WORK = 300_000
READING = 8
MOST_MEMBERS = 20_000  # of groups that are read at once: a second, and some 60 MB
SHORTEST_TERM = 12  # characters, `id eq "" or `: so many terms a filter has at most
_USER_NAME, _DISPLAY_NAME = ("User", "user_name"), ("Group", "display_name")


@dataclass(frozen=True, slots=True)
class SearchIn:
    """Where is searched: the rows of one source and of the types asked for, and how one is made a resource."""

    connection: Connection
    mine: Sequence[ColumnElement[bool]]
    resource: Callable[[Row[Any]], Resource[Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search is done: what the database compares, and whether more must be looked at than it can."""

    conditions: tuple[ColumnElement[bool], ...]
    is_whole: bool


def plan(request: SearchRequest[Any], names: Sequence[str]) -> Plan:
    """Decide what of a search of these resource types the database can do."""
    if request.filter is None:
        return Plan((), request.sort_by is None)
    terms = list(_terms(request.filter.ast))
    found = [_condition(request.filter, term, names) for term in terms]
    conditions = tuple(each for each in found if each is not None)
    return Plan(conditions, len(conditions) == len(terms) and request.sort_by is None)


def page_of(where: SearchIn, planned: Plan, request: SearchRequest[Any]) -> SearchPage:
    """Return the page that was asked for; raises TooManyException where too much would have to be looked through."""
    start, count = request.start_index_0 or 0, request.count
    wanted = select(scim_resources).where(*where.mine, *planned.conditions).order_by(scim_resources.c.id)
    if planned.is_whole:
        counting = select(func.count()).select_from(scim_resources).where(*where.mine, *planned.conditions)
        total = where.connection.execute(counting).scalar_one()
        rows = where.connection.execute(wanted.offset(start).limit(_fitting(where, wanted.offset(start).limit(count)))).all()
        return SearchPage(total, [where.resource(row) for row in rows])
    most = MOST_WORK // (READING + len(request.filter or "") // SHORTEST_TERM)
    fitting = _fitting(where, wanted.limit(most + 1))
    rows = where.connection.execute(wanted.limit(fitting + 1)).all()
    if len(rows) > min(most, fitting):
        raise TooManyException(
            detail=f"this search would look through more than {min(most, fitting)} resources: ask for a name or an id"
        )
    found = list(_matching(where, rows, request))
    if request.sort_by is not None:
        found = request.sort(found)
    return SearchPage(len(found), found[start : None if count is None else start + count])


def _fitting(where: SearchIn, wanted: Select[Any]) -> int:
    """Count how many of these rows, from the first on, are read at once: one, or as many as have not too many members in all.

    A page may be shorter than what was asked for (RFC 7644 §3.4.2.4, `count`); the client goes on behind what it got.
    """
    listed = scim_resources.c.document["members"]
    members = case((func.jsonb_typeof(listed) == "array", func.jsonb_array_length(listed)), else_=0)
    in_all = fitting = 0
    for count in where.connection.execute(wanted.with_only_columns(members)).scalars():
        in_all += count
        if fitting and in_all > MOST_MEMBERS:
            break
        fitting += 1
    return fitting


def _matching(where: SearchIn, rows: Sequence[Row[Any]], request: SearchRequest[Any]) -> Iterator[Resource[Any]]:
    for row in rows:
        resource = where.resource(row)
        if request.filter is None or request.filter.match(resource):
            yield resource


def _terms(node: FilterNode) -> Iterator[FilterNode]:
    """Give what all must hold."""
    if isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_:
        for term in node.terms:
            yield from _terms(term)
    else:
        yield node


def _condition(asked: ScimFilter[Any], term: FilterNode, names: Sequence[str]) -> ColumnElement[bool] | None:
    """Say a comparison in SQL; None where no index has it."""
    if len(names) != 1 or not isinstance(term, Comparison) or term.op != CompareOperator.eq or not isinstance(term.value, str):
        return None
    binding = asked.resolve_comparison(term.attr_path, strict=False)
    if binding is None or binding.sub_field_name is not None:
        return None
    columns = {_USER_NAME: "unique_name", _DISPLAY_NAME: "unique_name"}
    column = columns.get((names[0], binding.field_name)) or {"external_id": "external_id", "id": "id"}.get(binding.field_name)
    if column is None:
        return None
    found: ColumnElement[bool] = scim_resources.c[column] == binding.comparable(term.value)
    return found
