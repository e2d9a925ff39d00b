"""What the adapters share: checks of addresses and folders, facts of the first rows, and errors of the clients."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.core.records import Records
from interlingua.core.wording import count_of
from interlingua.io._checks import ID_NAMES, no_vectors
from interlingua.stores._conditions import check_condition
from interlingua.stores._names import FILL_IDS, NameRule, list_names
from interlingua.stores._protocol import Spec, Store, StoreInfo
from interlingua.stores._taken import taken_error
from interlingua.stores._url import StoreURL
from interlingua.stores._vectors import is_unit

# Parts of the errors of embedded databases that another process has open: DuckDB, Qdrant, its Edge engine, Milvus Lite.
_IN_USE = re.compile(r"Could not set lock|already accessed by another|WouldBlock|opened by another program")
# Errors of DuckDB and pyarrow for a call that was interrupted.
_INTERRUPTS = frozenset({"InterruptException", "ArrowCancelled"})
_PID = re.compile(r"\(PID (\d+)\)")
# The beginning of every mark that names a migration. A comment of someone else can also begin with "migration".


class Adapter(Store):
    """A store of this package.

    A subclass makes the collection in ``_create``. It may narrow ``_name_counts``, the least and the most names that an
    address has after ``#``, and list in ``_client_errors`` the exceptions that ``_errors`` turns into an `InputError`.
    """

    _name_counts: ClassVar[tuple[int, int]] = (1, 2)
    _collection_noun: ClassVar[str] = "collection"
    _example: ClassVar[str] = "#table.column"
    _client_errors: tuple[type[Exception], ...] = ()
    # The names of new collections, vectors and columns that the store takes. A document checks its own keys.
    _collection_rule: NameRule | None = None
    _vector_rule: NameRule | None = None
    _column_rule: NameRule | None = None

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        least, most = self._name_counts
        if not least <= len(url.names) <= most or (url.host and not url.kind.server):
            addresses = url.kind.addresses
            example = next((address for address in addresses if "#" in address), addresses[0])
            names = f" with its {len(url.names)} names after #" if url.names else ""
            needed = self._address_hint() or f" {example} is needed."
            raise InputError(f"{url} names no {self._collection_noun}{names};{needed}")
        self._spec: Spec | None = None
        self._skips_missing = False

    def present(self, ids: pa.Array) -> Records:
        """Return the rows of these ids that exist, in any order."""
        self._skips_missing = True
        try:
            return self.fetch(ids)
        finally:
            self._skips_missing = False

    def repeated_id(self) -> Any:
        """Return an id that several rows have, in a store that allows them and finds one without reading all rows."""
        return None

    def _address_hint(self) -> str:
        """Return what addresses look like, if the name of a folder or a collection may have been taken for a host."""
        host, kind = self.url.host, self.url.kind
        if not (host and kind.embedded) or self.url.port or host == "localhost":
            return ""
        # An IPv6 address, or a name with a dot; .db is the usual end of a file of Milvus, and of no server.
        if ":" in host or ("." in host and not host.endswith(".db")):
            return ""
        return f" {host!r} was read as the name of a server. Write {' or '.join(kind.addresses)}."

    @property
    def _new_column(self) -> str | None:
        """The column of vectors in a new collection; ``None`` where a vector is not a column of the rows."""
        return None

    def restrict(self, *, where: str | None = None, skip_null: bool = False, bad_as_nan: bool = False) -> None:
        """Read only some rows from now on; a condition that would change the SQL that it is put into is refused."""
        super().restrict(where=where, skip_null=skip_null, bad_as_nan=bad_as_nan)
        if where is not None:
            check_condition(where, str(self.url))

    def check(self, spec: Spec) -> None:
        """Refuse names that the store does not take, and columns of the same name."""
        super().check(spec)
        self._check_names(spec)
        if self._new_column is not None and not spec.as_new_vector:
            self._check_distinct_names(spec, self._new_column)

    def _check_names(self, spec: Spec) -> None:
        """Refuse names that the store does not take: those in the address and those of columns that would be made."""
        own = self._new_column or (self.url.names[-1] if len(self.url.names) > 1 else None)
        vectors = [name for name in (own,) if name is not None]
        ids, columns = list[str](), list[str]()
        if not spec.as_new_vector and self._new_column is not None:
            ids = [spec.id_name]
        if not spec.as_new_vector and self.capabilities.payload == "typed" and spec.schema is not None:
            columns = spec.schema.names
        for rule, what, names, remedy in (
            (self._collection_rule, self._collection_noun, self._new_names, "Choose another name."),
            (self._vector_rule or self._column_rule, "vector", vectors, "Choose another name in the address."),
            (self._column_rule, "column", ids, "Choose another name after ?id= in the address."),
            (self._column_rule, "column", columns, "Rename it, or leave the payload out with {drop_payload}."),
        ):
            for name in names:
                if rule is not None and not rule.allows(name):
                    raise rule.refusal(what, name, str(self.url), remedy)

    @property
    def _new_names(self) -> tuple[str, ...]:
        """The names of the collection in the address, without that of its vectors."""
        return self.url.names[:1]

    def create(self, spec: Spec) -> None:
        """Make the empty collection, or an empty vector in an existing one."""
        self.check(spec)
        if self.is_taken(spec):
            raise taken_error(self, spec)
        with self._errors("cannot be created"):
            self._create(spec)

    @abstractmethod
    def _create(self, spec: Spec) -> None:
        """Make what `create` has checked."""

    def prepare(self, spec: Spec, committed: int) -> None:
        """Remember what is written."""
        self._spec = spec

    def _check_distinct_names(self, spec: Spec, vector: str) -> None:
        """Refuse a new collection in which two columns would have the same name."""
        taken = {self._folded(spec.id_name): f"column of the ids is {spec.id_name!r}"}
        for name in () if spec.schema is None else spec.schema.names:
            if self._folded(name) in taken:
                raise InputError(
                    f"{self.url}: the payload has a column {name!r} and the {taken[self._folded(name)]}, which are one "
                    "name here. Rename one,",
                    "choose another target, or leave the payload out with {drop_payload}.",
                )
            taken[self._folded(name)] = f"payload has a column {name!r}"
        if self._folded(vector) in taken:
            raise InputError(
                f"{self.url}: the {taken[self._folded(vector)]}; name another vector column, {self._example}."
            )

    @staticmethod
    def _folded(name: str) -> str:
        """Return what two names of columns have in common if they are one name to the store."""
        return name

    @property
    def _fills_vector(self) -> bool:
        """Whether a new vector of existing rows is written, and not the rows themselves."""
        return self._spec is not None and self._spec.as_new_vector

    def _check_filled(self, count: int, nulls: int = 0, noun: str = "row") -> None:
        """Refuse a collection without a vector."""
        if not (count or nulls) and self._where is not None:
            raise InputError(f"{self.url}: no row meets the condition {self._where!r}; at least 1 row is needed.")
        if nulls and not count:
            chosen = "" if self._where is None else f" that meet{'s' if nulls == 1 else ''} {self._where!r}"
            raise no_vectors(self.url, nulls, noun=noun, which=chosen)
        if not count:
            raise InputError(f"{self.url} is empty; at least 1 row is needed. Name a collection that has rows.")

    def _describe(self, first: Records, count: int, nulls: int = 0, **facts: Any) -> StoreInfo:
        """Return the facts of a collection; those that are not given are taken from its first rows."""
        defaults = {
            "d": first.vectors.shape[1],
            "metric": None,
            "normalized": is_unit(first.vectors),
            "id_type": first.ids.type,
            "schema": None if first.payload is None else first.payload.schema,
            "first_null": repr(next(self.skipped(1))[0].as_py()) if nulls else None,
        }
        return StoreInfo(count=count, nulls=nulls, **{**defaults, **facts})

    def _in_order(self, records: Records | None, ids: pa.Array) -> Records:
        """Return the rows of these ids in their order; ``None`` stands for no rows."""
        if records is None:
            records = Records(ids.slice(0, 0), np.empty((0, 0), np.float32))
        if self._skips_missing:
            return records
        return records.in_order_of(ids, str(self.url))

    def _missing(self, existing: Iterable[str], noun: str | None = None) -> InputError:
        """Return the error for a collection or vector that does not exist, with the names of those that do."""
        if self.url.on_disk and not Path(self.url.path).exists():
            return missing_path(self.url)
        listed = list_names(name or "(unnamed)" for name in existing)
        return InputError(f"{self.url} does not exist; {noun or f'{self._collection_noun}s are'}: {listed}.")

    def _conditions(self, *conditions: str) -> str:
        """Return the condition of `restrict` and others, joined as SQL."""
        return " and ".join([*([] if self._where is None else [f"({self._where}\n)"]), *conditions])

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        """Turn errors of the client into one that begins with the address and ``action``, such as "cannot be read"."""
        try:
            with raising_interrupts():
                yield
        except InterlinguaError:
            raise
        except self._client_errors as error:
            reason = self._in_use(error) or self._reason(error)
            if self._is_outage(error):
                raise InterlinguaError(f"{self.url} {action}: {reason}{self._address_hint()}") from error
            raise InputError(f"{self.url} {action}: {reason}") from error

    def _is_outage(self, error: Exception) -> bool:
        """Return whether an error of the client says that its server does not answer."""
        return False

    def _reason(self, error: Exception) -> str:
        """Return what an error of the client says."""
        return first_line(error)[:300]

    def _in_use(self, error: Exception) -> str:
        """Return what to do if the error says that another process has the database open, otherwise an empty text."""
        if self.url.host or not _IN_USE.search(str(error)):
            return ""
        found = _PID.search(str(error))
        process = f"another process (PID {found[1]})" if found else "another process"
        return (
            f"{process} has {self.url.path} open. Close it there and try again. To read only, you can also copy it and "
            "name the copy in the address."
        )


class TableAdapter(Adapter):
    """One vector column of a table in SQL: ``#table``, ``#table.column`` or ``#schema.table.column``."""

    _name_counts = (1, 3)
    _collection_noun = "table"

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        self._table_names = url.names[:2] if len(url.names) == 3 else url.names[:1]
        self._column_name = url.names[-1] if len(url.names) > 1 else None

    def exists(self) -> bool:
        """Return whether the column exists; a missing file is not made."""
        columns = self._columns()
        return bool(columns) and (self._column_name is None or self._column_name in columns)

    def check(self, spec: Spec) -> None:
        """Refuse a target without a column name, and one that another column has."""
        super().check(spec)
        if self._column_name is None:
            raise InputError(f"{self.url} names no column to write to; #table.column is needed.")

    @property
    def _new_column(self) -> str | None:
        return self._column_name

    @property
    def _new_names(self) -> tuple[str, ...]:
        return self._table_names

    def since(self, column: str, value: str) -> str:
        """Return the condition that a column is at least a value, which the database converts to the column's type."""
        columns = self._columns()
        if column not in columns:
            raise InputError(f"{self.url}: there is no column {column!r}; the table has {', '.join(columns)}.")
        quoted = column.replace('"', '""')
        return f'"{quoted}" >= {sql_literal(value)}'

    @abstractmethod
    def _columns(self) -> Mapping[str, Any]:
        """Return a description of each column of the table, by its name."""

    def _key_names(self, columns: Collection[str]) -> tuple[str, ...]:
        """Return the columns that identify a row together: those of ``?id=``, the primary key, or one of a usual name.

        Args:
            columns: of the table.

        Raises:
            InputError: there are none.
        """
        named, stored = self.url.options.get("id"), {self._folded(name): name for name in columns}
        if named is not None:
            names = (named,) if self._folded(named) in stored else tuple(named.split(","))
        else:
            names = self._primary_key() or tuple(name for name in ID_NAMES if self._folded(name) in stored)[:1]
        names = tuple(stored.get(self._folded(name), name) for name in names)
        if not names or not set(names) <= set(columns):
            missing = f" {named}" if named else ""
            raise InputError(
                f"{self.url}: no id column{missing}; a primary key, a column id, or ?id=COLUMN is needed. A key "
                "of several columns is ?id=COLUMN,COLUMN."
            )
        return names

    @abstractmethod
    def _primary_key(self) -> tuple[str, ...]:
        """Return the columns of the primary key of the table."""


@contextmanager
def raising_interrupts() -> Iterator[None]:
    """Turn the error by which a client reports Ctrl-C or SIGTERM during a call into a `KeyboardInterrupt`."""
    try:
        yield
    except Exception as error:
        # DuckDB raises a RuntimeError in place of the exception of the handler of the signal.
        if str(error) == "Query interrupted" or type(error).__name__ in _INTERRUPTS:
            raise KeyboardInterrupt from error
        raise


def missing_path(url: StoreURL) -> InputError:
    """Return the error for a file or folder of this machine that does not exist, with the other form of its address.

    Where a folder has the name of the file, the error says so.
    """
    if Path(url.path).is_dir():
        return InputError(f"{url}: {url.path} is a folder, and the path of a file is needed.")
    relative = str(replace(url, path=f"{'./' if url.kind.server else ''}{url.path.lstrip('/')}"))
    hint = "The path is relative to this folder; with three slashes it is absolute."
    if Path(url.path).is_absolute():
        hint = f"With two slashes the path is relative to this folder: {relative}."
    return InputError(f"{url}: {url.path} does not exist. {hint}")


def made_meanwhile(path: Path) -> OutputExistsError:
    """Return the error for a file that appeared at the place of a target while its rows were written elsewhere."""
    return OutputExistsError(
        f"{path} was made by something else while the rows of a migration to it were written, and is not replaced.",
        "Move it away, then go on with {resume}.",
    )


def first_line(error: Exception | str) -> str:
    """Return the first line of a client's error; some clients append whole stack traces."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def plain_ids(ids: pa.Array | pa.ChunkedArray, name: str, where: str) -> pa.Array:
    """Return ids as one array, with 32-bit offsets where they are text.

    Raises:
        InputError: some are null.
    """
    if ids.null_count:
        raise null_ids(where, ids.null_count, (name,))
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    return ids.cast(pa.string()) if pa.types.is_large_string(ids.type) else ids


def null_ids(where: str, count: int, names: Collection[str]) -> InputError:
    """Return the error for ids that are null, or of which a part is null."""
    what = f"{count_of(count, 'id')} in {', '.join(map(repr, names))} {'is' if count == 1 else 'are'} null"
    return InputError(
        f"{where}: {what}; every row needs an id{' without a null' if len(names) > 1 else ''}. {FILL_IDS}"
    )


def sql_literal(value: Any) -> str:
    """Return a whole number or a text as it is written in SQL."""
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
