"""A table of a DuckDB file: what its columns are for, which types are read as text, and the shared connection."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from interlingua.core.records import json_field

# Types that Arrow lacks: their values would be cut or lose their zone. They are read as text with a mark, from which
# another DuckDB file gets the same type.
_AS_TEXT = re.compile(r"\b(U?HUGEINT|INTERVAL|TIME WITH TIME ZONE|BIT|BIGNUM|VARINT|UNION)\b")
_MARK = b"interlingua.duckdb"
_TYPE = re.compile(r"""[\w ,()"\[\]]+""")


@dataclass(frozen=True)
class Layout:
    """What the columns of a table are for.

    Attributes:
        key: columns that identify a row together.
        vector: name of the vector column.
        d: width of the vectors.
        payload: Arrow fields of the payload, by name; ``None`` where DuckDB's own choice of type is right.
        others: other vector columns, which are not payload.
        is_text: whether the key is one column of text.
    """

    key: tuple[str, ...]
    vector: str
    d: int
    payload: dict[str, pa.Field | None]
    others: tuple[str, ...]
    is_text: bool = False

    @property
    def id(self) -> str:
        """Return the expression of the id: the key, or a JSON array of its columns."""
        if len(self.key) == 1:
            # A collation such as NOCASE would take ids for equal that differ only in upper and lower case.
            return quoted(self.key[0]) + (' collate "binary"' if self.is_text else "")
        # The id is null if a part of it is, like that of a key of one column.
        return f"case when not {self.has_null} then json_array({', '.join(map(quoted, self.key))})::varchar end"

    @property
    def has_null(self) -> str:
        """Return the condition that a column of the key is null."""
        return f"({' or '.join(f'{quoted(name)} is null' for name in self.key)})"

    @property
    def columns(self) -> str:
        """Return the columns of a page as SQL: id, vector, payload."""
        payload = (quoted(name) + ("" if field is None else "::varchar") for name, field in self.payload.items())
        return ", ".join([self.id, quoted(self.vector), *payload])


class Database:
    """A file that the stores of this process share, opened for reading until something is written."""

    def __init__(self, duckdb: Any, path: Path) -> None:
        self._duckdb, self._path = duckdb, path
        self._connection: Any = None
        self._writes = False

    def connection(self, *, write: bool = False) -> Any:
        """Return the connection, which is opened anew for the first write."""
        if self._connection is None or (write and not self._writes):
            self.close()
            self._writes = write
            # Otherwise a large sort would write temporary files into the folder of the database. They hold rows, so
            # only this user may read them.
            folder = tempfile.mkdtemp(prefix="interlingua-")
            self._remove_temporary = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            config = {"temp_directory": folder}
            self._connection = self._duckdb.connect(str(self._path), read_only=not write, config=config)
            # For all cursors: the text of a time, also as a part of an id, depends on it.
            self._connection.execute("set global timezone = 'UTC'")
        return self._connection

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._remove_temporary()


@lru_cache(maxsize=1024)
def kept_field(duckdb: Any, schema: bytes) -> pa.Field:
    """Return a payload column as it is read from a new table. DuckDB decides it, in a database that is slow to open.

    Args:
        duckdb: the module.
        schema: the serialized schema of the column alone; metadata do not take part in the equality of fields.
    """
    field = pa.ipc.read_schema(pa.py_buffer(schema)).field(0)
    cursor = duckdb.connect()
    try:
        cursor.execute("set timezone = 'UTC'")
        cursor.register("interlingua_rows", pa.schema([widened(field)]).empty_table())
        cursor.execute(f"create table kept as select {column_of(field)} from interlingua_rows")
        kind = cursor.execute("select data_type from duckdb_columns() where table_name = 'kept'").fetchall()[0][0]
        stored = cursor.sql("from kept").to_arrow_table().schema.field(0)
    finally:
        cursor.close()
    return payload_field(field.name, kind) or stored


def payload_field(name: str, kind: str) -> pa.Field | None:
    """Return the Arrow field of a payload column that is read as text, ``None`` for all others."""
    if kind == "JSON":
        return json_field(name).with_metadata({**json_field(name).metadata, _MARK: b"JSON"})
    return pa.field(name, pa.string(), metadata={_MARK: kind.encode()}) if _AS_TEXT.search(kind) else None


def column_of(field: pa.Field) -> str:
    """Return the expression that makes a column of a new table from an Arrow field."""
    kind = (field.metadata or {}).get(_MARK, b"").decode()
    # The mark may come from a file of another program, so it is checked before it becomes part of a statement.
    typed = _TYPE.fullmatch(kind)
    return quoted(field.name) + (f"::{kind} as {quoted(field.name)}" if typed else "")


def widened(field: pa.Field) -> pa.Field:
    """Return a field that DuckDB takes: it has no float of 16 bits."""
    return field.with_type(pa.float32()) if pa.types.is_float16(field.type) else field


def is_vector(kind: str) -> bool:
    """Return whether a type is an array of floats of fixed width."""
    base, _, width = kind.partition("[")
    return base in {"FLOAT", "DOUBLE"} and width.endswith("]") and width[:-1].isdigit()


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
