"""``postgresql://user@host/database#table.column``: PostgreSQL with pgvector, through binary cursors and COPY."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from typing import ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.core.wording import count_of, size_of
from interlingua.stores import _pgcatalog as catalog
from interlingua.stores import _pgtypes as pgtypes
from interlingua.stores._capabilities import Capabilities
from interlingua.stores._marks import first_mark, migration_mark
from interlingua.stores._names import NameRule
from interlingua.stores._pgtable import PostgresTable
from interlingua.stores._protocol import Cursor, Hits, Spec, StoreInfo
from interlingua.stores._taken import taken_error
from interlingua.stores._views import names_column, scanned_by_postgres

__all__ = ["PostgresStore"]

# HNSW on vector stops at the first width; beyond, the index holds half-precision copies, up to the second.
_INDEXED, _INDEXED_HALF = 2_000, 4_000
_MOST_COLUMNS = 16_000
# The most that hnsw.ef_search can be; for more neighbors every row is read.
_MOST_FROM_INDEX = 1_000
_NAME_BYTES = 63


class PostgresStore(PostgresTable):
    """One vector column of a table. Values never meet SQL as text that was not quoted by the client library."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "typed",
        ("int", "text"),
        adds_vectors=True,
        selects=("where", "skip_null"),
        deletes=True,
        has_triggers=True,
        rows_per_second=1_000,
        refuses=("nul", "nanoseconds", "duration"),
        changes=(
            "int8", "uint8", "uint32", "uint64", "float16", "category", "time", "timestamp_zone", "long_decimal",
            "texts", "numbers", "empty_list", "list_with_null", "nested_lists", "struct", "struct_of_dates", "map",
            "nulls",
        ),
        limits=f"{_MOST_COLUMNS:,} columns; an index up to {_INDEXED:,}, in half precision up to {_INDEXED_HALF:,}",
    )  # fmt: skip
    # A longer name would be cut without an error.
    _collection_rule = _column_rule = NameRule(f"1 to {_NAME_BYTES} bytes are", most_bytes=_NAME_BYTES)
    # The comment is on the column, also in a new table.
    _marked_parts = (True,)

    def info(self) -> StoreInfo:
        """Return facts about the table; the metric is that of the column's index."""
        columns = self._columns()
        vector, key = self._vector(columns), self._key(columns)
        rows, count = self._run(
            "select count(*), count({name}) from {table} where {where}",
            name=self._sql.Identifier(vector.name), where=self._filter(), read_only=True,
        )[0]  # fmt: skip
        self._check_filled(count, rows - count)
        self._check_key(key)
        with closing(self._pages(256, self._filled(vector), limit=256)) as pages:  # type: ignore[type-var]
            first = next(pages)
        index = self._index(vector)
        return self._describe(
            first, count, rows - count, metric=index.metric if index else None, vector_name=vector.name,
            dtype=str(first.vectors.dtype), id_metadata=self._id_field(key).metadata,
            notes=self._notes(columns, key, vector),
        )  # fmt: skip

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages of one snapshot in order of the id, which is the cursor."""
        columns = self._columns()
        later = [] if after is None else [self._key(columns).after(after)]
        filled = [self._filled(self._vector(columns))] if self._skip_null else []
        for records in self._pages(size, *later, *filled):
            yield records, records.ids[-1].as_py()

    def skipped(self, size: int) -> Iterator[pa.Array]:
        """Yield the ids of the rows without a vector."""
        columns = self._columns()
        vector, key = self._vector(columns), self._key(columns)
        empty = self._sql.SQL("{} is null").format(self._sql.Identifier(vector.name))
        query = self._sql.SQL("select {} from {} where {} order by {}").format(
            key.shown(), self._table, self._filter(empty), key.listed()
        )
        for rows in self._read(query, size):
            yield pa.array([row[0] for row in rows], self._id_field(key).type)

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        condition = self._key(self._columns()).among(ids.to_pylist())
        pages = list(self._pages(len(ids), condition)) if len(ids) else []
        return self._in_order(pages[0] if pages else None, ids)

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Search the index, or every row if there is none; hits of a half-precision index are ranked again exactly."""
        columns, sql = self._columns(), self._sql
        vector, key = self._vector(columns), self._key(columns)
        index, d = self._index(vector), self._width(vector)
        metric = index.metric if index else "cosine"
        operator = sql.SQL(" operator({}.{}) ").format(
            sql.Identifier(self._extension), sql.SQL(catalog.OPERATORS[metric])
        )
        kind = sql.SQL("{}({})").format(
            self._of_pgvector(str(vector.holds) if vector.of_pgvector else "vector"), sql.Literal(d)
        )
        half = sql.SQL("{}({})").format(self._of_pgvector("halfvec"), sql.Literal(d))
        column = sql.SQL("{}" if vector.of_pgvector and vector.width > 0 else "{}::{}").format(
            sql.Identifier(vector.name), kind
        )
        hits = []
        for query in queries:
            text = sql.Literal(str(np.asarray(query, np.float32).tolist()))
            exact = sql.SQL("{}{}{}::{}").format(column, operator, text, kind)
            rough = sql.SQL("{}::{}{}{}::{}").format(column, half, operator, text, half)
            near = sql.SQL("select {} as id, {} as distance from {} where {} is not null order by {} limit {}").format(
                key.shown(), exact, self._table, sql.Identifier(vector.name),
                rough if index and index.half else exact, sql.Literal(4 * k if index and index.half else k),
            )  # fmt: skip
            with self._transaction("cannot be searched"):
                self._widen_search(index, k)
                rows = self._connection.execute(
                    sql.SQL("select id, distance from ({}) near order by distance limit {}").format(
                        near, sql.Literal(k)
                    )
                ).fetchall()
            distances = np.array([row[1] for row in rows], np.float64)
            hits.append(Hits([row[0] for row in rows], 1 - distances if metric == "cosine" else -distances))
        return hits

    def check(self, spec: Spec) -> None:
        """Refuse what the server would not make; a new table is made in a transaction that is rolled back."""
        super().check(spec)
        if spec.d > _MOST_COLUMNS:
            raise InputError(
                f"{self.url}: pgvector holds up to {_MOST_COLUMNS:,} values per vector and {spec.d} are needed. Choose "
                "another target."
            )
        self._of_pgvector("vector")  # refuses a database without pgvector
        if not self._columns():
            with self._errors("cannot be created"), self._connection.transaction(force_rollback=True):
                self._connection.execute(self._definition(spec))
        elif not spec.as_new_vector:
            raise taken_error(self, spec)
        else:
            self._check_new_column(spec)

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse ids and payload that PostgreSQL could not hold."""
        pgtypes.check_ids(records.ids, str(self.url))
        if not spec.as_new_vector and records.payload is not None:
            pgtypes.check_payload(records.payload, records.ids, str(self.url))

    def notes(self, spec: Spec) -> tuple[str, ...]:
        """Return what the plan says of the index, and of the cost to others of a new column of the same table."""
        notes = []
        if spec.as_new_vector:
            _, _, size, indexes, _, published, _ = self._one(catalog.TABLE)
            notes.append(
                f"The new column is written into the source's own table. Each of its {spec.count:,} rows is rewritten: "
                f"the old versions are dead rows (up to {size_of(size)}) until VACUUM, and every index of the table "
                f"({indexes}) is written to again. A new table costs the source nothing."
            )
            if published:
                notes.append("The table is published: every rewritten row is sent to the subscribers.")
        if spec.d > _INDEXED_HALF:
            notes.append(
                f"pgvector has no index for {spec.d:,} columns (the limit is {_INDEXED_HALF:,}): every search reads "
                "every row."
            )
        elif spec.d > _INDEXED:
            cast = f"::halfvec({spec.d})"
            notes.append(
                f"pgvector indexes up to {_INDEXED:,} columns, so the index holds half-precision copies. A query uses "
                f"it only where it orders by {self._column_name}{cast} {catalog.OPERATORS[spec.metric]} $1{cast}, as "
                "interlingua search does."
            )
        return tuple(notes)

    def kept(self, field: pa.Field) -> pa.Field:
        """Return a payload column as it is read from a new table."""
        return pgtypes.field(field.name, self._type_of(field, is_id=False))

    def triggers(self, spec: Spec) -> tuple[str, ...]:
        """Return the triggers and rules that fire when the new column is filled."""
        return tuple(name for name, _ in self._run(catalog.TRIGGERS)) if spec.as_new_vector else ()

    def _create(self, spec: Spec) -> None:
        comment = self._sql.SQL("comment on column {}.{} is {}").format(
            self._table, self._sql.Identifier(self._column_name or ""), self._sql.Literal(migration_mark(spec.job))
        )
        with self._transaction("cannot be created"):
            self._connection.execute(self._definition(spec))
            self._connection.execute(comment)

    def creation(self, *, vector_only: bool = False) -> str | None:
        """Return the number of the table, or of the column in it; numbers are not used again."""
        found = self._created()
        if found is None:
            return None
        number, column, _ = found
        return f"column {column} of table {number}" if vector_only else f"table {number}"

    def _migration_mark(self, *, vector_only: bool) -> str | None:
        """Return the comment on the column, which stays with it under another name; of a view, that of its column."""
        found = self._created()
        mark = None if found is None else first_mark([found[2]])
        if found is None or mark is not None or self._one(catalog.TABLE)[0] != "v":
            return mark
        comments: list[str] = []
        for scan in scanned_by_postgres(self._one(catalog.PLAN, name=self._sql.Identifier(self._vector_name()))[0]):
            schema, relation = map(self._sql.Literal, scan[:2])
            columns = self._run(catalog.COMMENTS, schema=schema, relation=relation)
            comments += [comment for name, comment in columns if comment is not None and names_column(scan, name)]
        return first_mark(comments)

    def _created(self) -> tuple[int, int, str | None] | None:
        """Return the numbers of the table and of its column, and the comment on the column."""
        rows = self._run(catalog.CREATION, name=self._sql.Literal(self._vector_name()))
        return rows[0] if rows else None

    def _vector_name(self) -> str:
        """Return the name of the vector column: that of the address, or that of the only such column."""
        return self._column_name or self._vector(self._columns()).name

    def upsert(self, records: Records) -> None:
        """Copy rows into a staging table and move them over, in one transaction."""
        spec, sql = self._spec, self._sql
        if spec is None:
            raise InputError(f"{self.url}: prepare() was not called; rows cannot be written.")
        columns = self._columns()
        key, vector = self._key(columns), self._vector(columns)
        payload = None if spec.as_new_vector else records.payload
        payload_names = () if payload is None else tuple(payload.schema.names)
        # If the key has several columns, they are payload, and the id serves only to find rows.
        key_names = () if set(key.names) <= set(payload_names) else key.names
        kinds = [
            "bigint" if key.is_integer else "text",
            *(pgtypes.staged(columns[field.name].kind, field) for field in (() if payload is None else payload.schema)),
            "bytea",
        ]
        values = [
            pgtypes.python_values(column, field, columns[field.name].kind)
            for column, field in pgtypes.columns_of(payload)
        ]
        ids = records.ids.to_pylist()
        staged = [sql.Identifier(f"c{number}") for number in range(len(kinds))]
        types = [sql.SQL(kind) for kind in kinds[:-1]] + [self._of_pgvector("vector")]
        with self._transaction("did not take the rows"):
            if spec.as_new_vector and spec.triggers == "skip":
                self._connection.execute("set local session_replication_role = replica")
            self._connection.execute(
                sql.SQL("create temp table interlingua_staging ({}) on commit drop").format(
                    sql.SQL(", ").join(sql.SQL("{} {}").format(*pair) for pair in zip(staged, types, strict=True))
                )
            )
            with self._connection.cursor().copy("copy interlingua_staging from stdin (format binary)") as copy:
                copy.set_types([pgtypes.binary(kind) for kind in kinds])
                for row in zip(ids, *values, pgtypes.encode(records.vectors), strict=True):
                    copy.write_row(row)
            if spec.as_new_vector:
                statement = sql.SQL(
                    "update {table} t set {name} = s.{value} from interlingua_staging s where ({key}) = ({id})"
                ).format(
                    table=self._table, name=sql.Identifier(vector.name), value=staged[-1],
                    key=key.listed(sql.Identifier("t")), id=key.values(sql.SQL("s.c0")),
                )  # fmt: skip
            else:
                names = [*key_names, *payload_names, vector.name]
                moved = [] if not key_names else [key.values(staged[0])]
                moved += [
                    sql.SQL("{}::{}").format(c, sql.SQL(columns[name].kind))
                    for c, name in zip(staged[1:-1], payload_names, strict=True)
                ]
                updated = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in names if n not in key.names]
                statement = sql.SQL(
                    "insert into {table} ({names}) select {values} from interlingua_staging "
                    "on conflict ({key}) do update set {updated}"
                ).format(
                    table=self._table, names=sql.SQL(", ").join(map(sql.Identifier, names)),
                    values=sql.SQL(", ").join([*moved, staged[-1]]), key=key.listed(),
                    updated=sql.SQL(", ").join(updated),
                )  # fmt: skip
            done = self._connection.execute(statement).rowcount
            if done != len(records):
                raise InputError(
                    f"{self.url}: only {done:,} of {count_of(len(records))} matched. Were rows deleted, or does a "
                    "trigger skip updates?",
                    "Stop the writes and go on with {resume}, or run {rollback} to undo the migration.",
                )

    def finish(self) -> None:
        """Build an HNSW index, unless there is one, and update the statistics of the table."""
        vector, sql = self._vector(self._columns()), self._sql
        d, metric = self._width(vector), self._spec.metric if self._spec else "cosine"
        if d > _INDEXED_HALF:
            return
        for index in self._indexes(vector):
            if index.usable:
                return
            with self._transaction("cannot be indexed"):
                self._connection.execute(f"drop index {index.name}")
        holds = "vector" if d <= _INDEXED else "halfvec"
        column = sql.Identifier(vector.name)
        if holds == "halfvec":
            column = sql.SQL("({}::{}({}))").format(column, self._of_pgvector("halfvec"), sql.Literal(d))
        parts = {
            "table": self._table,
            "column": column,
            "ops": self._of_pgvector(f"{holds}_{catalog.OPCLASSES[metric]}"),
        }
        make = "create index {}on {{table}} using hnsw ({{column}} {{ops}})"
        if self._fills_vector and self._one(catalog.TABLE)[0] != "p" and not self._is_pooled():
            # The source's table stays writable. This cannot run in a transaction, so the session's setting is changed.
            with self._errors("cannot be indexed"):
                self._connection.execute("set statement_timeout = 0")
                try:
                    self._connection.execute(sql.SQL(make.format("concurrently ")).format(**parts))
                finally:
                    if not self._connection.broken:
                        self._connection.execute("reset statement_timeout")
        else:
            with self._transaction("cannot be indexed"):
                self._connection.execute(sql.SQL(make.format("")).format(**parts))
        with self._transaction("cannot be analyzed"):
            self._connection.execute(sql.SQL("analyze {}").format(self._table))

    def delete(self, ids: pa.Array) -> None:
        """Delete rows."""
        statement = self._sql.SQL("delete from {} where {}")
        with self._transaction("cannot be written"):
            self._connection.execute(statement.format(self._table, self._key(self._columns()).among(ids.to_pylist())))

    def drop(self, *, vector_only: bool = False) -> None:
        """Remove the column, or the table."""
        if not self.exists():
            return
        statement = "alter table {table} drop column {name}" if vector_only else "drop table {table}"
        with self._transaction("cannot be dropped"):
            self._connection.execute(
                self._sql.SQL(statement).format(table=self._table, name=self._sql.Identifier(self._column_name or ""))
            )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        super().close()

    def _widen_search(self, index: catalog.Index | None, k: int) -> None:
        """Let an index return k rows: by default, HNSW returns 40 at most and IVFFlat reads one list."""
        if index is None:
            return
        if index.method == "ivfflat":
            name, value = "ivfflat.probes", str(min(index.lists, max(10, math.isqrt(index.lists))))
        elif 4 * k > _MOST_FROM_INDEX:
            name, value = "enable_indexscan", "off"
        else:
            name, value = "hnsw.ef_search", str(max(100, 4 * k))
        literals = [self._sql.Literal(text) for text in (name, value)]
        self._connection.execute(self._sql.SQL("select set_config({}, {}, true)").format(*literals))
