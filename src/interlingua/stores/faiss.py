"""``faiss:///file.faiss``: a FAISS index file; read where it kept its vectors, written as a whole at the end."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray, require
from interlingua.core.atomic import atomic_file
from interlingua.core.errors import InputError, InputWarning, OutputExistsError
from interlingua.core.records import Records
from interlingua.stores._distinct import check_int64
from interlingua.stores._protocol import Capabilities, Cursor, Hits, Spec, Store, StoreInfo, is_unit
from interlingua.stores._url import StoreURL
from interlingua.stores.files import FileStore

__all__ = ["FaissStore"]

_LINKS = 32


class FaissStore(Store):
    """One index file. Rows are spooled to a file beside it, which survives a crash, until the index is built."""

    capabilities: ClassVar[Capabilities] = Capabilities("none", ("int",), appends=True, rows_per_second=20_000)

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        if url.names or url.host:
            raise InputError(f"{url}: an index file has no collections and no host; faiss:///file.faiss is needed.")
        self._kind = url.options.get("index", "flat")
        if self._kind not in {"flat", "hnsw"}:
            raise InputError(f"{url}: ?index={self._kind}; flat or hnsw is needed.")
        self._faiss = require("faiss", "faiss")
        self._path = Path(url.path)
        self._spool = FileStore(StoreURL("file", f"{url.path}.rows.parquet"))
        self._spec: Spec | None = None

    def exists(self) -> bool:
        """Return whether the file exists."""
        return self._path.exists()

    def info(self) -> StoreInfo:
        """Return what the index holds."""
        index, ids, inner = self._index
        unit = is_unit(self._vectors(0, min(256, inner.ntotal)))
        dot = index.metric_type == self._faiss.METRIC_INNER_PRODUCT
        return StoreInfo(
            count=index.ntotal,
            d=index.d,
            metric=("cosine" if unit else "dot") if dot else "l2",
            normalized=unit,
            id_type=ids.type,
        )

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages; the cursor counts rows."""
        _, ids, inner = self._index
        for start in range(after or 0, inner.ntotal, size):
            stop = min(start + size, inner.ntotal)
            yield Records(ids.slice(start, stop - start), self._vectors(start, stop)), stop

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        stored = self._index[1].to_numpy()
        order = np.argsort(stored, kind="stable")
        wanted = ids.to_numpy()
        place = np.minimum(np.searchsorted(stored, wanted, sorter=order), len(stored) - 1)
        rows = [int(order[p]) for p, value in zip(place, wanted, strict=True) if stored[order[p]] == value]
        vectors = [self._vectors(row, row + 1) for row in rows]
        matrix = np.concatenate(vectors) if vectors else np.empty((0, 0), np.float32)
        return Records(pa.array(stored[rows], pa.int64()), matrix).in_order_of(ids, str(self.url))

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Ask the index."""
        index = self._index[0]
        scores, ids = index.search(np.ascontiguousarray(queries, np.float32), min(k, index.ntotal))
        if index.metric_type != self._faiss.METRIC_INNER_PRODUCT:
            scores = -np.sqrt(np.maximum(scores, 0))
        return [
            Hits([int(value) for value in row if value >= 0], np.asarray(score[row >= 0], np.float64))
            for row, score in zip(ids, scores, strict=True)
        ]

    def check(self, spec: Spec) -> None:
        """Refuse a folder that does not exist."""
        super().check(spec)
        if not self._path.parent.is_dir():
            raise InputError(f"The folder {self._path.parent} does not exist; create it or choose another.")

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse whole numbers that 64 bits with sign do not hold."""
        check_int64(records.ids, str(self.url))

    def create(self, spec: Spec) -> None:
        """Refuse a name that is taken; the file appears when it is finished."""
        self.check(spec)
        if self.exists():
            raise OutputExistsError(f"{self._path} exists; choose another name or remove it first.")
        self._spool.create(spec)

    def prepare(self, spec: Spec, committed: int) -> None:
        """Open the spool."""
        self._spec = spec
        if not self.exists():
            self._spool.prepare(spec, committed)

    def upsert(self, records: Records) -> None:
        """Append rows to the spool."""
        if self._spec is not None and self._spec.metric == "cosine" and not is_unit(records.vectors):
            raise InputError(
                f"{self.url}: FAISS has no cosine and these vectors are not of unit norm. Use the metric dot or l2."
            )
        self._spool.upsert(records)

    def finish(self) -> None:
        """Build the index from the spool, give it its name and remove the spool."""
        if self.exists():
            self._spool.drop()
            return
        if self._spec is None:
            raise InputError(f"{self.url}: prepare() was not called; there is nothing to index.")
        self._spool.finish()
        faiss, d = self._faiss, self._spec.d
        metric = faiss.METRIC_L2 if self._spec.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        bare = faiss.IndexFlat(d, metric) if self._kind == "flat" else faiss.IndexHNSWFlat(d, _LINKS, metric)
        index = faiss.IndexIDMap2(bare)
        for records, _ in self._spool.scan(16_384):
            index.add_with_ids(
                np.ascontiguousarray(records.vectors, np.float32), records.ids.to_numpy().astype(np.int64)
            )
        try:
            with atomic_file(self._path) as fresh:
                faiss.write_index(index, str(fresh))
        except RuntimeError as error:
            raise OSError(f"{self._path} cannot be written: {error}") from error
        self._spool.drop()

    def drop(self, *, beside: bool = False) -> None:
        """Remove the file and its spool."""
        self._path.unlink(missing_ok=True)
        self._spool.drop()

    def close(self) -> None:
        """Close the spool."""
        self._spool.close()

    def _vectors(self, start: int, stop: int) -> FloatArray:
        return np.asarray(self._index[2].reconstruct_n(start, stop - start), np.float32)

    @cached_property
    def _index(self) -> tuple[Any, pa.Array, Any]:
        """Return the index, the ids in its order, and the index inside that holds the vectors."""
        faiss = self._faiss
        if not self._path.is_file():
            raise InputError(f"{self._path}: no such file. Check the path.")
        try:
            index = faiss.read_index(str(self._path), faiss.IO_FLAG_MMAP)
        except RuntimeError as error:
            raise InputError(f"{self._path} is no index that FAISS can read; make or copy it again.") from error
        if not index.ntotal:
            raise InputError(f"{self._path} is empty; at least 1 row is needed.")
        inner, ids = index, np.arange(index.ntotal)
        if isinstance(index, faiss.IndexIDMap | faiss.IndexIDMap2):
            inner, ids = faiss.downcast_index(index.index), faiss.vector_to_array(index.id_map)
        if len(np.unique(ids)) < len(ids):
            raise InputError(f"{self._path}: ids are repeated; a store keeps one row an id. Make them distinct.")
        if hasattr(inner, "make_direct_map"):
            inner.make_direct_map()
        if not isinstance(inner, faiss.IndexFlat | faiss.IndexHNSWFlat | faiss.IndexIVFFlat):
            warnings.warn(
                f"{self._path} is a {type(inner).__name__}, which keeps approximations: what is read differs from what "
                "was put in.",
                InputWarning,
                stacklevel=2,
            )
        return index, pa.array(ids, pa.int64()), inner
