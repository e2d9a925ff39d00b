"""Digests of rows, of 64 bits each, computed for a page of rows at once.

They show whether a row has changed, and are equal in every process. They are not meant to withstand somebody who makes
up rows with equal digests. Each is a sum of mixed words, every word times an odd number of its position: rows that
differ in one word never have equal digests, and other rows do with a probability of about 2**-62.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import IntArray, row_blocks

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "count_copies",
    "digest_columns",
    "digest_ids",
    "digest_matrix",
    "distinct_rows",
    "is_among",
    "page_digest",
]

_Words = npt.NDArray[np.uint64]

# An odd number with as many ones as zeros, the increment and the two multipliers of the generator splitmix64.
_STEP, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_NULL, _HALF, _SHIFT = np.uint64(0x5851F42D4C957F2D), np.uint64(32), np.uint64(29)
# Words of a matrix that are mixed together, so that they stay in the cache of the processor.
_BLOCK_WORDS = 1 << 15
# Bytes of text that are mixed together, which bounds the memory: each takes several times as much.
_BLOCK_BYTES = 1 << 22
# By the number of its bytes that belong to a text, the mask of a word.
_MASKS = np.array([0, *((1 << 8 * n) - 1 for n in range(1, 9))], np.uint64)


def page_digest(rows: IntArray) -> str:
    """Return 16 hex digits that depend on the digests of all rows of a page, and on their order."""
    return hashlib.blake2b(np.ascontiguousarray(rows).tobytes(), digest_size=8).hexdigest()


def digest_matrix(matrix: npt.NDArray[Any]) -> _Words:
    """Return a digest of the bytes of each row [n, d] of numbers."""
    rows = np.ascontiguousarray(matrix)
    n, size = len(rows), rows.shape[1] * rows.itemsize
    if size % 8:
        padded = np.zeros((n, -(-size // 8) * 8), np.uint8)
        padded[:, :size] = rows.view(np.uint8).reshape(n, size)
        rows = padded
    words = rows.view("<u8").reshape(n, -(-size // 8))
    keys, sums = _keys(words.shape[1]), np.empty(n, np.uint64)
    for block in row_blocks(n, max(_BLOCK_WORDS // max(words.shape[1], 1), 1)):
        sums[block] = np.einsum("ij,j->i", _mixed(words[block]), keys)
    return _finished(sums, size)


def is_among(digests: IntArray, ordered: IntArray) -> npt.NDArray[np.bool_]:
    """Return for each digest [n] whether it is among others [m], which are in ascending order."""
    # Unlike np.isin, this does not sort the others for every page of rows that are looked for.
    places = np.searchsorted(ordered, digests)
    inside = places < len(ordered)
    found = np.zeros(len(digests), bool)
    found[inside] = ordered[places[inside]] == digests[inside]
    return found


def distinct_rows(matrix: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the positions of the rows [n, d] of numbers that are no copies of an earlier row, in ascending order."""
    # Sorting the rows themselves takes longer.
    return np.sort(np.unique(digest_matrix(matrix), return_index=True)[1]).astype(np.int64)


def count_copies(matrix: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return for each row [n, d] of numbers how many rows are equal to it, itself included."""
    _, number, counts = np.unique(digest_matrix(matrix), return_inverse=True, return_counts=True)
    return counts[number].astype(np.int64)


def digest_ids(ids: pa.Array) -> IntArray:
    """Return a digest of each id [n], int64, equal for a whole number and the same number as text."""
    import pyarrow as pa

    return _digest_array(ids.cast(pa.large_string())).view(np.int64)


def digest_columns(table: pa.Table | None, *others: npt.NDArray[Any]) -> IntArray:
    """Return a digest of each row [n], int64: of the values in a table, of its names, and of other numbers.

    Args:
        table: columns, ``None`` for none.
        others: [n] each, of 64 bits.
    """
    names = [] if table is None else table.schema.names
    columns = [] if table is None else [_digest_array(column) for column in table.columns]
    words = np.stack([*(np.asarray(values).view(np.uint64) for values in others), *columns], axis=1)
    return _finished(digest_matrix(words), _digest_text(repr(names))).view(np.int64)


def _digest_array(column: pa.Array | pa.ChunkedArray) -> _Words:
    """Return a digest of each value [n]; the widths of whole numbers, floats and offsets make no difference."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks else pa.array([], column.type)
    column = getattr(column, "storage", column)
    kind = column.type
    if types.is_dictionary(kind) or types.is_decimal(kind):
        return _digest_array(column.cast(kind.value_type if types.is_dictionary(kind) else pa.large_string()))
    if types.is_boolean(kind) or types.is_integer(kind) or (types.is_temporal(kind) and not types.is_interval(kind)):
        if types.is_temporal(kind):
            column = column.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
        elif types.is_boolean(kind):
            column = column.cast(pa.uint8())
        numbers = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
        digests = _digest_words(numbers if types.is_uint64(kind) else numbers.astype(np.int64))
    elif types.is_floating(kind):
        digests = _digest_words(column.to_numpy(zero_copy_only=False).astype(np.float64))
    elif kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()) or types.is_fixed_size_binary(kind):
        digests = _digest_texts(column.cast(pa.large_binary()))
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        lengths = pc.fill_null(column.value_lengths(), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        digests = _digest_parts(_digest_array(column.flatten()), lengths, lengths)
    elif types.is_struct(kind) and kind.num_fields:
        digests = digest_matrix(np.stack([_digest_array(field) for field in column.flatten()], axis=1))
    else:  # one value at a time: maps and other rare types
        return np.array([_digest_text(repr(value)) for value in _plain_values(column)], np.uint64)
    if column.null_count:
        digests[np.asarray(column.is_null())] = _NULL
    return digests


def _digest_words(numbers: npt.NDArray[Any]) -> _Words:
    return digest_matrix(numbers[:, None])


def _digest_text(text: str) -> np.uint64:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _digest_texts(column: pa.Array) -> _Words:
    """Return a digest of each value [n] of a column of large binaries."""
    n = len(column)
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, "<i8", n + 1, 8 * column.offset) if n else np.zeros(1, np.int64)
    parts = [_digest_slices(data, starts[first : last + 1]) for first, last in _blocks(starts)]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def _blocks(starts: IntArray) -> Iterator[tuple[int, int]]:
    """Yield the first text and the one after the last of blocks of few bytes, or of one text."""
    first, n = 0, len(starts) - 1
    while first < n:
        last = int(np.searchsorted(starts, starts[first] + _BLOCK_BYTES, side="right")) - 1
        yield first, (last := min(max(last, first + 1), n))
        first = last


def _digest_slices(data: Any, starts: IntArray) -> _Words:
    """Return a digest of each slice of a buffer, from one of n + 1 starts to the next."""
    size = int(starts[-1] - starts[0])
    padded = np.zeros(size + 8, np.uint8)
    if size:
        padded[:size] = np.frombuffer(data, np.uint8, size, int(starts[0]))
    # Every word of eight bytes, whichever byte it begins with.
    words = np.ndarray(size + 1, "<u8", buffer=padded, strides=(1,))
    lengths = np.diff(starts)
    counts = (lengths + 7) // 8
    positions = _positions(counts)
    begin = np.repeat(starts[:-1] - starts[0], counts) + 8 * positions
    left = np.minimum(np.repeat(lengths, counts) - 8 * positions, 8)
    return _digest_parts(words[begin] & _MASKS[left], counts, lengths)


def _digest_parts(words: _Words, counts: IntArray, lengths: IntArray) -> _Words:
    """Return a digest of each of n consecutive parts.

    Args:
        words: of all parts.
        counts: [n] number of words of each part.
        lengths: [n] what tells parts of the same words apart.
    """
    keys = _keys(int(counts.max()) if len(counts) else 0)
    mixed = _mixed(words) * keys[_positions(counts)]
    sums, filled = np.zeros(len(counts), np.uint64), counts > 0
    if filled.any():
        sums[filled] = np.add.reduceat(mixed, (np.cumsum(counts) - counts)[filled])
    return _finished(sums, lengths.astype(np.uint64))


def _positions(counts: IntArray) -> IntArray:
    """Return the position of each word within its part."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def _keys(n: int) -> _Words:
    """Return n different odd numbers, the same in every process."""
    return _finished(np.arange(1, n + 1, dtype=np.uint64) * _STEP, 0) | np.uint64(1)


def _mixed(words: _Words) -> _Words:
    """Return words in which each bit depends on many bits; different words stay different."""
    mixed: _Words = np.right_shift(words, _HALF)
    mixed ^= words
    mixed *= _FIRST
    mixed ^= mixed >> _SHIFT
    return mixed


def _finished(sums: _Words, salt: Any) -> _Words:
    """Return digests of sums and of something else, in which every bit depends on every bit."""
    numbers = np.asarray(salt, np.uint64)
    digests: _Words = np.bitwise_xor(sums + numbers * _STEP, numbers)
    digests ^= digests >> np.uint64(30)
    digests *= _FIRST
    digests ^= digests >> np.uint64(27)
    digests *= _SECOND
    digests ^= digests >> np.uint64(31)
    return digests


def _plain_values(column: pa.Array) -> list[object]:
    """Return values whose ``repr`` is the same in every process; times of any unit are whole numbers."""
    kind = _without_times(column.type)
    values: list[object] = (column if kind.equals(column.type) else column.cast(kind)).to_pylist()
    return values


def _without_times(kind: pa.DataType) -> pa.DataType:
    """Return a type with whole numbers in place of dates and times: Python has no nanoseconds."""
    import pyarrow as pa

    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return pa.int32() if kind.bit_width == 32 else pa.int64()
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_without_times(kind.value_type), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return (pa.large_list if pa.types.is_large_list(kind) else pa.list_)(_without_times(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_times(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_without_times(kind.key_type), _without_times(kind.item_type))
    if pa.types.is_dictionary(kind):
        plain = _without_times(kind.value_type)
        return kind if plain.equals(kind.value_type) else plain
    return kind
