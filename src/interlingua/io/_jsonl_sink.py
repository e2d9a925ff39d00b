"""Writing `.jsonl` and `.jsonl.gz`."""

from __future__ import annotations

import gzip
import json
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from interlingua.core.errors import InputWarning
from interlingua.io._formats import AnyArray, Buffers, Output
from interlingua.io._formats import Sink as BaseSink
from interlingua.io._json_columns import heads_of, is_json_type


class Sink(BaseSink):
    """Writes lines; with `.gz` every batch is a gzip member of its own, as the format allows."""

    columns = "json"

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self.stream = "rows" + output.extension
        self._warned: set[str] = set()

    @classmethod
    def holds(cls, field: pa.Field, *, is_id: bool) -> bool:
        """Return whether JSON can represent the values; dates, times and decimals become text."""
        return is_json_type(field.type)

    def encode(self, vectors: AnyArray, others: pa.Table | None) -> Buffers:
        """Return one line per row, the vector last, every number in its shortest exact form."""
        wide = vectors.astype(np.float32) if vectors.dtype == np.float16 else vectors
        numbers = pc.cast(pa.array(np.ascontiguousarray(wide).reshape(-1)), pa.string())
        ends = np.arange(0, vectors.size + 1, self._output.d, dtype=np.int64)
        joined = pc.binary_join(pa.LargeListArray.from_arrays(ends, numbers), ", ").to_pylist()
        heads, lossy = ([""] * len(vectors), set[str]()) if others is None else heads_of(others)
        self._warn(lossy)
        name = json.dumps(self._output.vector_name, ensure_ascii=False)
        text = "".join(f"{{{head}{name}: [{row}]}}\n" for head, row in zip(heads, joined, strict=True)).encode()
        return {self.stream: [gzip.compress(text, 6, mtime=0) if self.stream.endswith(".gz") else text]}

    def _warn(self, columns: set[str]) -> None:
        """Warn once about every column with numbers that JSON lacks."""
        for name in sorted(columns - self._warned):
            warnings.warn(
                f"column {name!r} has NaN or infinity, which JSON lacks: they were written as null. "
                "Write .parquet to keep them.",
                InputWarning,
                stacklevel=4,
            )
        self._warned |= columns
