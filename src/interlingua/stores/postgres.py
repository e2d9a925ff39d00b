"""``postgresql://user@host/database#table.column``: PostgreSQL with pgvector, through binary cursors and COPY."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray, require
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.core.records import Records
from interlingua.io._checks import ID_NAMES
from interlingua.stores import _pgtypes as pgtypes
from interlingua.stores._clients import first_line
from interlingua.stores._protocol import Capabilities, Cursor, Hits, Metric, Spec, Store, StoreInfo, is_unit
from interlingua.stores._url import StoreURL

__all__ = ["PostgresStore"]

_OPERATORS: dict[Metric, str] = {"cosine": "<=>", "dot": "<#>", "l2": "<->"}
_OPCLASSES: dict[Metric, str] = {"cosine": "cosine_ops", "dot": "ip_ops", "l2": "l2_ops"}
# HNSW on vector stops here; beyond, the index holds half-precision copies, up to the second limit.
_INDEXED, _INDEXED_HALF = 2_000, 4_000
_COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), a.atttypmod, coalesce(i.indisprimary, false)
from pg_attribute a left join pg_index i
  on i.indrelid = a.attrelid and i.indisprimary and i.indnkeyatts = 1 and i.indkey[0] = a.attnum
where a.attrelid = to_regclass({table}) and a.attnum > 0 and not a.attisdropped order by a.attnum"""
_INDEXES = """
select i.indexrelid::regclass::text, o.opcname, i.indisvalid, pg_get_indexdef(i.indexrelid)
from pg_index i join pg_opclass o on o.oid = i.indclass[0]
where i.indrelid = to_regclass({table}) and o.opcname ~ '^(vector|halfvec)_(cosine|ip|l2)_ops$'"""


class PostgresStore(Store):
    """One vector column of a table. Values never meet SQL as text that was not quoted by the client library."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "typed", ("int", "text"), adds_vectors=True, rows_per_second=1_000
    )

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        if not 1 <= len(url.names) <= 3:
            raise InputError(f"{url} names no table; postgresql://.../database#table.column is needed.")
        self._psycopg = require("psycopg", "postgres")
        self._sql = require("psycopg.sql", "postgres")
        table = url.names[:2] if len(url.names) == 3 else url.names[:1]
        self._table = self._sql.Identifier(*table)
        self._asked = url.names[-1] if len(url.names) > 1 else None
        self._spec: Spec | None = None
        host = url.host or url.options.get("host")
        with self._errors("cannot be reached"):
            self._connection = self._psycopg.connect(
                host=host, port=url.port, user=url.user, dbname=url.path.lstrip("/") or None, autocommit=True,
                sslmode=url.options.get("sslmode"), application_name="interlingua", connect_timeout=10,
            )  # fmt: skip

    def exists(self) -> bool:
        """Return whether the column is there."""
        columns = self._columns()
        return bool(columns) and (self._asked is None or self._asked in columns)

    def info(self) -> StoreInfo:
        """Return what the table holds; the metric is that of the column's index."""
        columns = self._columns()
        name, d = self._vector(columns)
        count = self._one("select count(*) from {table}")
        if not count:
            raise InputError(f"{self.url} is empty; at least 1 row is needed.")
        first = next(iter(self._pages(256, None, limit=256)))
        kind = "float16" if columns[name][0].startswith("halfvec") else "float32"
        key = pgtypes.field(self._id(columns), columns[self._id(columns)][0])
        unit, schema = is_unit(first.vectors), self._schema(columns)
        return StoreInfo(
            count=count, d=d, metric=self._metric(name), normalized=unit, id_type=key.type, schema=schema,
            vector_name=name, dtype=kind, id_metadata=key.metadata,
        )  # fmt: skip

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages of one snapshot in order of the id, which is the cursor."""
        for records in self._pages(size, after):
            yield records, records.ids[-1].as_py()

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        key = self._id(self._columns())
        values = self._sql.SQL(", ").join(map(self._sql.Literal, ids.to_pylist()))
        where = self._sql.SQL("where {key} in ({values})").format(key=self._sql.Identifier(key), values=values)
        found = list(self._pages(len(ids), None, where=where)) if len(ids) else []
        empty = Records(ids.slice(0, 0), np.empty((0, 0), np.float32))
        return (found[0] if found else empty).in_order_of(ids, str(self.url))

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Ask the index, or the table where it has none."""
        columns = self._columns()
        name, d = self._vector(columns)
        metric = self._metric(name) or "cosine"
        kind = "halfvec" if columns[name][0].startswith("halfvec") else "vector"
        hits = []
        for query in queries:
            rows = self._run(
                "select {key}, {column} "
                + _OPERATORS[metric]
                + " {asked}::"
                + kind
                + " from {table} order by 2 limit {k}",
                key=pgtypes.shown(self._sql, self._id(columns), columns[self._id(columns)][0]),
                column=self._sql.Identifier(name),
                asked=self._sql.Literal(str(np.asarray(query, np.float32).tolist())),
                k=self._sql.Literal(k),
            ).fetchall()
            distances = np.array([row[1] for row in rows], np.float64)
            hits.append(Hits([row[0] for row in rows], 1 - distances if metric == "cosine" else -distances))
        return hits

    def check(self, spec: Spec) -> None:
        """Refuse a target without a column name, and one that pgvector cannot hold."""
        super().check(spec)
        if self._asked is None:
            raise InputError(f"{self.url} names no column to write to; #table.column is needed.")
        if spec.d > 16_000:
            raise InputError(f"{self.url}: pgvector holds up to 16,000 values a vector and {spec.d} are needed.")

    def create(self, spec: Spec) -> None:
        """Make the table, or add the column to it."""
        self.check(spec)
        if self.exists() or (not spec.beside and self._columns()):
            raise OutputExistsError(f"{self.url} exists; choose another name or drop it first.")
        sql, kind = self._sql, f"vector({int(spec.d)})"
        with self._errors("cannot be created"):
            if spec.beside:
                self._run("alter table {table} add column {name} " + kind, name=sql.Identifier(self._asked))
                return
            key = pa.field(spec.id_name, spec.id_type, metadata=spec.id_metadata)
            fields = [key, *(spec.schema or ())]
            parts = [
                sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(self._type_of(field))) for field in fields
            ]
            parts.append(sql.SQL("{} {}").format(sql.Identifier(self._asked), sql.SQL(kind)))
            self._run(
                "create table {table} ({parts}, primary key ({key}))",
                parts=sql.SQL(", ").join(parts),
                key=sql.Identifier(spec.id_name),
            )

    def prepare(self, spec: Spec, committed: int) -> None:
        """Remember whether rows are inserted or a column of theirs is filled."""
        self._spec = spec

    def upsert(self, records: Records) -> None:
        """Copy rows into a staging table and move them over, in one transaction."""
        spec = self._spec
        if spec is None:
            raise InputError(f"{self.url}: prepare() was not called; rows have nowhere to go.")
        columns = self._columns()
        key, (name, _) = self._id(columns), self._vector(columns)
        payload = None if spec.beside else records.payload
        names = [key, *(payload.schema.names if payload is not None else ()), name]
        kinds = [pgtypes.staged(columns[column][0]) for column in names]
        sides = (
            []
            if payload is None
            else [pgtypes.python_values(column, payload.schema.field(i)) for i, column in enumerate(payload.columns)]
        )
        sql = self._sql
        staged = [sql.Identifier(f"c{i}") for i in range(len(names))]
        with self._errors("did not take the rows"), self._connection.transaction():
            definition = sql.SQL(", ").join(
                sql.SQL("{} {}").format(column, sql.SQL("vector" if kind == "vector" else kind))
                for column, kind in zip(staged, kinds, strict=True)
            )
            self._run("create temp table interlingua_staging ({definition}) on commit drop", definition=definition)
            with self._connection.cursor().copy("copy interlingua_staging from stdin (format binary)") as copy:
                copy.set_types([kind if kind != "vector" else "bytea" for kind in kinds])
                for row in zip(records.ids.to_pylist(), *sides, pgtypes.encode(records.vectors), strict=True):
                    copy.write_row(row)
            if spec.beside:
                done = self._run(
                    "update {table} set {name} = s.{value} from interlingua_staging s where {table}.{key} = s.{id}::"
                    + columns[key][0],
                    name=sql.Identifier(name), key=sql.Identifier(key), value=staged[-1], id=staged[0],
                ).rowcount  # fmt: skip
            else:
                values = [
                    sql.SQL("{}::{}").format(c, sql.SQL(columns[n][0])) for c, n in zip(staged, names, strict=True)
                ]
                updated = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in names[1:]]
                done = self._run(
                    "insert into {table} ({names}) select {values} from interlingua_staging "
                    "on conflict ({key}) do update set {updated}",
                    names=sql.SQL(", ").join(map(sql.Identifier, names)), values=sql.SQL(", ").join(values),
                    key=sql.Identifier(key), updated=sql.SQL(", ").join(updated),
                ).rowcount  # fmt: skip
            if done != len(records):
                raise InputError(
                    f"{self.url}: {done} of {len(records)} rows were there to be written; were rows deleted?"
                )

    def finish(self) -> None:
        """Build an HNSW index, unless there is one, and read the table's statistics anew."""
        columns = self._columns()
        name, d = self._vector(columns)
        metric = self._spec.metric if self._spec else "cosine"
        if d > _INDEXED_HALF:
            return
        kind = "vector" if d <= _INDEXED else "halfvec"
        column = "{name}" if kind == "vector" else "({name}::halfvec(" + str(d) + "))"
        with self._errors("cannot be indexed"):
            for index, _, valid, definition in self._run(_INDEXES).fetchall():
                if self._is_on(definition, name):
                    if valid:
                        return
                    self._connection.execute(f"drop index {index}")
            # Whoever searches the old column goes on meanwhile; a new table has nobody to wait for.
            concurrently = "concurrently " if self._spec and self._spec.beside else ""
            self._run(
                f"create index {concurrently}on {{table}} using hnsw ({column} {kind}_{_OPCLASSES[metric]})",
                name=self._sql.Identifier(name),
            )
            self._run("analyze {table}")

    def drop(self, *, beside: bool = False) -> None:
        """Remove the column, or the table."""
        if not self.exists():
            return
        with self._errors("cannot be dropped"):
            if beside:
                self._run("alter table {table} drop column {name}", name=self._sql.Identifier(self._asked))
            else:
                self._run("drop table {table}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _pages(self, size: int, after: Cursor, *, where: Any = None, limit: int | None = None) -> Iterator[Records]:
        columns, sql = self._columns(), self._sql
        key, (name, d) = self._id(columns), self._vector(columns)
        fields = [
            pgtypes.field(column, kind)
            for column, (kind, *_) in columns.items()
            if column not in {key, *self._vectors(columns)}
        ]
        shown = [pgtypes.shown(sql, column, columns[column][0]) for column in [key, *(f.name for f in fields)]]
        send = "halfvec_send({})" if columns[name][0].startswith("halfvec") else "vector_send({})"
        shown.append(sql.SQL(send).format(sql.Identifier(name)))
        if where is None and after is not None:
            where = sql.SQL("where {key} > {after}").format(key=sql.Identifier(key), after=sql.Literal(after))
        query = sql.SQL("select {shown} from {table} {where} order by {key} {limit}").format(
            shown=sql.SQL(", ").join(shown), table=self._table, where=where or sql.SQL(""), key=sql.Identifier(key),
            limit=sql.SQL("" if limit is None else f"limit {int(limit)}"),
        )  # fmt: skip
        id_type = pgtypes.field(key, columns[key][0]).type
        with (
            self._errors("cannot be read"),
            self._connection.transaction(),
            self._connection.cursor(name="interlingua", binary=True) as cursor,
        ):
            cursor.execute(query)
            while rows := cursor.fetchmany(size):
                ids, *side, sent = zip(*rows, strict=True)
                vectors = pgtypes.decode(sent, d, ids, send.startswith("half"), str(self.url))
                arrays = [pa.array(values, field.type) for values, field in zip(side, fields, strict=True)]
                payload = pa.table(arrays, schema=pa.schema(fields)) if fields else None
                yield Records(pa.array(ids, id_type), vectors, payload)

    def _columns(self) -> dict[str, tuple[str, int, bool]]:
        name = self._sql.Literal(self._table.as_string(self._connection))
        with self._errors("cannot be read"):
            rows = self._connection.execute(self._sql.SQL(_COLUMNS).format(table=name)).fetchall()
        return {row[0]: row[1:] for row in rows}

    def _vectors(self, columns: dict[str, Any]) -> dict[str, int]:
        return {name: kind[1] for name, kind in columns.items() if kind[0].startswith(("vector", "halfvec"))}

    def _vector(self, columns: dict[str, Any]) -> tuple[str, int]:
        if not columns:
            raise InputError(f"{self.url}: there is no such table, or it may not be seen. Check the name and the user.")
        found = self._vectors(columns)
        name = self._asked or (next(iter(found)) if len(found) == 1 else None)
        if name is None or name not in found:
            listed = ", ".join(found) or "none"
            raise InputError(
                f"{self.url}: the vector column must be named, #table.column; vector columns are: {listed}."
            )
        if found[name] < 1:
            raise InputError(f"{self.url}: column {name!r} has no fixed width; declare it as vector(d) and try again.")
        return name, found[name]

    def _id(self, columns: dict[str, Any]) -> str:
        primary = next((name for name, kind in columns.items() if kind[2]), None)
        asked = self.url.options.get("id")
        name = asked or primary or next((name for name in ID_NAMES if name in columns), None)
        if name is None or name not in columns:
            raise InputError(
                f"{self.url}: no id column {asked or ''}; a primary key of one column, or ?id=COLUMN, is needed."
            )
        return name

    def _schema(self, columns: dict[str, Any]) -> pa.Schema | None:
        beside = {self._id(columns), *self._vectors(columns)}
        fields = [pgtypes.field(name, kind[0]) for name, kind in columns.items() if name not in beside]
        return pa.schema(fields) if fields else None

    def _type_of(self, field: pa.Field) -> str:
        """Return the column type for an Arrow field; one named by metadata is looked up and never pasted into SQL."""
        noted = (field.metadata or {}).get(pgtypes.MARK)
        if noted is not None:
            literal = self._sql.Literal(noted.decode("utf-8", "replace"))
            found = self._one("select format_type(to_regtype({noted}), null)", noted=literal)
            if found:
                return str(found)
        return pgtypes.column_type(field)

    def _metric(self, name: str) -> Metric | None:
        for _, opclass, _, definition in self._run(_INDEXES).fetchall():
            if self._is_on(definition, name):
                return next(metric for metric, ops in _OPCLASSES.items() if opclass.endswith(ops))
        return None

    def _is_on(self, definition: str, name: str) -> bool:
        quoted = self._one("select quote_ident({name})", name=self._sql.Literal(name))
        return any(f"({before}{quoted}{behind}" in definition for before in ("", "((") for behind in (" ", ")"))

    def _run(self, query: str, **parts: Any) -> Any:
        # Values are quoted literals and not parameters: a % in a column's name would be taken for a placeholder.
        table = self._sql.Literal(self._table.as_string(self._connection)) if "to_regclass" in query else self._table
        return self._connection.execute(self._sql.SQL(query).format(table=table, **parts))

    def _one(self, query: str, **parts: Any) -> Any:
        with self._errors("cannot be read"):
            return self._run(query, **parts).fetchone()[0]

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._psycopg.OperationalError as error:
            raise InterlinguaError(
                f"{self.url} {what}: {first_line(error).rstrip('.')}. Is the server up and the disk not full?"
            ) from error
        except self._psycopg.errors.InsufficientPrivilege as error:
            raise InputError(
                f"{self.url} {what}: {first_line(error).rstrip('.')}. Grant the right, or use another user."
            ) from error
        except self._psycopg.Error as error:
            raise InputError(f"{self.url} {what}: {first_line(error).rstrip('.')}.") from error
