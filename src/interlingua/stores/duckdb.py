"""``duckdb:///file.duckdb#table.column``: DuckDB, with vectors as ``FLOAT[d]`` and exact search."""

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
from interlingua.stores._clients import acquire, first_line, release, sql_literal
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
        if not 1 <= len(url.names) <= 2 or url.host:
            raise InputError(f"{url} names no table; duckdb:///file.duckdb#table.column is needed.")
        self._duckdb = require("duckdb", "duckdb")
        self._path = Path(url.path)
        self._table = _quoted(url.names[0])
        self._column = url.names[1] if len(url.names) > 1 else None
        self._key = ("duckdb", str(self._path.resolve()))
        self._held: Any = None
        self._beside = False

    def exists(self) -> bool:
        """Return whether the column exists; a missing file is not made."""
        columns = self._columns()
        return bool(columns) and (self._column is None or self._column in columns)

    def info(self) -> StoreInfo:
        """Return what the table holds."""
        key, name, d = self._layout()
        count = self._rows(f"select count(*) from {self._table}")[0][0]
        if not count:
            raise InputError(f"{self.url} is empty; at least 1 row is needed.")
        first = next(self.scan(256))[0]
        schema = None if first.payload is None else first.payload.schema
        return StoreInfo(
            count=count,
            d=d,
            metric="cosine",
            normalized=is_unit(first.vectors),
            id_type=first.ids.type,
            schema=schema,
            vector_name=name,
            dtype=str(first.vectors.dtype),
        )

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages in order of the id, which is the cursor."""
        key = _quoted(self._layout()[0])
        where = "" if after is None else f"where {key} > {sql_literal(after)}"
        for records in self._pages(f"{where} order by {key}", size):
            yield records, records.ids[-1].as_py()

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        key = _quoted(self._layout()[0])
        listed = ", ".join(sql_literal(value) for value in ids.to_pylist())
        pages = list(self._pages(f"where {key} in ({listed})", len(ids))) if len(ids) else []
        empty = Records(ids.slice(0, 0), np.empty((0, 0), np.float32))
        return (pages[0] if pages else empty).in_order_of(ids, str(self.url))

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Compare every query with every row."""
        key, name, d = self._layout()
        hits = []
        for query in np.asarray(queries, np.float32):
            literal = f"{query.tolist()}::FLOAT[{d}]"
            score = f"array_cosine_similarity({_quoted(name)}::FLOAT[{d}], {literal})"
            rows = self._rows(f"select {_quoted(key)}, {score} s from {self._table} order by s desc limit {int(k)}")
            hits.append(Hits([row[0] for row in rows], np.array([row[1] for row in rows], np.float64)))
        return hits

    def check(self, spec: Spec) -> None:
        """Refuse a target without a column name."""
        super().check(spec)
        if self._column is None:
            raise InputError(f"{self.url} names no column to write to; #table.column is needed.")
        if not self._path.parent.is_dir():
            raise InputError(f"The folder {self._path.parent} does not exist; create it or choose another.")

    def create(self, spec: Spec) -> None:
        """Make the table, or add the column to it."""
        self.check(spec)
        if self.exists() or (not spec.beside and self._columns()):
            raise OutputExistsError(f"{self.url} exists; choose another name or drop it first.")
        column = pa.field(str(self._column), pa.list_(pa.float32(), spec.d))
        with self._errors("cannot be created"):
            if spec.beside:
                self._db.execute(f"alter table {self._table} add column {_quoted(column.name)} FLOAT[{spec.d}]")
                return
            schema = pa.schema([pa.field(spec.id_name, spec.id_type), *(spec.schema or ()), column])
            self._with(schema.empty_table(), f"create table {self._table} as select * from interlingua_rows")
            self._db.execute(f"alter table {self._table} add primary key ({_quoted(spec.id_name)})")

    def prepare(self, spec: Spec, committed: int) -> None:
        """Remember whether rows are inserted or a column of theirs is filled."""
        self._beside = spec.beside

    def upsert(self, records: Records) -> None:
        """Insert or replace rows, or fill the column of theirs, in one statement."""
        key, name, _ = self._layout()
        columns = {key: records.ids, name: to_column(np.asarray(records.vectors, np.float32))}
        if records.payload is not None and not self._beside:
            columns |= dict(zip(records.payload.schema.names, records.payload.columns, strict=True))
        if self._beside:
            query = (
                f"update {self._table} set {_quoted(name)} = r.{_quoted(name)} from interlingua_rows r "
                f"where {self._table}.{_quoted(key)} = r.{_quoted(key)}"
            )
        else:
            query = f"insert or replace into {self._table} by name select * from interlingua_rows"
        with self._errors("did not take the rows"):
            done = self._with(pa.table(columns), query)
        if done != len(records):
            raise InputError(f"{self.url}: {done} of {len(records)} rows were there to be written; were rows deleted?")

    def finish(self) -> None:
        """Write the log into the file; search is exact and needs no index."""
        with self._errors("cannot be written"):
            self._db.execute("checkpoint")

    def drop(self, *, beside: bool = False) -> None:
        """Remove the column, or the table."""
        if not self.exists():
            return
        with self._errors("cannot be dropped"):
            if beside:
                self._db.execute(f"alter table {self._table} drop column {_quoted(str(self._column))}")
            else:
                self._db.execute(f"drop table {self._table}")

    def close(self) -> None:
        """Close the file, once nobody else in this process uses it."""
        if self._held is not None:
            self._held.close()
            self._held = None
            release(self._key, lambda client: client.close())

    @property
    def _db(self) -> Any:
        if self._held is None:
            with self._errors("cannot be opened"):
                self._held = acquire(self._key, lambda: self._duckdb.connect(str(self._path))).cursor()
        return self._held

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._errors("cannot be read"):
            rows: list[tuple[Any, ...]] = self._db.execute(query).fetchall()
        return rows

    def _with(self, rows: pa.Table, query: str) -> int:
        self._db.register("interlingua_rows", rows)
        try:
            done = self._db.execute(query).fetchall()
        finally:
            self._db.unregister("interlingua_rows")
        return int(done[0][0]) if done else 0

    def _pages(self, rest: str, size: int) -> Iterator[Records]:
        key, name, d = self._layout()
        side = [column for column, kind in self._columns().items() if column != key and not _is_vector(kind)]
        listed = ", ".join(map(_quoted, [key, name, *side]))
        with self._errors("cannot be read"):
            # A cursor of its own, so that what is written meanwhile does not end the read.
            own = self._db.cursor()
            try:
                for page in pages(own.sql(f"select {listed} from {self._table} {rest}").to_arrow_reader(size), size):
                    ids = page[key].combine_chunks()
                    if ids.null_count:
                        raise InputError(
                            f"{self.url}: {ids.null_count} ids in {key!r} are null; every row needs an id."
                        )
                    payload = page.select(side) if side else None
                    vectors = to_matrix(page[name], name, str(self.url), d=d, ids=ids)
                    yield Records(ids, vectors, payload)
            finally:
                own.close()

    def _columns(self) -> dict[str, str]:
        if not self._path.is_file() and self._held is None:
            return {}
        table = sql_literal(self.url.names[0])
        query = f"select column_name, data_type from duckdb_columns() where table_name = {table} order by column_index"
        return {name: kind for name, kind in self._rows(query)}

    def _layout(self) -> tuple[str, str, int]:
        """Return id column, vector column and width."""
        columns = self._columns()
        if not columns:
            raise InputError(f"{self.url}: there is no such table. Check the path and the name.")
        names = [name for name, kind in columns.items() if _is_vector(kind)]
        name = self._column or (names[0] if len(names) == 1 else None)
        if name not in names:
            raise InputError(
                f"{self.url}: #table.column must name a FLOAT[d] column; there are: {', '.join(names) or 'none'}."
            )
        key = self.url.options.get("id") or next((known for known in ID_NAMES if known in columns), None)
        if key is None or key not in columns:
            raise InputError(f"{self.url}: no id column {key or ''}; name it id or say ?id=COLUMN.")
        return key, str(name), int(columns[str(name)].split("[")[1][:-1])

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._duckdb.Error as error:
            raise InputError(f"{self.url} {what}: {first_line(error)[:300]}") from error


def _is_vector(kind: str) -> bool:
    base, _, width = kind.partition("[")
    return base in {"FLOAT", "DOUBLE"} and width.endswith("]") and width[:-1].isdigit()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
