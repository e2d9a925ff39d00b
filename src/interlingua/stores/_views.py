"""The columns of tables behind the column of a view, as the plan of a query names them.

A view has no mark of a migration, but the column that it shows may have one. The database itself knows which column
this is, also under another name or behind several views, and says so in the plan of a query of the view's column. What
a plan does not say in the expected form is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from interlingua.stores._base import sql_literal

__all__ = ["PostgresScan", "duckdb_comments", "names_column", "scanned_by_postgres"]

# Schema and name of a table, and the expressions that are read of it.
PostgresScan = tuple[str, str, list[str]]

_QUOTED = r'"(?:[^"]|"")*"'
# A name in a plan of DuckDB, which quotes one that is not plain: tables there have three, with dots between them.
_DUCKDB_NAME = re.compile(rf"{_QUOTED}|[^.]+")
# A text in a plan of PostgreSQL, or the name of a column, behind those of its table and schema if they are given.
_POSTGRES_COLUMN = re.compile(rf"""'(?:[^']|'')*'|(?:(?:{_QUOTED}|\w+)\.)*({_QUOTED}|\w+)(?![\w".(])""")


def duckdb_comments(rows_of: Callable[[str], list[tuple[Any, ...]]], view: str, column: str) -> list[str]:
    """Return the comments on the columns of tables that a column of a view of DuckDB is made of.

    Args:
        rows_of: returns the rows of a query.
        view: name of the view, quoted.
        column: name of its column, quoted.
    """
    comments: list[str] = []
    for node in _nodes(json.loads(rows_of(f"explain (format json) select {column} from {view}")[0][1]), "children"):
        facts = node.get("extra_info")
        if not isinstance(facts, dict) or not isinstance(facts.get("Table"), str):
            continue
        columns = facts.get("Projections") or []
        names = ", ".join(sql_literal(str(name)) for name in ([columns] if isinstance(columns, str) else columns))
        table = ", ".join(sql_literal(_unquoted(name)) for name in _DUCKDB_NAME.findall(facts["Table"]))
        if names:
            query = (
                "select comment from duckdb_columns() where comment is not null and column_name in "
                f"({names}) and [database_name, schema_name, table_name] = [{table}]"
            )
            comments += (comment for (comment,) in rows_of(query))
    return comments


def scanned_by_postgres(plan: Any) -> list[PostgresScan]:
    """Return what a query reads of each table, from what ``explain (verbose, format json)`` returned."""
    nodes = _nodes([part.get("Plan", {}) for part in plan], "Plans")
    return [
        (node["Schema"], node["Relation Name"], node.get("Output", []))
        for node in nodes
        if "Schema" in node and "Relation Name" in node
    ]


def names_column(scan: PostgresScan, column: str) -> bool:
    """Return whether a column, quoted where SQL needs it, is among those that are read of a table."""
    return any(found[1] == column for text in scan[2] for found in _POSTGRES_COLUMN.finditer(text))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _nodes(nodes: Any, children: str) -> Iterator[dict[str, Any]]:
    for node in nodes if isinstance(nodes, list) else ():
        yield node
        yield from _nodes(node.get(children), children)
