"""``faiss:///file.faiss``: a FAISS index file; read where it kept its vectors, written as a whole at the end."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from interlingua.core.arrays import FloatArray, require
from interlingua.core.atomic import atomic_file, check_parent, follow_link
from interlingua.core.errors import InputError, InputWarning
from interlingua.core.records import Records
from interlingua.io._checks import NAME_ROWS
from interlingua.stores._base import Adapter, made_meanwhile, missing_path
from interlingua.stores._capabilities import Capabilities
from interlingua.stores._distinct import check_int64
from interlingua.stores._names import check_name_length
from interlingua.stores._protocol import Cursor, Hits, Spec, StoreInfo
from interlingua.stores._url import StoreURL
from interlingua.stores._vectors import is_unit
from interlingua.stores.files import FileStore

__all__ = ["FaissStore"]

_LINKS = 32
# FAISS marks a missing hit by the id -1, which may also be an id, and by a distance above this.
_FARTHEST = 1e38
# Least number of candidates of a search; the default of FAISS is low.
_CANDIDATES = 64


@dataclass(frozen=True, eq=False)
class _Opened:
    """An index as it was read.

    Attributes:
        index: as the file holds it, for searches.
        ids: of all rows, in the order of a scan.
        inner: the index from which vectors are read.
        keys: what identifies the rows in ``inner``, in the order of a scan; ``None`` if these are the row numbers.
    """

    index: Any
    ids: pa.Array
    inner: Any
    keys: npt.NDArray[np.int64] | None

    def vectors(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Return the vectors of these rows."""
        return np.asarray(self.inner.reconstruct_batch(rows if self.keys is None else self.keys[rows]), np.float32)


class FaissStore(Adapter):
    """One index file. Until the index is built, rows are written to a second file, which survives a crash."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "none", ("int",), appends=True, rows_per_second=20_000, limits="the metric cosine needs unit vectors"
    )
    _name_counts = (0, 0)
    _client_errors = (RuntimeError,)

    def __init__(self, url: StoreURL) -> None:
        if url.names or url.host:
            raise InputError(f"{url}: an index file has no collections and no host; faiss:///file.faiss is needed.")
        super().__init__(url)
        self._kind = url.options.get("index", "flat")
        if self._kind not in {"flat", "hnsw"}:
            raise InputError(f"{url}: ?index={self._kind}; flat or hnsw is needed.")
        self._faiss = require("faiss", "faiss")
        self._path = Path(url.path)
        self._spool_path = Path(f"{url.path}.rows.parquet")
        self._spool = FileStore(StoreURL("file", str(self._spool_path)))
        self._writes_spool = False

    def exists(self) -> bool:
        """Return whether the file exists."""
        return self._path.exists()

    def info(self) -> StoreInfo:
        """Return facts about the index."""
        index, ids = self._opened.index, self._opened.ids
        first, _ = next(self.scan(256))
        dot = index.metric_type == self._faiss.METRIC_INNER_PRODUCT
        metric = ("cosine" if is_unit(first.vectors) else "dot") if dot else "l2"
        return self._describe(first, len(ids), metric=metric)

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages; the cursor counts rows."""
        ids = self._opened.ids
        for start in range(after or 0, len(ids), size):
            stop = min(start + size, len(ids))
            yield Records(ids.slice(start, stop - start), self._vectors(np.arange(start, stop))), stop

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        stored = self._opened.ids.to_numpy()
        order = np.argsort(stored, kind="stable")
        positions = order[np.minimum(np.searchsorted(stored, ids.to_numpy(), sorter=order), len(stored) - 1)]
        rows = positions[stored[positions] == ids.to_numpy()]
        records = Records(pa.array(stored[rows], pa.int64()), self._vectors(rows)) if len(rows) else None
        return self._in_order(records, ids)

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Search the index."""
        index = self._opened.index
        self._widen_search(index, k)
        with self._errors("cannot be searched"):
            scores, ids = index.search(np.ascontiguousarray(queries, np.float32), min(k, len(self._opened.ids)))
        hits = (ids != -1) | (np.abs(scores) < _FARTHEST)
        if index.metric_type != self._faiss.METRIC_INNER_PRODUCT:
            scores = -np.sqrt(np.maximum(scores, 0))
        return [
            Hits([int(value) for value in row[hit]], np.asarray(score[hit], np.float64))
            for row, score, hit in zip(ids, scores, hits, strict=True)
        ]

    def check(self, spec: Spec) -> None:
        """Refuse a folder that does not exist, and a name that is too long."""
        super().check(spec)
        check_parent(self._path)
        check_name_length(self._spool_path, self._path)
        self._spool.check(spec)  # refuses the rows of another run

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse whole numbers that 64 bits with sign do not hold."""
        check_int64(records.ids, str(self.url))

    def check_translated(self, vectors: FloatArray, spec: Spec) -> None:
        """Refuse vectors of other than unit norm if they are searched by cosine, which FAISS lacks."""
        if spec.metric == "cosine" and not is_unit(vectors):
            raise InputError(
                f"{self.url}: FAISS has no cosine, and the translated vectors are not of unit norm.",
                "Use {metric=dot} or {metric=l2}.",
            )

    def _create(self, spec: Spec) -> None:
        self._spool.create(spec)  # the index appears when it is finished

    def creation(self, *, vector_only: bool = False) -> str | None:
        """Return the digest of the finished file."""
        return FileStore(StoreURL("file", self.url.path)).creation()

    def migration(self, *, vector_only: bool = False) -> str | None:
        """Return None: the file of an index has no room for words, and one beside it would be left behind by a copy."""
        return None

    def unfinished(self) -> str | None:
        """Return the job of the rows in the folder of the unfinished spool."""
        return self._spool.unfinished()

    def prepare(self, spec: Spec, committed: int) -> None:
        """Open the spool."""
        super().prepare(spec, committed)
        self._writes_spool = not self.exists()
        if self._writes_spool:
            self._spool.prepare(spec, committed)
        elif committed < spec.count:
            raise made_meanwhile(self._path)

    def upsert(self, records: Records) -> None:
        """Append rows to the spool."""
        if self._spec is not None:
            self.check_translated(records.vectors, self._spec)
        self._spool.upsert(records)

    def finish(self) -> None:
        """Build the index from the spool, give it its name and remove the spool."""
        if self.exists():
            if self._writes_spool:
                raise made_meanwhile(self._path)
            self._spool.drop()
            return
        if self._spec is None:
            raise InputError(f"{self.url}: prepare() was not called; there are no rows to index.")
        self._spool.finish()
        faiss, d = self._faiss, self._spec.d
        metric = faiss.METRIC_L2 if self._spec.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        inner = faiss.IndexFlat(d, metric) if self._kind == "flat" else faiss.IndexHNSWFlat(d, _LINKS, metric)
        index = faiss.IndexIDMap2(inner)
        for records, _ in self._spool.scan(16_384):
            index.add_with_ids(
                np.ascontiguousarray(records.vectors, np.float32), records.ids.to_numpy().astype(np.int64)
            )
        try:
            with atomic_file(self._path, overwrite=False) as fresh:
                faiss.write_index(index, str(fresh))
        except RuntimeError as error:
            raise OSError(f"{self._path} cannot be written: {error}") from error
        self._spool.drop()

    def drop(self, *, vector_only: bool = False) -> None:
        """Remove the file and its spool."""
        follow_link(self._path).unlink(missing_ok=True)
        self._spool.drop()

    def close(self) -> None:
        """Close the spool."""
        self._spool.close()
        super().close()

    def _vectors(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        with self._errors("cannot be read"):
            return self._opened.vectors(rows)

    def _widen_search(self, index: Any, k: int) -> None:
        """Let the index compare more candidates than by default, where an IVF index reads one list."""
        faiss, parameters = self._faiss, self._faiss.ParameterSpace()
        lists = faiss.try_extract_index_ivf(index)
        inner = faiss.downcast_index(index.index) if hasattr(index, "index") else index
        if lists is not None:
            parameters.set_index_parameter(index, "nprobe", max(lists.nprobe, min(lists.nlist, _CANDIDATES)))
        elif hasattr(inner, "hnsw"):
            inner.hnsw.efSearch = max(inner.hnsw.efSearch, _CANDIDATES, 4 * k)

    def _read(self) -> Any:
        """Return the index of the file, from which nothing longer than the file itself is read."""
        faiss = self._faiss
        if not self._path.is_file():
            raise missing_path(self.url)
        # A damaged file may announce up to 1 TB. Old versions of FAISS have no such limit.
        limit = getattr(faiss, "get_deserialization_vector_byte_limit", lambda: None)()
        try:
            if limit is not None:
                faiss.set_deserialization_vector_byte_limit(self._path.stat().st_size)
            return faiss.read_index(str(self._path), faiss.IO_FLAG_MMAP)
        except (RuntimeError, MemoryError) as error:
            raise InputError(f"{self._path} is not an index that FAISS can read; build or copy it again.") from error
        finally:
            if limit is not None:
                faiss.set_deserialization_vector_byte_limit(limit)

    @cached_property
    def _opened(self) -> _Opened:
        faiss = self._faiss
        index = self._read()
        if not index.ntotal:
            raise InputError(f"{self._path} is empty; at least 1 row is needed. {NAME_ROWS}")
        inner, named = index, None
        if isinstance(index, faiss.IndexIDMap | faiss.IndexIDMap2):
            inner, named = faiss.downcast_index(index.index), faiss.vector_to_array(index.id_map)
            if (index.d, index.ntotal) != (inner.d, inner.ntotal):
                raise InputError(f"{self._path} is damaged: its parts differ in width or rows. Copy it again.")
        lists = faiss.try_extract_index_ivf(inner)
        keys = None
        packed = lists is not None and isinstance(faiss.downcast_index(lists), faiss.IndexIVFFastScan)
        if packed and not isinstance(inner, faiss.IndexRefine):
            # The file lacks the codes in the order that FAISS needs to return a vector; the call would end the process.
            raise InputError(
                f"{self._path} is a {type(inner).__name__}, which FAISS cannot read vectors from once it was saved. "
                "Keep a copy of the vectors, or build an index without fast scan."
            )
        if lists is not None:
            keys = _ids_of_lists(faiss, lists)
            if np.array_equal(keys, np.arange(len(keys))):
                keys = None
            elif named is not None:
                raise InputError(
                    f"{self._path}: rows were removed from an IVF index inside an {type(index).__name__}, after which "
                    "FAISS gives rows the ids of others. Build the index anew."
                )
        ids = np.arange(inner.ntotal) if keys is None else keys
        ids = ids if named is None else named
        distinct, counts = np.unique(ids, return_counts=True)
        if len(distinct) < len(ids):
            raise InputError(
                f"{self._path}: ids are repeated, for example {int(distinct[counts > 1][0])}; a store keeps one row "
                "an id. Make them distinct."
            )
        if lists is not None:
            with self._errors("cannot be read"):
                # A hash table takes any id; an array takes only the ids 0, 1, 2 and so on.
                lists.set_direct_map_type(faiss.DirectMap.Array if keys is None else faiss.DirectMap.Hashtable)
        if not isinstance(inner, faiss.IndexFlat | faiss.IndexHNSWFlat | faiss.IndexIVFFlat):
            warnings.warn(
                f"{self._path} is a {type(inner).__name__}, which keeps approximations: the vectors that are "
                "read differ from those that were added.",
                InputWarning,
                stacklevel=2,
            )
        return _Opened(index, pa.array(ids, pa.int64()), inner, keys)


def _ids_of_lists(faiss: Any, index: Any) -> npt.NDArray[np.int64]:
    """Return the ids in all lists of an IVF index, in ascending order."""
    lists, parts = index.invlists, []
    for number in range(index.nlist):
        size = lists.list_size(number)
        if size:
            pointer = lists.get_ids(number)
            parts.append(np.array(faiss.rev_swig_ptr(pointer, size), np.int64))
            lists.release_ids(number, pointer)
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)
