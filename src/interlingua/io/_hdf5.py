"""`.h5` and `.hdf5`: named datasets, read row by row with h5py; the layout of ann-benchmarks is recognized.

References:
    https://github.com/erikbern/ann-benchmarks (datasets ``train``, ``test``, ``neighbors`` and ``distances``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.core.arrays import require
from interlingua.core.errors import InputError
from interlingua.io._checks import check_unused
from interlingua.io._formats import AnyArray, Contents, Request
from interlingua.io._mapped import ArraySource, StoredArray, choose_contents

# Compression filters of HDF5 that are in common use reach less than this.
_MOST_COMPRESSION = 1032
_SMALL = 2**24


class Hdf5Source(ArraySource):
    """Source over one dataset [n, d] of a file, which may be chunked and compressed."""

    def __init__(self, path: Path, contents: Contents, others: Mapping[str, StoredArray]) -> None:
        super().__init__(contents, others)
        self._path = path

    def _vectors(self, start: int, stop: int, size: int) -> Iterator[AnyArray]:
        with _opened(self._path) as file:
            dataset = file[self.contents.vector_name]
            for row in range(start, stop, size):
                yield dataset[row : min(row + size, stop)]


def open_source(path: Path, request: Request) -> Hdf5Source:
    """List the datasets of a file by their headers; links to other files are not followed."""
    check_unused(path, path.suffix, column=request.column)
    arrays: dict[str, StoredArray] = {}
    with _opened(path) as file:
        h5py = require("h5py", "hdf5")

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                arrays[name] = _stored(path, name, item, is_text=h5py.check_string_dtype(item.dtype) is not None)

        file.visititems(visit)
    if request.key is None and {"train", "test"} <= arrays.keys():
        request = replace(request, key="train")
    return Hdf5Source(path, choose_contents(arrays, request, path), arrays)


def _stored(path: Path, name: str, dataset: Any, *, is_text: bool) -> StoredArray:
    if dataset.is_virtual or dataset.external:
        raise InputError(
            f"{path}: dataset {name!r} is stored in external files, which are not read. Copy it into the file itself."
        )
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > _MOST_COMPRESSION * stored + _SMALL:
        raise InputError(
            f"{path}: dataset {name!r} declares shape {dataset.shape}, which takes {dataset.nbytes:,} bytes, and "
            f"the file holds {stored:,} for it. It is unfinished or damaged."
        )
    if dataset.chunks is not None:
        _check_chunks(path, name, dataset)
    dtype = np.dtype(np.str_) if is_text else dataset.dtype
    return StoredArray(tuple(dataset.shape), dtype, partial(_load, path, name, is_text))


def _check_chunks(path: Path, name: str, dataset: Any) -> None:
    """Refuse chunks that are empty, repeated or outside the file; libhdf5 would end the process with some of them."""
    size, seen = path.stat().st_size, set()
    least = 5 if dataset.fletcher32 else 1  # a checksum takes 4 bytes

    def is_bad(chunk: Any) -> bool | None:
        start, length = chunk.byte_offset, chunk.size
        bad = start <= 0 or not least <= length <= size - start or chunk.chunk_offset in seen
        seen.add(chunk.chunk_offset)
        return bad or None  # None goes on with the next chunk

    if dataset.id.chunk_iter(is_bad):
        raise InputError(f"{path}: the chunks of dataset {name!r} are damaged. Save or download the file again.")


def _load(path: Path, name: str, is_text: bool) -> AnyArray:
    with _opened(path) as file:
        dataset = file[name]
        if not is_text:
            return np.asarray(dataset[()])
        try:
            # NumPy's bytes are marked as ASCII, and are UTF-8 in most files.
            return np.asarray(dataset.asstr("utf-8")[()])
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: the text of {name!r} is not UTF-8. Save it as UTF-8, or remove it.") from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    h5py = require("h5py", "hdf5")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, LookupError, RuntimeError, TypeError, UnicodeDecodeError) as error:
        if isinstance(error, PermissionError | InputError):
            raise
        raise InputError(
            f"{path} is not a whole HDF5 file ({error}). It is truncated or damaged; save or download it again."
        ) from error
