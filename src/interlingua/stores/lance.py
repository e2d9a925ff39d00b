"""``lancedb:///folder#table.column``: LanceDB, read from one version and written by merge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from interlingua.core.arrays import FloatArray, require
from interlingua.core.errors import InputError
from interlingua.core.records import Records, to_column, to_matrix
from interlingua.core.wording import count_of
from interlingua.io._checks import ID_NAMES, AmbiguousVectorsError, choose_vectors
from interlingua.stores._base import Adapter, plain_ids, sql_literal
from interlingua.stores._capabilities import Capabilities, Metric
from interlingua.stores._marks import migration_mark
from interlingua.stores._names import NameRule
from interlingua.stores._pages import pages
from interlingua.stores._protocol import Cursor, Hits, Spec, StoreInfo
from interlingua.stores._url import StoreURL

__all__ = ["LanceStore"]

_METRICS: dict[str, Metric] = {"cosine": "cosine", "dot": "dot", "l2": "l2"}
# A scan of fewer rows is faster than an index, and exact.
_INDEXED_ROWS = 20_000
# Columns that LanceDB adds to the rows that it returns.
_RESERVED = (
    "_distance", "_rowid", "_rowaddr", "_rowoffset", "_row_created_at_version", "_row_last_updated_at_version",
)  # fmt: skip
# Metadata of a table that names the migration that made it.
_MARK = b"interlingua.migration"


class LanceStore(Adapter):
    """One table of a LanceDB folder."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "typed",
        ("int", "text"),
        selects=("where", "skip_null"),
        deletes=True,
        rows_per_second=10_000,
        refuses=("map",),
        limits=f"an index is built from {_INDEXED_ROWS:,} rows on",
    )
    _collection_noun = "table"
    # Every column has a mark of its own.
    _marked_parts = (True,)
    _collection_rule = NameRule(
        "1 to 249 letters from A to Z, digits, dots, _ and -, and not only one or two dots, are",
        r"(?!\.{1,2}$)[A-Za-z0-9_.-]+",
        249,
    )
    _column_rule = NameRule(
        f"at least 1 character, no dot, no grave accent and none of {', '.join(_RESERVED)} is",
        rf"(?!({'|'.join(_RESERVED)})$)[^\0.`]+",
    )
    # The client raises several classes, one of which cannot be imported, with the cause only in the text.
    _client_errors = (Exception,)

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        self._folder, self._name = Path(url.path), url.names[0]
        self._lancedb = require("lancedb", "lancedb")
        self._opened: Any = None

    @property
    def _table_folder(self) -> Path:
        return self._folder / f"{self._name}.lance"

    def exists(self) -> bool:
        """Return whether the table exists.

        A process that is killed while it makes a table leaves a folder without a version.
        """
        return any((self._table_folder / "_versions").glob("*.manifest"))

    def info(self) -> StoreInfo:
        """Return facts about the table."""
        table = self._table()
        key, name, d = self._layout(table.schema)
        filled, empty = (f"{_quoted(name)} is {text}" for text in ("not null", "null"))
        with self._errors("cannot be read"):
            nulls = table.count_rows(self._conditions(empty))
            count = table.count_rows(self._conditions() or None) - nulls
        self._check_filled(count, nulls)
        with self._errors("cannot be read"):
            query = table.search().where(self._conditions(filled)).limit(256)
            first = self._records(query.to_arrow(), name, d)
        dtype = str(table.schema.field(name).type.value_type)
        return self._describe(first, count, nulls, metric=_metric(table, name), vector_name=name, dtype=dtype)

    def skipped(self, size: int) -> Iterator[pa.Array]:
        """Yield the ids of the rows without a vector."""
        table = self._table()
        key, name, _ = self._layout(table.schema)
        with self._errors("cannot be read"):
            query = table.search().where(self._conditions(f"{_quoted(name)} is null")).select([key])
            for page in pages(query.to_batches(batch_size=size), size):
                yield page[key].combine_chunks()

    def since(self, column: str, value: str) -> str:
        """Return the condition that a column is at least a value, with the value in the column's type."""
        schema = self._table().schema
        if column not in schema.names:
            raise InputError(f"{self.url}: there is no column {column!r}; the table has {', '.join(schema.names)}.")
        kind = schema.field(column).type
        try:
            pa.scalar(value).cast(kind)
        except pa.ArrowException as error:
            raise InputError(f"{self.url}: column {column!r} is {kind}, which {value!r} is not ({error}).") from error
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if pa.types.is_decimal(kind):
            return f"{_quoted(column)} >= cast({sql_literal(value)} as decimal({kind.precision}, {kind.scale}))"
        prefix = "timestamp " if pa.types.is_timestamp(kind) else "date " if pa.types.is_date(kind) else ""
        return f"{_quoted(column)} >= {value.strip() if is_number else prefix + sql_literal(value)}"

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages of one version; the cursor holds it and the row."""
        table = self._table()
        version, row = (after["version"], after["row"]) if after else (table.version, 0)
        with self._errors("cannot be read"):
            table.checkout(version)
            _, name, d = self._layout(table.schema)
            query = table.search().offset(row) if row else table.search()
            condition = self._conditions(*([f"{_quoted(name)} is not null"] if self._skip_null else []))
            query = query.where(condition) if condition else query
            for page in pages(query.to_batches(batch_size=size), size):
                row += len(page)
                yield self._records(page, name, d), {"version": version, "row": row}

    def repeated_id(self) -> Any:
        """Return an id that several rows have; only the column of ids is read."""
        table = self._table()
        key, name, _ = self._layout(table.schema)
        condition = self._conditions(*([f"{_quoted(name)} is not null"] if self._skip_null else []))
        query = table.search().where(condition) if condition else table.search()
        with self._errors("cannot be read"):
            counts = query.select([key]).to_arrow()[key].value_counts()
        repeated = pc.greater(counts.field("counts"), 1).index(True).as_py()
        return None if repeated < 0 else counts.field("values")[repeated].as_py()

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        table = self._table()
        _, name, d = self._layout(table.schema)
        with self._errors("cannot be read"):
            rows = table.search().where(self._among(table, ids)).to_arrow()
        return self._in_order(self._records(rows, name, d), ids)

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Search the index, or every row if there is none."""
        table = self._table()
        key, name, _ = self._layout(table.schema)
        metric, hits = _metric(table, name) or "cosine", []
        for query in np.asarray(queries, np.float32):
            with self._errors("cannot be searched"):
                search = (
                    table.search(query, vector_column_name=name)
                    .distance_type(metric)
                    .limit(k)
                    .select([key, "_distance"])
                )
                rows = search.to_arrow()
            distances = rows["_distance"].to_numpy().astype(np.float64)
            scores = -np.sqrt(distances) if metric == "l2" else 1 - distances
            hits.append(Hits(rows[key].to_pylist(), scores))
        return hits

    def check(self, spec: Spec) -> None:
        """Refuse columns of maps, which the client cannot write."""
        super().check(spec)
        maps = [field.name for field in spec.schema or () if _has_map(field.type)]
        if maps:
            raise InputError(
                f"{self.url}: column {maps[0]!r} holds maps, which LanceDB cannot write.",
                "Convert it to a list of structs, choose another target, or leave the payload out with {drop_payload}.",
            )

    @property
    def _new_column(self) -> str:
        return self.url.names[1] if len(self.url.names) > 1 else "vector"

    def _create(self, spec: Spec) -> None:
        mark = {_MARK: spec.job.encode()}
        # The mark of a column stays with it under another name; no other column of the table has it.
        vectors = pa.field(self._new_column, pa.list_(pa.float32(), spec.d), metadata=mark)
        fields = [pa.field(spec.id_name, spec.id_type), *(spec.schema or ()), vectors]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._connect().create_table(self._name, schema=pa.schema(fields, mark))

    def creation(self, *, vector_only: bool = False) -> str | None:
        """Return the migration that the metadata of the table or of the column names."""
        schema = self._table().schema
        job = ((schema.field(self._layout(schema)[1]) if vector_only else schema).metadata or {}).get(_MARK)
        return None if job is None else migration_mark(job.decode("utf-8", "replace"))

    def prepare(self, spec: Spec, committed: int) -> None:
        """Open the table once for all batches."""
        super().prepare(spec, committed)
        self._opened = self._connect().open_table(self._name)

    def upsert(self, records: Records) -> None:
        """Merge rows by id."""
        table = self._opened if self._opened is not None else self._table()
        key, name, _ = self._layout(table.schema)
        columns = {key: records.ids, name: to_column(np.asarray(records.vectors, np.float32))}
        if records.payload is not None:
            columns |= dict(zip(records.payload.schema.names, records.payload.columns, strict=True))
        with self._errors("did not take the rows"):
            rows = pa.table({field.name: columns[field.name] for field in table.schema}).cast(table.schema)
            merge = table.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
            result = merge.execute(rows)
        done = result.num_updated_rows + result.num_inserted_rows
        if done != len(records):
            raise InputError(
                f"{self.url}: {done:,} of {count_of(len(records))} were written.",
                "Run {rollback} to undo the migration, and report this.",
            )

    def finish(self) -> None:
        """Compact the fragments and build an index if there are enough rows for one."""
        table, metric = self._table(), self._spec.metric if self._spec else "cosine"
        _, name, _ = self._layout(table.schema)
        with self._errors("cannot be indexed"):
            table.optimize()
            if table.count_rows() >= _INDEXED_ROWS and not table.list_indices():
                table.create_index(metric=metric, vector_column_name=name, index_type="IVF_FLAT")

    def delete(self, ids: pa.Array) -> None:
        """Delete rows."""
        table = self._table()
        with self._errors("cannot be written"):
            table.delete(self._among(table, ids))

    def drop(self, *, vector_only: bool = False) -> None:
        """Remove the table."""
        if self._table_folder.is_dir():
            self._connect().drop_table(self._name)

    def _connect(self) -> Any:
        with self._errors("cannot be opened"):
            return self._lancedb.connect(str(self._folder))

    def _table(self) -> Any:
        if not self.exists():
            raise self._missing(sorted(path.stem for path in self._folder.glob("*.lance")))
        with self._errors("cannot be opened"):
            return self._connect().open_table(self._name)

    def _among(self, table: Any, ids: pa.Array) -> str:
        """Return the condition that a row has one of these ids."""
        listed = ", ".join(map(_literal, ids.to_pylist()))
        return f"{_quoted(self._layout(table.schema)[0])} in ({listed})"

    def _layout(self, schema: pa.Schema) -> tuple[str, str, int]:
        """Return id column, vector column and width."""
        usable = [
            f.name for f in schema if pa.types.is_fixed_size_list(f.type) and pa.types.is_floating(f.type.value_type)
        ]
        requested = self.url.names[1] if len(self.url.names) > 1 else None
        try:
            name = choose_vectors(usable, schema.names, requested, "column", str(self.url))
        except AmbiguousVectorsError as error:
            raise InputError(error.args[0], f"Name one in the address, {self._example}.") from error
        if name not in usable:
            raise InputError(
                f"{self.url}: column {name!r} is {schema.field(name).type}; a fixed-size list of floats is needed."
            )
        key = self.url.options.get("id") or next((name for name in ID_NAMES if name in schema.names), None)
        if key is None or key not in schema.names:
            raise InputError(f"{self.url}: no id column{f' {key}' if key else ''}; name it id or say ?id=COLUMN.")
        return key, name, int(schema.field(name).type.list_size)

    def _payload_schema(self, schema: pa.Schema) -> pa.Schema | None:
        key, name, _ = self._layout(schema)
        fields = [field for field in schema if field.name not in {key, name}]
        return pa.schema(fields) if fields else None

    def _records(self, page: pa.Table, name: str, d: int) -> Records:
        schema = self._payload_schema(page.schema)
        key = self._layout(page.schema)[0]
        ids = plain_ids(page[key], key, str(self.url))
        payload = None if schema is None else page.select(schema.names)
        return Records(
            ids, to_matrix(page[name], name, str(self.url), d=d, ids=ids, bad_as_nan=self._bad_as_nan), payload
        )


def _metric(table: Any, name: str) -> Metric | None:
    """Return the distance of the index of a column, ``None`` without an index."""
    indexes = [table.index_stats(index.name) for index in table.list_indices() if index.columns == [name]]
    return next((_METRICS.get(str(index.distance_type).lower()) for index in indexes if index), None)


def _has_map(kind: pa.DataType) -> bool:
    """Return whether a type is a map, or contains one."""
    return pa.types.is_map(kind) or any(_has_map(kind.field(i).type) for i in range(kind.num_fields))


def _literal(value: int | str) -> str:
    """Return an id as it is written in a condition; LanceDB would read the digits of the smallest number as a float."""
    return f"cast('{value}' as bigint)" if value == -(2**63) else sql_literal(value)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
