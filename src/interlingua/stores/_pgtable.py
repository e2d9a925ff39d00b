"""A table of PostgreSQL: the connection to it, its description in the catalogs, and its rows in pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import pyarrow as pa

from interlingua.core.arguments import shown
from interlingua.core.arrays import require
from interlingua.core.errors import InputError, InterlinguaError
from interlingua.core.records import Records
from interlingua.stores import _pgcatalog as catalog
from interlingua.stores import _pgtypes as pgtypes
from interlingua.stores._base import TableAdapter, first_line, null_ids
from interlingua.stores._names import list_names
from interlingua.stores._protocol import Spec
from interlingua.stores._url import StoreURL

# A type with its length or precision, in characters that end nothing in SQL.
_WITH_LENGTH = re.compile(r"[a-z ]+\(\d+(,\d+)?\)( [a-z ]+)?(\[\])*")


class PostgresTable(TableAdapter):
    """The connection, the catalog and the rows of a table; `PostgresStore` reads and writes through it."""

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        self._psycopg = require("psycopg", "postgres")
        self._sql = require("psycopg.sql", "postgres")
        self._table = self._sql.Identifier(*self._table_names)
        # Whether columns whose type Arrow has are read as text all the same, by name.
        self._as_text: dict[str, bool] = {}
        passed = {name: value for name, value in url.options.items() if name != "id"}
        settings: dict[str, Any] = {"connect_timeout": "10", "application_name": "interlingua", **passed}
        settings |= {"host": url.host or passed.get("host"), "port": url.port, "user": url.user}
        with self._errors("cannot be reached"):
            # Named prepared statements belong to one server connection, which a pool may exchange at any time.
            self._connection = self._psycopg.connect(
                dbname=url.path.removeprefix("/") or None,
                autocommit=True,
                prepare_threshold=None,
                client_encoding="utf8",
                **settings,
            )

    # The table as the catalog describes it.

    def _columns(self) -> dict[str, catalog.Column]:
        return {row[0]: catalog.column(*row) for row in self._run(catalog.COLUMNS)}

    def _vector(self, columns: dict[str, catalog.Column]) -> catalog.Column:
        if not columns:
            listed = list_names(str(name) for (name,) in self._run(catalog.TABLES))
            raise InputError(
                f"{self.url}: there is no such table, or this user may not read it; tables that this user may read "
                f"are: {listed}. Check the name and the user."
            )
        usable = [column for column in columns.values() if column.holds]
        # An array of numbers may be anything; it holds the vectors if it is named, or if no other column can.
        candidates = [column for column in usable if column.of_pgvector] or usable
        vector = next((column for column in usable if column.name == self._column_name), None)
        if self._column_name is None and len(candidates) == 1:
            vector = candidates[0]
        if vector is None:
            listed = ", ".join(column.name for column in candidates) or "none"
            raise InputError(
                f"{self.url}: the vector column must be named, #table.column; vector columns are: {listed}. It has the "
                "type vector or halfvec of pgvector, real[] or double precision[]."
            )
        return vector

    def _width(self, vector: catalog.Column) -> int:
        if vector.width > 0:
            return vector.width
        measure = self._of_pgvector("vector_dims") if vector.of_pgvector else self._sql.SQL("cardinality")
        rows = self._run(
            "select {measure}({name}) from {table} where {measure}({name}) > 0 limit 1",
            measure=measure, name=self._sql.Identifier(vector.name),
        )  # fmt: skip
        if not rows:
            counted = self._one("select count(*) from {table} where {where}", where=self._filter(), read_only=True)[0]
            self._check_filled(0, counted)  # raises an error, as no row has a vector
        return int(rows[0][0])

    def _key(self, columns: dict[str, catalog.Column]) -> catalog.Key:
        names = self._key_names(columns)
        return catalog.Key(self._sql, tuple(columns[name] for name in names))

    def _primary_key(self) -> tuple[str, ...]:
        return next((tuple(names) for is_primary, names, _ in self._run(catalog.UNIQUE) if is_primary), ())

    def _check_key(self, key: catalog.Key) -> None:
        """Refuse ids that are null or that several rows have, unless an index rules them out."""
        unique = [entry for entry in self._run(catalog.UNIQUE) if set(entry[1]) <= set(key.names) and not entry[2]]
        if any(is_primary for is_primary, *_ in unique):
            return
        nulls = self._one(
            "select count(*) from {table} where {where} and num_nulls({key}) > 0",
            key=key.listed(), where=self._filter(), read_only=True,
        )[0]  # fmt: skip
        if nulls:
            raise null_ids(str(self.url), nulls, key.names)
        if unique:
            return
        repeated = self._run(
            "select {id}, count(*) from {table} where {where} group by {key} having count(*) > 1 limit 1",
            id=key.shown(), key=key.listed(), where=self._filter(), read_only=True,
        )  # fmt: skip
        if not repeated:
            return
        value, count = repeated[0]
        positions = []
        if self._one(catalog.TABLE)[0] in {"r", "p", "m"}:
            positions = self._run(
                "select format('%s of %s', ctid, tableoid::regclass) from {table} where {same} limit 2",
                same=key.among([value]),
            )
        named = f", for example ctid {positions[0][0]} and ctid {positions[1][0]}" if len(positions) == 2 else ""
        raise InputError(
            f"{self.url}: {', '.join(key.names)} is not unique: {count:,} rows have the id {shown(value)}{named}. Each "
            "would get the vector of one of them. Name the columns that together form a key: ?id=COLUMN,COLUMN."
        )

    def _id_field(self, key: catalog.Key) -> pa.Field:
        if len(key.columns) > 1:
            return pgtypes.composite_field(key.names)
        return pgtypes.id_field(key.columns[0].name, key.columns[0].kind, whole=key.is_integer)

    def _payload(self, columns: dict[str, catalog.Column]) -> list[pa.Field]:
        key, vector = self._key(columns), self._vector(columns)
        apart = {vector.name, *(key.names if len(key.columns) == 1 else ())}
        kept = [column for column in columns.values() if column.name not in apart and not column.of_pgvector]
        fields = [pgtypes.field(column.name, column.kind) for column in kept]
        return [
            pgtypes.text_field(field.name, column.kind) if self._only_as_text(field, column.kind) else field
            for field, column in zip(fields, kept, strict=True)
        ]

    def _only_as_text(self, field: pa.Field, kind: str) -> bool:
        """Return whether a column holds arrays that Arrow has no type for, or numbers or times beyond its types."""
        if not pgtypes.needs_check(kind):
            return False
        if field.name not in self._as_text:
            tests = []
            if kind.endswith("[]"):
                tests.append("cardinality({name}) > 0 and (array_ndims({name}) > 1 or array_lower({name}, 1) <> 1)")
            if kind.startswith("numeric"):
                tests.append("{name}::text ~ '[a-z]'")  # NaN or infinity
            if kind.startswith(("date", "timestamp")):
                # Python has the years 1 to 9999.
                beyond = "not isfinite(x) or x < '0001-01-01' or x >= '10000-01-01'"
                values = "unnest({name}) u" if kind.endswith("[]") else "(values ({name})) v"
                tests.append(f"exists (select from {values} (x) where {beyond})")
            query = f"select coalesce(bool_or({' or '.join(tests)}), false) from {{table}}"
            self._as_text[field.name] = bool(self._one(query, name=self._sql.Identifier(field.name))[0])
        return self._as_text[field.name]

    def _notes(self, columns: dict[str, catalog.Column], key: catalog.Key, vector: catalog.Column) -> tuple[str, ...]:
        notes = []
        others = [c.name for c in columns.values() if c.of_pgvector and c.name != vector.name]
        if others:
            notes.append(f"Other vector columns are not copied: {', '.join(others)}.")
        if len(key.columns) > 1:
            notes.append(f"An id is the key ({', '.join(key.names)}), as a JSON array of its values.")
        elif not key.is_integer and not pgtypes.is_text(key.columns[0].kind):
            notes.append(f"Ids are {key.columns[0].kind}, written as text where the target is not PostgreSQL.")
        return tuple(notes)

    def _indexes(self, vector: catalog.Column) -> list[catalog.Index]:
        quoted = self._one("select quote_ident({name})", name=self._sql.Literal(vector.name))[0]
        indexes = (catalog.index(row, vector, quoted) for row in self._run(catalog.INDEXES))
        return [index for index in indexes if index is not None]

    def _index(self, vector: catalog.Column) -> catalog.Index | None:
        indexes = self._indexes(vector)
        return next((index for index in indexes if index.usable), indexes[0] if indexes else None)

    @cached_property
    def _extension(self) -> str:
        rows = self._run(catalog.EXTENSION)
        if not rows:
            raise InputError(f"{self.url}: the database has no pgvector. Run create extension vector there first.")
        return str(rows[0][0])

    def _of_pgvector(self, name: str) -> Any:
        return self._sql.Identifier(self._extension, name)

    # Definitions.

    def _definition(self, spec: Spec) -> Any:
        sql, name = self._sql, self._sql.Identifier(self._column_name or "")
        kind = sql.SQL("{}({})").format(self._of_pgvector("vector"), sql.Literal(spec.d))
        if spec.as_new_vector:
            return sql.SQL("alter table {} add column {} {}").format(self._table, name, kind)
        key = pgtypes.composite_key(spec.id_metadata, spec.schema)
        ids = [] if key else [pa.field(spec.id_name, spec.id_type, metadata=spec.id_metadata)]
        parts = [
            sql.SQL("{} {}").format(
                sql.Identifier(field.name), sql.SQL(self._type_of(field, is_id=bool(ids) and number == 0))
            )
            for number, field in enumerate([*ids, *(spec.schema or ())])
        ]
        return sql.SQL("create table {} ({}, {} {}, primary key ({}))").format(
            self._table, sql.SQL(", ").join(parts), name, kind,
            sql.SQL(", ").join(map(sql.Identifier, key or [spec.id_name])),
        )  # fmt: skip

    def _type_of(self, field: pa.Field, *, is_id: bool) -> str:
        """Return the column type for an Arrow field; one named by metadata is looked up and never pasted into SQL."""
        recorded = (field.metadata or {}).get(pgtypes.MARK)
        if recorded is not None:
            kind = recorded.decode("utf-8", "replace")
            # -1 keeps bit and character without a declared length as they are; otherwise they would be cut to length 1.
            query = "select format_type(to_regtype({recorded}), -1)"
            name = self._one(query, recorded=self._sql.Literal(kind))[0]
            if name and name != "-":
                return kind if _WITH_LENGTH.fullmatch(kind) else str(name)
        return "bigint" if is_id and pa.types.is_uint64(field.type) else pgtypes.column_type(field)

    def _check_new_column(self, spec: Spec) -> None:
        kind, owned, *_, is_partition = self._one(catalog.TABLE)
        if kind not in {"r", "p"}:
            raise InputError(f"{self.url} is not a table, so no column can be added. Name a new table as the target.")
        if is_partition:
            raise InputError(
                f"{self.url} is a partition, which has the columns of its parent. Name the parent, or a new table as "
                "the target."
            )
        if not owned:
            raise InputError(
                f"{self.url}: only the owner of the table may add a column. Name a new table as the target."
            )
        if spec.triggers == "skip":
            always = [name for name, is_always in self._run(catalog.TRIGGERS) if is_always]
            if always:
                raise InputError(
                    f"{self.url}: {always[0]} fires always and cannot be skipped. Name a new table as the target."
                )
            with self._errors("cannot skip triggers"), self._connection.transaction(force_rollback=True):
                self._connection.execute("set local session_replication_role = replica")

    # Rows.

    def _filled(self, vector: catalog.Column) -> Any:
        return self._sql.SQL("{} is not null").format(self._sql.Identifier(vector.name))

    def _filter(self, *conditions: Any) -> Any:
        chosen = [] if self._where is None else [self._sql.SQL("(\n{}\n)").format(self._sql.SQL(self._where))]
        every = [*chosen, *conditions]
        return self._sql.SQL(" and ").join(every) if every else self._sql.SQL("true")

    def _pages(self, size: int, *conditions: Any, limit: int | None = None) -> Iterator[Records]:
        columns, sql = self._columns(), self._sql
        key, vector, fields = self._key(columns), self._vector(columns), self._payload(columns)
        d, id_type, name = self._width(vector), self._id_field(key).type, sql.Identifier(vector.name)
        if vector.of_pgvector:
            sent = sql.SQL("{}({})").format(self._of_pgvector(f"{vector.holds}_send"), name)
        else:
            sent = sql.SQL("array_send({}::" + str(vector.holds) + "[])").format(name)
        selected = [key.shown(), *(pgtypes.shown(sql, field) for field in fields), sent]
        query = sql.SQL("select {} from {} where {} order by {} {}").format(
            sql.SQL(", ").join(selected), self._table, self._filter(*conditions), key.listed(),
            sql.SQL("" if limit is None else f"limit {int(limit)}"),
        )  # fmt: skip
        for rows in self._read(query, size):
            ids, *columns_of_payload, vectors = zip(*rows, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns_of_payload, fields, strict=True)]
            payload = pa.table(arrays, schema=pa.schema(fields)) if fields else None
            decoded = pgtypes.decode(vectors, d, ids, str(vector.holds), str(self.url), bad_as_nan=self._bad_as_nan)
            yield Records(pa.array(ids, id_type), decoded, payload)

    def _read(self, query: Any, size: int) -> Iterator[list[tuple[Any, ...]]]:
        with (
            self._transaction("cannot be read", read_only=self._where is not None),
            self._connection.cursor(name="interlingua", binary=True) as cursor,
        ):
            cursor.execute(query)
            while rows := cursor.fetchmany(size):
                yield rows

    # The connection.

    def _run(self, query: str, *, read_only: bool = False, **parts: Any) -> list[tuple[Any, ...]]:
        # Values are quoted literals and not parameters: a % in a column's name would be taken for a placeholder.
        table = self._sql.Literal(self._table.as_string(self._connection)) if "to_regclass" in query else self._table
        with self._transaction("cannot be read", read_only=read_only and self._where is not None):
            # The binary form allows one statement only; a condition given by the user may hold a semicolon.
            cursor = self._connection.cursor(binary=read_only)
            rows: list[tuple[Any, ...]] = cursor.execute(self._sql.SQL(query).format(table=table, **parts)).fetchall()
        return rows

    def _one(self, query: str, **parts: Any) -> tuple[Any, ...]:
        return self._run(query, **parts)[0]

    def _is_pooled(self) -> bool:
        """Return whether the connection goes through a pool such as PgBouncer, which announces another process."""
        return bool(self._one("select pg_backend_pid()")[0] != self._connection.info.backend_pid)

    @contextmanager
    def _transaction(self, action: str, *, read_only: bool = False) -> Iterator[None]:
        with self._errors(action), self._connection.transaction():
            self._connection.execute(catalog.SETTINGS)
            if read_only:
                self._connection.execute("set transaction read only")
            yield

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        errors = self._psycopg.errors
        try:
            yield
        except self._psycopg.Error as error:
            message = f"{self.url} {action}: {first_line(error).rstrip('.')}."
            if isinstance(error, errors.InsufficientPrivilege) and "row-level security" in str(error):
                raise InputError(
                    f"{message} A policy hides rows from this user, so some would be missing. Use the owner or "
                    "a role with BYPASSRLS, or copy the rows that this user sees into a table of its own."
                ) from error
            if isinstance(error, errors.InsufficientPrivilege):
                raise InputError(f"{message} Grant the right, or use another user.") from error
            if isinstance(error, errors.QueryCanceled | errors.LockNotAvailable):
                raise InterlinguaError(f"{message} Something else stopped or blocked it; try again.") from error
            if isinstance(error, self._psycopg.OperationalError):
                raise InterlinguaError(f"{message} Is the server up and the disk not full?") from error
            raise InputError(message) from error
