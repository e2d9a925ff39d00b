"""``duckdb:///file.duckdb#schema.table.column``: DuckDB, with vectors as ``FLOAT[d]`` and exact search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.arguments import shown
from interlingua.core.arrays import FloatArray, require
from interlingua.core.atomic import check_parent
from interlingua.core.errors import InputError
from interlingua.core.records import Records, to_column, to_matrix
from interlingua.core.wording import count_of
from interlingua.stores._base import TableAdapter, missing_path, null_ids, plain_ids, raising_interrupts, sql_literal
from interlingua.stores._capabilities import Capabilities
from interlingua.stores._clients import SharedClientStore
from interlingua.stores._documents import is_json
from interlingua.stores._ducktable import (
    Database,
    Layout,
    column_of,
    is_vector,
    kept_field,
    payload_field,
    quoted,
    widened,
)
from interlingua.stores._marks import first_mark, migration_mark
from interlingua.stores._names import NOT_EMPTY
from interlingua.stores._pages import pages
from interlingua.stores._protocol import Cursor, Hits, Spec, StoreInfo
from interlingua.stores._url import StoreURL
from interlingua.stores._views import duckdb_comments

__all__ = ["DuckStore"]

# One more than a message lists.
_TABLES = """
select case when schema_name = 'main' then table_name else schema_name || '.' || table_name end
from duckdb_tables() where database_name = current_database() order by 1 limit 21"""


class DuckStore(SharedClientStore, TableAdapter):
    """One vector column of a table in a DuckDB file."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "typed",
        ("int", "text"),
        metrics=("cosine",),
        adds_vectors=True,
        selects=("where", "skip_null"),
        deletes=True,
        rows_per_second=10_000,
        refuses=("duration", "long_decimal"),
        changes=("float16", "category", "timestamp_zone", "json"),
        limits="search is exact and reads every row",
    )
    _collection_rule = _column_rule = NOT_EMPTY
    # Every column has a mark of its own.
    _marked_parts = (True,)

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        duckdb = require("duckdb", "duckdb")
        self._duckdb, self._client_errors = duckdb, (duckdb.Error,)
        self._path = Path(url.path)
        self._table = ".".join(map(quoted, self._table_names))
        self._key = ("duckdb", str(self._path.resolve()))
        self._is_table = self._is_named("table")
        self._connect = lambda: Database(duckdb, self._path)

    def exists(self) -> bool:
        """Return whether the column exists; a missing file is not made."""
        columns = self._columns()
        return bool(columns) and (self._column_name is None or self._stored_name(columns) in columns)

    def info(self) -> StoreInfo:
        """Return facts about the table."""
        layout = self._layout()
        counted = f"select count(*), count({quoted(layout.vector)}) from {self._table}"
        total, count = self._rows(f"{counted} {self._where_clause()}")[0]
        self._check_filled(count, total - count)
        nulls = self._rows(f"select count(*) from {self._table} {self._where_clause(layout.has_null)}")[0][0]
        if nulls:
            raise null_ids(str(self.url), nulls, layout.key)
        filled = self._where_clause(f"{quoted(layout.vector)} is not null")
        first = next(self._pages(layout, f"{filled} order by {layout.id}", 256, limit=256))
        notes = []
        if len(layout.key) > 1:
            notes.append(f"The ids are JSON arrays of the columns {', '.join(layout.key)}, which together form a key.")
        texts = [name for name, field in layout.payload.items() if field is not None and not is_json(field)]
        if texts:
            notes.append(
                f"Arrow has no type for the columns {', '.join(texts)}; DuckDB gets them unchanged, others as text."
            )
        if layout.others:
            notes.append(f"Other vector columns are not copied: {', '.join(layout.others)}.")
        return self._describe(
            first,
            count,
            total - count,
            metric="cosine",
            vector_name=layout.vector,
            dtype=str(first.vectors.dtype),
            notes=tuple(notes),
        )

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages in order of the id, which is the cursor."""
        layout = self._layout()
        conditions = [] if after is None else [f"{layout.id} > {sql_literal(after)}"]
        if self._skip_null:
            conditions.append(f"{quoted(layout.vector)} is not null")
        for records in self._pages(layout, f"{self._where_clause(*conditions)} order by {layout.id}", size):
            yield records, records.ids[-1].as_py()

    def skipped(self, size: int) -> Iterator[pa.Array]:
        """Yield the ids of the rows without a vector."""
        layout = self._layout()
        empty = self._where_clause(f"{quoted(layout.vector)} is null")
        for page in self._tables(f"select {layout.id} from {self._table} {empty} order by 1", size):
            yield page.column(0).combine_chunks()

    def repeated_id(self) -> Any:
        """Return an id that several rows have, unless a primary key rules it out."""
        layout, unique = self._layout(), self._primary_key()
        if unique and set(unique) <= set(layout.key):
            return None
        read = self._where_clause(*([f"{quoted(layout.vector)} is not null"] if self._skip_null else []))
        query = f"select {layout.id} from {self._table} {read} group by 1 having count(*) > 1 limit 1"
        return next((value for (value,) in self._rows(query)), None)

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        layout = self._layout()
        parts = list(self._pages(layout, f"where {self._among(layout, ids)}", len(ids))) if len(ids) else []
        return self._in_order(parts[0] if parts else None, ids)

    @staticmethod
    def _among(layout: Layout, ids: pa.Array) -> str:
        """Return the condition that a row has one of these ids."""
        return f"{layout.id} in ({', '.join(sql_literal(value) for value in ids.to_pylist())})"

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Compare every query with every row."""
        layout = self._layout()
        vector = quoted(layout.vector)
        hits = []
        for query in np.asarray(queries, np.float32):
            score = f"array_cosine_similarity({vector}::FLOAT[{layout.d}], {query.tolist()}::FLOAT[{layout.d}])"
            filled = f"from {self._table} where {vector} is not null"
            rows = self._rows(f"select {layout.id}, {score} s {filled} order by s desc limit {int(k)}")
            hits.append(Hits([row[0] for row in rows], np.array([row[1] for row in rows], np.float64)))
        return hits

    def check(self, spec: Spec) -> None:
        """Refuse a target without a column name, and a folder or schema that does not exist."""
        super().check(spec)
        check_parent(self._path)
        if len(self.url.names) == 3 and self.url.names[0].lower() not in self._schemas():
            raise InputError(f"{self.url}: there is no schema {self.url.names[0]!r}; create it first.")
        for field in () if spec.as_new_vector else spec.schema or ():
            try:
                self.kept(field)
            except self._client_errors as error:
                raise InputError(
                    f"{self.url}: column {field.name!r} is {field.type}, which DuckDB does not take. Convert it,",
                    "or leave the payload out with {drop_payload}.",
                ) from error

    @staticmethod
    def _folded(name: str) -> str:
        """Return a name in lower case: DuckDB does not tell upper from lower case."""
        return name.lower()

    def kept(self, field: pa.Field) -> pa.Field:
        """Return a payload column as it is read from a new table, which DuckDB decides."""
        with raising_interrupts():
            return kept_field(self._duckdb, pa.schema([field]).serialize().to_pybytes())

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse durations, which DuckDB holds as intervals of months, days and microseconds."""
        if spec.as_new_vector or records.payload is None:
            return
        for name, column in zip(records.payload.schema.names, records.payload.columns, strict=True):
            if "duration" in str(column.type) and column.null_count < len(column):
                row = column.is_valid().index(True).as_py()
                raise InputError(
                    f"{self.url}: column {name!r} of id {shown(records.ids[row].as_py())} is a duration, which would "
                    "be read back as text. Convert it,",
                    "or leave the payload out with {drop_payload}.",
                )

    def is_taken(self, spec: Spec) -> bool:
        """Return whether the vector exists, or the table where a new one is needed."""
        return self.exists() or (not spec.as_new_vector and bool(self._columns()))

    def _create(self, spec: Spec) -> None:
        column = pa.field(str(self._column_name), pa.list_(pa.float32(), spec.d))
        if spec.as_new_vector:
            self._writing.execute(f"alter table {self._table} add column {quoted(column.name)} FLOAT[{spec.d}]")
            self._mark(f"column {self._table}.{quoted(column.name)}", spec)
            return
        schema = pa.schema([pa.field(spec.id_name, spec.id_type), *map(widened, spec.schema or ()), column])
        typed = ", ".join(map(column_of, schema))
        self._execute_with(schema.empty_table(), f"create table {self._table} as select {typed} from interlingua_rows")
        self._writing.execute(f"alter table {self._table} add primary key ({quoted(spec.id_name)})")
        self._mark(f"table {self._table}", spec)
        # The comment on a column stays with it under another name; no other column of the table has it.
        self._mark(f"column {self._table}.{quoted(column.name)}", spec)

    def _mark(self, what: str, spec: Spec) -> None:
        self._writing.execute(f"comment on {what} is {sql_literal(migration_mark(spec.job))}")

    def creation(self, *, vector_only: bool = False) -> str | None:
        """Return the comment on the table or the column, which names the migration."""
        catalog, condition = "duckdb_tables()", self._is_table
        if vector_only:
            named = f"lower(column_name) = lower({sql_literal(self._column_name or self._layout().vector)})"
            catalog, condition = "duckdb_columns()", f"{condition} and {named}"
        rows = self._rows(f"select comment from {catalog} where {condition}")
        return rows[0][0] if rows else None

    def _migration_mark(self, *, vector_only: bool) -> str | None:
        """Return the comment on the table or the column; that of a view is on the column that it shows."""
        mark = first_mark([super()._migration_mark(vector_only=vector_only)])
        if mark is not None or not self._rows(f"select 1 from duckdb_views() where {self._is_named('view')}"):
            return mark
        return first_mark(duckdb_comments(self._rows, self._table, quoted(self._layout().vector)))

    def prepare(self, spec: Spec, committed: int) -> None:
        """Open the file for writing."""
        super().prepare(spec, committed)
        _ = self._writing

    def upsert(self, records: Records) -> None:
        """Insert or replace rows, or fill the new column of existing rows, in one statement."""
        layout = self._layout()
        vectors = to_column(np.asarray(records.vectors, np.float32))
        if self._fills_vector:
            rows = pa.table({"interlingua_id": records.ids, "interlingua_vector": vectors})
            query = (
                f"update {self._table} set {quoted(layout.vector)} = interlingua_vector from interlingua_rows "
                f"where {layout.id} = interlingua_id"
            )
        else:
            columns = {}
            if records.payload is not None:
                payload = records.payload.cast(pa.schema(map(widened, records.payload.schema)))
                columns = dict(zip(payload.schema.names, payload.columns, strict=True))
            rows = pa.table({layout.key[0]: records.ids, layout.vector: vectors, **columns})
            query = f"insert or replace into {self._table} by name select * from interlingua_rows"
        with self._errors("did not take the rows"):
            done = self._execute_with(rows, query)
        if done != len(records):
            raise InputError(
                f"{self.url}: only {done:,} of {count_of(len(records))} matched and were written. Were rows deleted?",
                "Stop the writes and go on with {resume}, or run {rollback} to undo the migration.",
            )

    def finish(self) -> None:
        """Write the log into the file; search is exact and needs no index."""
        with self._errors("cannot be written"):
            self._writing.execute("checkpoint")

    def delete(self, ids: pa.Array) -> None:
        """Delete rows."""
        with self._errors("cannot be written"):
            self._writing.execute(f"delete from {self._table} where {self._among(self._layout(), ids)}")

    def drop(self, *, vector_only: bool = False) -> None:
        """Remove the column, or the table."""
        if not self.exists():
            return
        with self._errors("cannot be dropped"):
            if vector_only:
                self._writing.execute(f"alter table {self._table} drop column {quoted(str(self._column_name))}")
            else:
                self._writing.execute(f"drop table {self._table}")

    @property
    def _reading(self) -> Any:
        with self._errors("cannot be opened"):
            return self._client.connection()

    @property
    def _writing(self) -> Any:
        with self._errors("cannot be opened"):
            return self._client.connection(write=True)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._errors("cannot be read"):
            rows: list[tuple[Any, ...]] = self._reading.execute(query).fetchall()
        return rows

    def _execute_with(self, rows: pa.Table, query: str) -> int:
        cursor = self._writing.cursor()
        try:
            cursor.register("interlingua_rows", rows)
            done = cursor.execute(query).fetchall()
        finally:
            cursor.close()
        return int(done[0][0]) if done else 0

    def _where_clause(self, *conditions: str) -> str:
        condition = self._conditions(*conditions)
        return f"where {condition}" if condition else ""

    def _pages(self, layout: Layout, rest: str, size: int, limit: int | None = None) -> Iterator[Records]:
        tail = "" if limit is None else f"limit {limit}"
        for page in self._tables(f"select {layout.columns} from {self._table} {rest} {tail}", size):
            ids = plain_ids(page.column(0), ", ".join(layout.key), str(self.url))
            fields = [
                field or page.field(i).with_name(name) for i, (name, field) in enumerate(layout.payload.items(), 2)
            ]
            payload = pa.table(page.columns[2:], schema=pa.schema(fields)) if fields else None
            vectors = to_matrix(
                page.column(1), layout.vector, str(self.url), d=layout.d, ids=ids, bad_as_nan=self._bad_as_nan
            )
            yield Records(ids, vectors, payload)

    def _tables(self, query: str, size: int) -> Iterator[pa.Table]:
        with self._errors("cannot be read"):
            # A separate cursor: a write on the connection would end the read.
            cursor = self._reading.cursor()
            try:
                yield from pages(cursor.sql(query).to_arrow_reader(size), size)
            finally:
                cursor.close()

    def _is_named(self, kind: str) -> str:
        """Return the condition for this table, or for a view of this name, in DuckDB's own tables about them."""
        schema = sql_literal(self.url.names[0]) if len(self.url.names) == 3 else "current_schema()"
        return (
            f"database_name = current_database() and lower(schema_name) = lower({schema}) "
            f"and lower({kind}_name) = lower({sql_literal(self._table_names[-1])})"
        )

    def _columns(self) -> dict[str, str]:
        if not self._path.is_file():
            return {}
        query = f"select column_name, data_type from duckdb_columns() where {self._is_table} order by column_index"
        return {name: kind for name, kind in self._rows(query)}

    def _stored_name(self, columns: Iterable[str]) -> str | None:
        """Return the vector column of the address as the table spells it, because DuckDB ignores case in names."""
        named = self._column_name
        return next((name for name in columns if named is not None and name.lower() == named.lower()), named)

    def _schemas(self) -> set[str]:
        if not self._path.is_file():
            return {"main"}
        query = "select lower(schema_name) from duckdb_schemas() where database_name = current_database()"
        return {name for (name,) in self._rows(query)}

    def _primary_key(self) -> tuple[str, ...]:
        rows = self._rows(
            f"select constraint_column_names from duckdb_constraints() where {self._is_table} "
            "and constraint_type = 'PRIMARY KEY'"
        )
        return tuple(rows[0][0]) if rows else ()

    def _layout(self) -> Layout:
        columns = self._columns()
        if not columns and not self._path.is_file():
            raise missing_path(self.url)
        if not columns:
            raise self._missing([name for (name,) in self._rows(_TABLES)], "tables are")
        arrays = [name for name, kind in columns.items() if is_vector(kind)]
        lists = [name for name, kind in columns.items() if kind in {"FLOAT[]", "DOUBLE[]"}]
        candidates = arrays or lists
        name = self._stored_name(columns) or (candidates[0] if len(candidates) == 1 else None)
        if name is None or name not in {*arrays, *lists}:
            raise InputError(
                f"{self.url}: #table.column must name a FLOAT[d] column; there are: "
                f"{', '.join([*arrays, *lists]) or 'none'}."
            )
        key = self._key_names(columns)
        payload = {
            other: payload_field(other, kind)
            for other, kind in columns.items()
            if other not in {name, *arrays} and key != (other,)
        }
        others = tuple(other for other in arrays if other != name)
        is_text = columns[key[0]] == "VARCHAR"
        return Layout(key, name, self._width(name, columns[name]), payload, others, is_text)

    def _width(self, name: str, kind: str) -> int:
        """Return the width of an array, or of the first list."""
        if is_vector(kind):
            return int(kind.split("[")[1][:-1])
        rows = self._rows(f"select len({quoted(name)}) from {self._table} where len({quoted(name)}) > 0 limit 1")
        if not rows:  # no row has a vector, which this check refuses
            self._check_filled(0, self._rows(f"select count(*) from {self._table} {self._where_clause()}")[0][0])
        return int(rows[0][0])
