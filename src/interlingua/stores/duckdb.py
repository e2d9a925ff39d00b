"""``duckdb:///file.duckdb#schema.table.column``: DuckDB, with vectors as ``FLOAT[d]`` and exact search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray, require
from interlingua.core.errors import InputError, OutputExistsError
from interlingua.core.records import Records, to_column, to_matrix
from interlingua.io._checks import ID_NAMES
from interlingua.stores._clients import acquire, first_line, release
from interlingua.stores._documents import is_json
from interlingua.stores._ducktable import (
    Database,
    Layout,
    column_of,
    is_vector,
    literal,
    payload_field,
    quoted,
    widened,
)
from interlingua.stores._pages import pages
from interlingua.stores._protocol import Capabilities, Cursor, Hits, Spec, Store, StoreInfo, is_unit
from interlingua.stores._url import StoreURL

__all__ = ["DuckStore"]


class DuckStore(Store):
    """One vector column of a table in a DuckDB file."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "typed", ("int", "text"), metrics=("cosine",), adds_vectors=True, rows_per_second=10_000
    )

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        if not 1 <= len(url.names) <= 3 or url.host:
            raise InputError(f"{url} names no table; duckdb:///file.duckdb#table.column is needed.")
        self._duckdb = require("duckdb", "duckdb")
        self._path = Path(url.path)
        table = url.names[:2] if len(url.names) == 3 else url.names[:1]
        self._table = ".".join(map(quoted, table))
        self._column = url.names[-1] if len(url.names) > 1 else None
        self._key = ("duckdb", str(self._path.resolve()))
        self._held: Database | None = None
        self._beside = False
        self._where: str | None = None
        self._skip_null = False

    def exists(self) -> bool:
        """Return whether the column is there; a missing file is not made."""
        columns = self._columns()
        return bool(columns) and (self._column is None or self._column in columns)

    def restrict(self, *, where: str | None = None, skip_null: bool = False) -> None:
        """Read only the rows for which a condition in SQL holds, or only rows that have a vector."""
        self._where, self._skip_null = where, skip_null

    def info(self) -> StoreInfo:
        """Return what the table holds."""
        layout = self._layout()
        counted = f"select count(*), count({quoted(layout.vector)}) from {self._table}"
        total, count = self._rows(f"{counted} {self._condition()}")[0]
        if total and not count:
            first_id = next(self.skipped(1))[0].as_py()
            raise InputError(
                f"{self.url}: the row with id {first_id!r} of column {layout.vector!r} is null, as are all."
            )
        if not count:
            raise InputError(f"{self.url} is empty; at least 1 row is needed.")
        filled = self._condition(f"{quoted(layout.vector)} is not null")
        first = next(self._pages(layout, f"{filled} order by {layout.id}", 256, limit=256))
        notes = []
        if len(layout.key) > 1:
            notes.append(f"The ids are JSON arrays of the columns {', '.join(layout.key)}, which are a key together.")
        texts = [name for name, field in layout.side.items() if field is not None and not is_json(field)]
        if texts:
            notes.append(
                f"Arrow has no type for the columns {', '.join(texts)}; DuckDB gets them back, others as text."
            )
        if layout.left:
            notes.append(f"Other vector columns are not copied: {', '.join(layout.left)}.")
        return StoreInfo(
            count=count,
            d=layout.d,
            metric="cosine",
            normalized=is_unit(first.vectors),
            id_type=first.ids.type,
            schema=None if first.payload is None else first.payload.schema,
            vector_name=layout.vector,
            dtype=str(first.vectors.dtype),
            nulls=total - count,
            first_null=repr(next(self.skipped(1))[0].as_py()) if total > count else None,
            notes=tuple(notes),
        )

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages in order of the id, which is the cursor."""
        layout = self._layout()
        conditions = [] if after is None else [f"{layout.id} > {literal(after)}"]
        if self._skip_null:
            conditions.append(f"{quoted(layout.vector)} is not null")
        for records in self._pages(layout, f"{self._condition(*conditions)} order by {layout.id}", size):
            yield records, records.ids[-1].as_py()

    def skipped(self, size: int) -> Iterator[pa.Array]:
        """Yield the ids of the rows without a vector."""
        layout = self._layout()
        empty = self._condition(f"{quoted(layout.vector)} is null")
        for page in self._tables(f"select {layout.id} from {self._table} {empty} order by 1", size):
            yield page.column(0).combine_chunks()

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        layout = self._layout()
        listed = ", ".join(literal(value) for value in ids.to_pylist())
        found = list(self._pages(layout, f"where {layout.id} in ({listed})", len(ids))) if len(ids) else []
        empty = Records(ids.slice(0, 0), np.empty((0, 0), np.float32))
        return (found[0] if found else empty).in_order_of(ids, str(self.url))

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Compare every query with every row."""
        layout = self._layout()
        vector = quoted(layout.vector)
        hits = []
        for query in np.asarray(queries, np.float32):
            literal = f"{query.tolist()}::FLOAT[{layout.d}]"
            score = f"array_cosine_similarity({vector}::FLOAT[{layout.d}], {literal})"
            filled = f"from {self._table} where {vector} is not null"
            rows = self._rows(f"select {layout.id}, {score} s {filled} order by s desc limit {int(k)}")
            hits.append(Hits([row[0] for row in rows], np.array([row[1] for row in rows], np.float64)))
        return hits

    def check(self, spec: Spec) -> None:
        """Refuse a target without a column name, and a schema that is not there."""
        super().check(spec)
        if self._column is None:
            raise InputError(f"{self.url} names no column to write to; #table.column is needed.")
        if not self._path.parent.is_dir():
            raise InputError(f"The folder {self._path.parent} does not exist; create it or choose another.")
        if not spec.beside and self._column in (spec.schema.names if spec.schema is not None else ()):
            raise InputError(f"{self.url}: the payload has a column {self._column!r}; name another vector column.")
        if len(self.url.names) == 3 and self.url.names[0].lower() not in self._schemas():
            raise InputError(f"{self.url}: there is no schema {self.url.names[0]!r}; create it first.")

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse durations, which DuckDB holds as intervals of months, days and microseconds."""
        if spec.beside or records.payload is None:
            return
        for name, column in zip(records.payload.schema.names, records.payload.columns, strict=True):
            if "duration" in str(column.type) and column.null_count < len(column):
                row = column.is_valid().index(True).as_py()
                raise InputError(
                    f"{self.url}: column {name!r} of id {records.ids[row].as_py()!r} is a duration, which would be "
                    "read back as text. Convert it,",
                    "or leave the payload out with {drop_payload}.",
                )

    def create(self, spec: Spec) -> None:
        """Make the table, or add the column to it."""
        self.check(spec)
        if self.exists() or (not spec.beside and self._columns()):
            raise OutputExistsError(f"{self.url} exists; choose another name or drop it first.")
        column = pa.field(str(self._column), pa.list_(pa.float32(), spec.d))
        with self._errors("cannot be created"):
            if spec.beside:
                self._writing.execute(f"alter table {self._table} add column {quoted(column.name)} FLOAT[{spec.d}]")
                return
            schema = pa.schema([pa.field(spec.id_name, spec.id_type), *map(widened, spec.schema or ()), column])
            typed = ", ".join(map(column_of, schema))
            self._with(schema.empty_table(), f"create table {self._table} as select {typed} from interlingua_rows")
            self._writing.execute(f"alter table {self._table} add primary key ({quoted(spec.id_name)})")

    def prepare(self, spec: Spec, committed: int) -> None:
        """Remember whether rows are inserted or a column of theirs is filled."""
        self._beside = spec.beside
        _ = self._writing

    def upsert(self, records: Records) -> None:
        """Insert or replace rows, or fill the column of theirs, in one statement."""
        layout = self._layout()
        vectors = to_column(np.asarray(records.vectors, np.float32))
        if self._beside:
            rows = pa.table({"interlingua_id": records.ids, "interlingua_vector": vectors})
            query = (
                f"update {self._table} set {quoted(layout.vector)} = interlingua_vector from interlingua_rows "
                f"where {layout.id} = interlingua_id"
            )
        else:
            side = records.payload
            side = None if side is None else side.cast(pa.schema(map(widened, side.schema)))
            columns = {} if side is None else dict(zip(side.schema.names, side.columns, strict=True))
            rows = pa.table({layout.key[0]: records.ids, layout.vector: vectors, **columns})
            query = f"insert or replace into {self._table} by name select * from interlingua_rows"
        with self._errors("did not take the rows"):
            done = self._with(rows, query)
        if done != len(records):
            raise InputError(f"{self.url}: {done} of {len(records)} rows were there to be written; were rows deleted?")

    def finish(self) -> None:
        """Write the log into the file; search is exact and needs no index."""
        with self._errors("cannot be written"):
            self._writing.execute("checkpoint")

    def drop(self, *, beside: bool = False) -> None:
        """Remove the column, or the table."""
        if not self.exists():
            return
        with self._errors("cannot be dropped"):
            if beside:
                self._writing.execute(f"alter table {self._table} drop column {quoted(str(self._column))}")
            else:
                self._writing.execute(f"drop table {self._table}")

    def close(self) -> None:
        """Close the file, once nobody else in this process uses it."""
        if self._held is not None:
            self._held = None
            release(self._key, lambda database: database.close())

    @property
    def _database(self) -> Database:
        if self._held is None:
            self._held = acquire(self._key, lambda: Database(self._duckdb, self._path))
        return self._held

    @property
    def _reading(self) -> Any:
        with self._errors("cannot be opened"):
            return self._database.connection()

    @property
    def _writing(self) -> Any:
        with self._errors("cannot be opened"):
            return self._database.connection(write=True)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._errors("cannot be read"):
            found: list[tuple[Any, ...]] = self._reading.execute(query).fetchall()
        return found

    def _with(self, rows: pa.Table, query: str) -> int:
        own = self._writing.cursor()
        try:
            own.register("interlingua_rows", rows)
            done = own.execute(query).fetchall()
        finally:
            own.close()
        return int(done[0][0]) if done else 0

    def _condition(self, *conditions: str) -> str:
        chosen = [*([] if self._where is None else [f"({self._where}\n)"]), *conditions]
        return f"where {' and '.join(chosen)}" if chosen else ""

    def _pages(self, layout: Layout, rest: str, size: int, limit: int | None = None) -> Iterator[Records]:
        tail = "" if limit is None else f"limit {limit}"
        for page in self._tables(f"select {layout.listed} from {self._table} {rest} {tail}", size):
            ids = page.column(0).combine_chunks()
            if ids.null_count:
                name = ", ".join(layout.key)
                raise InputError(f"{self.url}: {ids.null_count} ids in {name!r} are null; every row needs an id.")
            fields = [field or page.field(i).with_name(name) for i, (name, field) in enumerate(layout.side.items(), 2)]
            payload = pa.table(page.columns[2:], schema=pa.schema(fields)) if fields else None
            vectors = to_matrix(page.column(1), layout.vector, str(self.url), d=layout.d, ids=ids)
            yield Records(ids, vectors, payload)

    def _tables(self, query: str, size: int) -> Iterator[pa.Table]:
        with self._errors("cannot be read"):
            # A cursor of its own, so that what is written meanwhile does not end the read.
            own = self._reading.cursor()
            try:
                own.execute("set timezone = 'UTC'")
                yield from pages(own.sql(query).to_arrow_reader(size), size)
            finally:
                own.close()

    def _columns(self) -> dict[str, str]:
        if not self._path.is_file():
            return {}
        schema = literal(self.url.names[0]) if len(self.url.names) == 3 else "current_schema()"
        table = literal(self.url.names[1 if len(self.url.names) == 3 else 0])
        query = (
            "select column_name, data_type from duckdb_columns() where database_name = current_database() "
            f"and lower(schema_name) = lower({schema}) and lower(table_name) = lower({table}) order by column_index"
        )
        return {name: kind for name, kind in self._rows(query)}

    def _schemas(self) -> set[str]:
        if not self._path.is_file():
            return {"main"}
        query = "select lower(schema_name) from duckdb_schemas() where database_name = current_database()"
        return {name for (name,) in self._rows(query)}

    def _primary_key(self) -> tuple[str, ...]:
        schema = literal(self.url.names[0]) if len(self.url.names) == 3 else "current_schema()"
        table = literal(self.url.names[1 if len(self.url.names) == 3 else 0])
        rows = self._rows(
            "select constraint_column_names from duckdb_constraints() where database_name = current_database() "
            f"and lower(schema_name) = lower({schema}) and lower(table_name) = lower({table}) "
            "and constraint_type = 'PRIMARY KEY'"
        )
        return tuple(rows[0][0]) if rows else ()

    def _layout(self) -> Layout:
        columns = self._columns()
        if not columns:
            raise InputError(f"{self.url}: there is no such table. Check the path and the name.")
        arrays = [name for name, kind in columns.items() if is_vector(kind)]
        lists = [name for name, kind in columns.items() if kind in {"FLOAT[]", "DOUBLE[]"}]
        likely = arrays or lists
        name = self._column or (likely[0] if len(likely) == 1 else None)
        if name is None or name not in {*arrays, *lists}:
            raise InputError(
                f"{self.url}: #table.column must name a FLOAT[d] column; there are: "
                f"{', '.join([*arrays, *lists]) or 'none'}."
            )
        key = self._id_columns(columns)
        side = {
            other: payload_field(other, kind)
            for other, kind in columns.items()
            if other not in {name, *arrays} and key != (other,)
        }
        left = tuple(other for other in arrays if other != name)
        return Layout(key, name, self._width(name, columns[name]), side, left)

    def _id_columns(self, columns: dict[str, str]) -> tuple[str, ...]:
        named = self.url.options.get("id")
        if named is not None:
            key = (named,) if named in columns else tuple(named.split(","))
        else:
            key = self._primary_key() or tuple(known for known in ID_NAMES if known in columns)[:1]
        if not key or not set(key) <= columns.keys():
            raise InputError(
                f"{self.url}: no id column {named or ''}; name it id or say ?id=COLUMN. Columns that are a key "
                "together are ?id=COLUMN,COLUMN."
            )
        return key

    def _width(self, name: str, kind: str) -> int:
        """Return the width of an array, or of the first list."""
        if is_vector(kind):
            return int(kind.split("[")[1][:-1])
        found = self._rows(f"select len({quoted(name)}) from {self._table} where {quoted(name)} is not null limit 1")
        if not found or not found[0][0]:
            raise InputError(f"{self.url}: column {name!r} has no fixed width and no values.")
        return int(found[0][0])

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._duckdb.Error as error:
            raise InputError(f"{self.url} {what}: {first_line(error)[:300]}") from error
