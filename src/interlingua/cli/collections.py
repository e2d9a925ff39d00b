"""Collections of a store as inputs of a fit or an evaluation, read by the readers of a migration."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.arguments import shown
from interlingua.core.arrays import usable_rows
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError
from interlingua.core.values import named_row, python_values
from interlingua.core.wording import count_of, first_of, text_of

if TYPE_CHECKING:
    import pyarrow as pa

    from interlingua.core.arrays import FloatArray
    from interlingua.core.records import Records
    from interlingua.io import VectorFile
    from interlingua.stores import Store

__all__ = [
    "Collection",
    "Paired",
    "check_same_order",
    "file_of",
    "ids_as_text",
    "missing_ids",
    "open_rows",
    "read_others",
    "read_rows_of_ids",
    "read_same_ids",
    "repeated_id",
    "says_translated",
]

_PAGE_ROWS = 4_096
_PAIR_BY_IDS = "Sort the files alike, or pair their rows by the ids: write an input as file://PATH?id=COLUMN."


class Collection:
    """A collection of a store, with the attributes of a `VectorFile` that a fit reads.

    Attributes:
        path: the address.
        title: the names in the address, or the name of its file.
        n: number of rows with a vector for which the condition holds.
        d: width of the vectors.
        names: names of the payload columns.
        nulls: number of rows without a vector, which are left out.
    """

    def __init__(
        self, address: str, where: str | None = None, argument: str = "where", *, skip_bad: bool = False
    ) -> None:
        self._store = open_rows(address, where, argument, bad_as_nan=skip_bad)
        try:
            info = self._store.info()
        except BaseException:
            self._store.close()
            raise
        url = self._store.url
        self.path = str(url)
        self.title = ".".join(url.names) or text_of(Path(url.path).stem)
        self.n, self.d, self.nulls = info.count, info.d, info.nulls
        self.names: tuple[str, ...] = () if info.schema is None else tuple(info.schema.names)

    @property
    def file(self) -> VectorFile | None:
        """The file that the address names; None for a collection of a database."""
        from interlingua.stores.files import FileStore

        return self._store.file if isinstance(self._store, FileStore) else None

    def is_migrated(self) -> bool:
        """Return whether the collection says that a migration wrote its vectors."""
        return self._store.is_migrated()

    def batches(self) -> Iterator[Records]:
        """Yield all rows, in an order that does not change."""
        return (records for records, _ in self._store.scan(_PAGE_ROWS))

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def says_translated(side: VectorFile | Collection) -> bool:
    """Return whether a mark says that the vectors of a file or a collection are translations.

    Raises:
        InterlinguaError: the mark cannot be read.
    """
    if isinstance(side, Collection):
        return side.is_migrated()
    from interlingua.stores._origin import is_translation

    return is_translation(side.origin)


def open_rows(address: str, where: str | None = None, argument: str = "where", *, bad_as_nan: bool = False) -> Store:
    """Open a store for reading without the rows that have no vector, if it can leave them out.

    Args:
        address: of the store.
        where: a condition that the rows have to meet, in the store's own language.
        argument: the name under which the caller took the condition.
        bad_as_nan: read vectors that cannot be used as NaN.

    Raises:
        InputError: the store cannot be opened, or cannot select rows by a condition.
    """
    from interlingua.stores import open_source

    store = open_source(address)
    try:
        store.restrict(where=where, skip_null="skip_null" in store.capabilities.selects, bad_as_nan=bad_as_nan)
    except InputError as error:
        store.close()
        error.rename_argument("where", argument)
        raise
    except BaseException:
        store.close()
        raise
    return store


def file_of(address: str) -> Path | None:
    """Return the path of a file, or ``-``, from an address that has no more than it; any other is opened as a store.

    Raises:
        InputError: it is neither a path nor the address of a store.
    """
    from interlingua.stores._url import parse_url

    url = parse_url(address)
    return Path(url.path) if url.scheme == "file" and not url.names and not url.options else None


def ids_as_text(ids: pa.Array) -> list[str | None]:
    """Return ids as text, by which rows are matched; None for a row without an id, which is matched with none."""
    return [None if key is None else str(key) for key in ids.to_pylist()]


def repeated_id(side: VectorFile | Collection, key: str) -> InputError:
    """Return the error about an id that more than one row of a side has."""
    return InputError(f"{side.path} has the id {shown(key)} more than once, so its partner is not known.")


@dataclass(frozen=True, eq=False)
class Paired:
    """Rows with the same ids.

    Attributes:
        vectors: [n, d_source] and [n, d_target].
        names: n names of the source rows and of the target rows: ids, and the values of a column where one is shown.
        keys: their n ids as text.
        left_out: ids on both sides whose rows were read and left out, because a vector of them cannot be used.
    """

    vectors: tuple[FloatArray, FloatArray]
    names: tuple[list[Any], list[Any]]
    keys: list[str]
    left_out: tuple[str, ...] = ()


def missing_ids(what: object, remedy: str = "") -> InputError:
    """Return the error for a side without ids.

    Args:
        what: what has no ids, for the message.
        remedy: what can be done instead of adding ids.
    """
    advice = "Add a column of ids, as a .parquet or .jsonl file can have it."
    return InputError(f"{what} has no ids, and rows are matched by their ids. {advice}", remedy)


def read_same_ids(
    sides: Sequence[VectorFile | Collection],
    *,
    rows: int | None,
    seed: int,
    show: Sequence[str | None] = (None, None),
    skip_bad: bool = False,
    on_rows: OnRows | None = None,
) -> Paired:
    """Return the rows whose ids both sides have. Ids are compared as text.

    The smaller side, or a sample of it, is held in memory, and the larger one is read once.

    Args:
        sides: source and target.
        rows: number of rows of the smaller side to draw at random; None for all.
        seed: of the draw.
        show: a column of each side whose values are added to the ids.
        skip_bad: leave out rows whose vector cannot be used; the sides were opened so that they are read.
        on_rows: called with the phase, the rows of a side read so far and its number of rows, when a page has been
            read.

    Raises:
        InputError: a side has no ids, repeated ones or no such column, or fewer than two ids are on both sides.
    """
    from interlingua.core.records import report_rows, select_rows

    for side, column in zip(sides, show, strict=True):
        if column is not None and column not in side.names:
            raise InputError(f"--show: {side.path} has no column {column!r}; its columns are {_listed(side)}.")
    order = [0, 1] if sides[0].n <= sides[1].n else [1, 0]
    small, large = (sides[i] for i in order)
    drawn = np.arange(small.n)
    if rows is not None and rows < small.n:
        drawn = np.sort(np.random.default_rng(seed).choice(small.n, rows, replace=False))
    first_pages, second_pages = (report_rows(side.batches(), side.n, on_rows) for side in (small, large))
    left_out: list[list[str] | None] = [[], []] if skip_bad else [None, None]
    chosen = _by_id(select_rows(first_pages, drawn), small, show[order[0]], left_out[0])
    unusable = dict.fromkeys(left_out[0] or ())
    matched = _by_id(second_pages, large, show[order[1]], left_out[1], among=chosen.keys() | unusable.keys())
    without = dict.fromkeys(left_out[1] or ())
    # A row without a partner would not be used either way.
    missing = [key for key in unusable if key in matched or key in without]
    keys = [key for key in chosen if key in matched]
    if len(keys) < 2:  # noqa: PLR2004
        raise InputError(
            f"{len(keys):,} of {count_of(len(chosen), 'id')} of {small.path} {'is' if len(keys) == 1 else 'are'} also "
            f"in {large.path}; at least 2 are needed.{_without_vector(small, len(unusable))}"
            f"{_without_vector(large, len(without))} Rows of a store are paired by their ids, and ?id=COLUMN in an "
            "address names the column that holds them."
        )
    found = [[side[key] for key in keys] for side in (chosen, matched)]
    first, second = (found[order.index(i)] for i in (0, 1))
    return Paired(
        (np.stack([vector for vector, _ in first]), np.stack([vector for vector, _ in second])),
        ([name for _, name in first], [name for _, name in second]),
        keys,
        (*missing, *(key for key in without if key not in unusable)),
    )


def _without_vector(side: VectorFile | Collection, unusable: int) -> str:
    """Return a sentence that counts the rows of a side that were left out, empty where there are none."""
    count = unusable + (side.nulls if isinstance(side, Collection) else len(side.skipped))
    return f" Left out of {side.path}: {count_of(count)} without a usable vector." if count else ""


def read_rows_of_ids(
    side: VectorFile | Collection,
    ids: Sequence[str],
    *,
    what: str,
    of: str,
    gaps: int = 0,
    on_rows: OnRows | None = None,
) -> FloatArray:
    """Return the vectors [n, d] of the rows with n ids, in their order. Ids are compared as text.

    Args:
        side: a file or collection with ids.
        ids: the ids as text.
        what: the side, for messages.
        of: where the ids come from, for messages.
        gaps: number of rows of the side that could not be read; as many ids may be missing, whose vectors are NaN.
        on_rows: as in `read_same_ids`.

    Raises:
        InputError: more ids are missing than rows, an id is there more than once, or `ids` has one more than once.
    """
    from interlingua.core.records import report_rows

    wanted = set(ids)
    if len(wanted) < len(ids):
        repeated = count_of(len(ids) - len(wanted), "repeated id")
        raise InputError(f"{of} has {repeated}, and ids match its rows with those of {what}. Keep one row of each id.")
    found = _by_id(report_rows(side.batches(), side.n, on_rows), side, None, None, among=wanted)
    missing = [key for key in ids if key not in found]
    if len(missing) > gaps:
        first = first_of(len(missing), shown(missing[0]))
        raise InputError(
            f"{what} lacks {len(missing):,} of the {count_of(len(ids), 'id')} of {of}{first}. A vector for each of "
            "them is needed."
        )
    nothing = np.full(side.d, np.nan, np.float32)
    return np.stack([found[key][0] if key in found else nothing for key in ids])


def read_others(
    side: VectorFile | Collection,
    paired: Set[str],
    *,
    rows: int,
    seed: int,
    on_rows: OnRows | None = None,
) -> FloatArray | None:
    """Return rows of a side without those of some ids, drawn at random; None if there are none.

    Args:
        side: a side whose rows have ids.
        paired: ids as text.
        rows: most rows to return.
        seed: of the draw.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.
    """
    from interlingua.core.records import report_rows, select_rows

    if rows < 1:
        return None
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(side.n, min(rows + len(paired), side.n), replace=False))
    pages = list(select_rows(report_rows(side.batches(), side.n, on_rows), drawn))
    kept = [
        page.vectors[usable_rows(page.vectors) & np.array([str(key) not in paired for key in page.ids.to_pylist()])]
        for page in pages
    ]
    found = np.concatenate(kept)
    if not len(found):
        return None
    return found[np.sort(rng.choice(len(found), min(rows, len(found)), replace=False))]


def check_same_order(source: VectorFile, target: VectorFile) -> None:
    """Refuse two files that are paired by row if they have ids that are in both, in another row.

    Files without ids, and files of which no id is in the other one, may be of the same texts in the same order.

    Args:
        source: a file.
        target: the file whose rows belong to those of the first.

    Raises:
        InputError: an id is in both files, in different rows.
    """
    first, second = ([] if ids is None else ids_as_text(ids) for ids in (source.ids(), target.ids()))
    both = set(first) & set(second) - {None}
    rows = (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b and (a in both or b in both))
    row = next(rows, None)
    if row is not None:
        ids = (shown(first[row]), shown(second[row]))
        raise InputError(
            f"Row {row} of {source.path} has the id {ids[0]}, and row {row} of {target.path} {ids[1]}; "
            f"row i of both must be the same text. {_PAIR_BY_IDS}"
        )


def _by_id(
    pages: Iterable[Records],
    side: VectorFile | Collection,
    show: str | None,
    left_out: list[str] | None,
    among: Container[str] | None = None,
) -> dict[str, tuple[FloatArray, Any]]:
    """Return vector and name of each row by its id as text.

    Args:
        pages: rows.
        side: that they are of.
        show: a column whose values are added to the names.
        left_out: receives the ids of rows whose vector cannot be used; None keeps such rows.
        among: return only rows whose ids are among these.

    Raises:
        InputError: no ids, or a repeated one.
    """
    rows: dict[str, tuple[FloatArray, Any]] = {}
    for page in pages:
        usable = np.ones(len(page), bool) if left_out is None else usable_rows(page.vectors)
        for (key, row), is_usable in zip(_rows_of(page, side, show), usable.tolist(), strict=True):
            if key is None:
                continue
            if key in rows:
                raise repeated_id(side, key)
            if among is not None and key not in among:
                continue
            if is_usable:
                rows[key] = row
            elif left_out is not None:
                left_out.append(key)
    return rows


def _rows_of(
    page: Records, side: VectorFile | Collection, show: str | None
) -> Iterator[tuple[str | None, tuple[FloatArray, Any]]]:
    """Yield the id of each row as text, None where it has none, with its vector and its name."""
    if page.ids is None:
        raise missing_ids(side.path)
    keys = page.ids.to_pylist()
    names = keys
    if show is not None and page.payload is not None:
        values = python_values(page.payload.column(show))
        names = [named_row(key, value) for key, value in zip(keys, values, strict=True)]
    return ((key, row) for key, *row in zip(ids_as_text(page.ids), page.vectors, names, strict=True))  # type: ignore[misc]


def _listed(side: VectorFile | Collection) -> str:
    return ", ".join(side.names) or "none"
