"""Check that a store can hold ids, and that they are unique, in one pass that keeps eight bytes per row."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from interlingua.core.arguments import shown
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.stores._names import FILL_IDS
from interlingua.stores._protocol import Store


def check_int64(ids: pa.Array, where: str) -> None:
    """Refuse whole numbers that 64 bits with sign do not hold.

    Raises:
        InputError: one is too large.
    """
    if pa.types.is_uint64(ids.type) and (largest := pc.max(ids).as_py() or 0) > 2**63 - 1:
        raise InputError(
            f"{where}: the id {largest} is too large; whole numbers below 2**63 are needed.",
            "Write the ids as text with {ids_as_text}, or choose another target.",
        )


def check_text_ids(ids: pa.Array, where: str, title: str, least: int, most: int | None = None) -> None:
    """Refuse ids of text that are shorter or longer than a store takes.

    Args:
        ids: numbers are not looked at.
        where: the address, for the message.
        title: name of the store.
        least: fewest bytes of an id.
        most: most bytes of an id, ``None`` for any number.

    Raises:
        InputError: one is too short or too long.
    """
    if not pa.types.is_string(ids.type):
        return
    lengths = pc.binary_length(ids).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((lengths < least) | (lengths > (np.inf if most is None else most)))
    if len(wrong):
        value, length = ids[int(wrong[0])].as_py(), int(lengths[wrong[0]])
        needed = f"at least {least} byte is" if length < least else f"at most {most:,} bytes are"
        raise InputError(
            f"{where}: the id {value[:40]!r}{'...' if len(value) > 40 else ''} has {count_of(length, 'byte')}, and "
            f"{needed} needed by {title}. Shorten or fill it, or choose another target."
        )


def check_none_repeated(source: Store) -> None:
    """Refuse an id that several rows have, in a store that finds it without reading all rows.

    Raises:
        InputError: there is one.
    """
    from interlingua.stores._base import Adapter

    value = source.repeated_id() if isinstance(source, Adapter) else None
    if value is not None:
        raise _not_unique(str(source.url), f"several rows have the id {shown(value)}")


def _not_unique(where: str, rows: str) -> InputError:
    return InputError(
        f"{where}: ids are not unique: {rows}, and each would get the vector of one of them. Name a column whose "
        "values are distinct, or make one of the columns that together form a key."
    )


class DistinctIds:
    """Collects ids page by page and refuses repeated ones at the end.

    Whole numbers are kept as they are, texts by Python's hash of 64 bits, whose key is drawn for each process. Equal
    hashes are looked up in the rows themselves before anything is refused.

    Args:
        kind: type of the ids that the first rows have.
        where: the address, for refusals.
    """

    def __init__(self, kind: pa.DataType, where: str) -> None:
        self._kind, self._where = kind, where
        self._parts: list[npt.NDArray[np.int64]] = []

    def add(self, ids: pa.Array, page: int) -> None:
        """Add the ids of the next page.

        Raises:
            InputError: they are null, or of another kind than those before.
        """
        if ids.null_count:
            nulls = f"{count_of(ids.null_count, 'id')} on page {page} {'is' if ids.null_count == 1 else 'are'} null"
            raise InputError(f"{self._where}: {nulls}; every row needs an id. {FILL_IDS}")
        rows = sum(map(len, self._parts))
        if ids.type != self._kind:
            raise InputError(
                f"{self._where}: ids are {self._kind} up to row {rows} and {ids.type} from id {shown(ids[0].as_py())} "
                "on; one type is needed. Migrate the rows of each kind separately."
            )
        self._parts.append(_numbers(ids))

    def check_distinct(self, source: Store, size: int) -> None:
        """Refuse ids that several rows have; reads the source again only if two hashes are equal.

        Raises:
            InputError: an id that two rows have, with their numbers in the order of the scan.
        """
        numbers = np.concatenate(self._parts) if self._parts else np.empty(0, np.int64)
        self._parts = [numbers]
        numbers.sort()
        repeated_numbers = numbers[1:][numbers[1:] == numbers[:-1]]
        if not len(repeated_numbers):
            return
        with closing(source.scan(size)) as pages:  # type: ignore[type-var]
            repeated = _first_repeated((records.ids for records, _ in pages), np.unique(repeated_numbers))
        if repeated is not None:
            value, first, second = repeated
            raise _not_unique(self._where, f"rows {first} and {second} both have the id {shown(value)}")


def _numbers(ids: pa.Array) -> npt.NDArray[np.int64]:
    if pa.types.is_uint64(ids.type):
        return np.asarray(ids.to_numpy(zero_copy_only=False).view(np.int64))
    if pa.types.is_integer(ids.type):
        return np.asarray(ids.to_numpy(zero_copy_only=False), np.int64)
    return np.fromiter(map(hash, ids.to_pylist()), np.int64, len(ids))


def _first_repeated(pages: Iterable[pa.Array], suspects: npt.NDArray[np.int64]) -> tuple[object, int, int] | None:
    seen: dict[object, int] = {}
    start = 0
    for ids in pages:
        for i in np.flatnonzero(np.isin(_numbers(ids), suspects)):
            value, row = ids[int(i)].as_py(), start + int(i)
            if value in seen:
                return value, seen[value], row
            seen[value] = row
        start += len(ids)
    return None
