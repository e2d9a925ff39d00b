"""Translation of Arrow record batches, as a function that any engine can distribute.

Every row is translated independently of the others: shards, tasks and retries give the same bytes.

| engine | recipe |
|---|---|
| Ray Data | ``interlingua translate --engine ray``, or :func:`interlingua.distributed.ray.translate_with_ray` |
| Spark | ``frame.mapInArrow(lambda batches: translate_batches(batches, load(folder)), schema)`` |
| Dask, Daft, a loop | ``list(translate_batches(table.to_batches(), translator))`` for each partition |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from interlingua.core.arguments import check_flag, check_instance, check_text
from interlingua.core.arrays import FloatArray, check_matrix, row_blocks
from interlingua.core.errors import InputError
from interlingua.core.records import is_list, to_column, to_matrix
from interlingua.core.translator import Translator
from interlingua.io._checks import choose_vectors

__all__ = ["translate_batches"]

# Matrix products are computed on blocks of this many rows, whatever the size of the batches, and the last block is
# padded with copies of its first row: a matrix library may round differently for another number of rows. It may also
# round a row by its position in the block, as float32 products do on processors without AVX-512. So products are
# computed in float64 and then rounded.
_BLOCK_ROWS = 1_024


def translate_batches(
    batches: Iterable[pa.RecordBatch],
    translator: Translator,
    *,
    column: str | None = None,
    inverse: bool = False,
    allow_foreign: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Return each batch with its vectors translated and every other column as it is.

    Computed in float64 and rounded to the type of the vectors; equal to `Translator.translate` up to rounding.

    Args:
        batches: with a column of lists of float16, float32 or float64; it keeps its place and name.
        translator: made for these vectors.
        column: the vectors; by default the only list column, or the one with a usual name.
        inverse: translate from the target space back to the source space.
        allow_foreign: do not compare each batch with the space that the translator was fitted on.

    Raises:
        SpaceMismatchError: a batch cannot be of that space, as :meth:`Translator.translate` says.
        InputError: no such column, null or ragged vectors, another width, NaN, infinity or zero rows. Arguments of
            other types are refused at the call, and batches when they are reached.
    """
    check_instance(batches, "batches", Iterable, "a sequence of Arrow record batches")
    check_instance(translator, "translator", Translator, "a translator, as interlingua.load returns it,")
    column = None if column is None else check_text(column, "column")
    flags = check_flag(inverse, "inverse"), check_flag(allow_foreign, "allow_foreign")
    return _translated(batches, translator, column, *flags)


def _translated(
    batches: Iterable[pa.RecordBatch], translator: Translator, column: str | None, inverse: bool, allow_foreign: bool
) -> Iterator[pa.RecordBatch]:
    convert = translator.invert if inverse else translator.translate
    for batch in batches:
        check_instance(batch, "a batch", pa.RecordBatch, "an Arrow record batch")
        name = _vector_column(batch.schema, column)
        index = batch.schema.get_field_index(name)
        rows = to_matrix(batch.column(index), name, "The batch")
        widths = translator.d_source, translator.d_target
        wanted, width = widths[::-1] if inverse else widths
        if len(rows):  # checked before padding, so that messages count the caller's rows
            check_matrix(rows, f"column {name!r}", width=wanted, whole=False)
            if not allow_foreign:
                translator.check_space(rows, inverse=inverse)
        out = np.empty((len(rows), width), rows.dtype)
        for block in row_blocks(len(rows), _BLOCK_ROWS):
            out[block] = convert(_padded(rows[block]), allow_foreign=True)[: block.stop - block.start]
        lists = to_column(out)
        field = pa.field(name, lists.type, metadata=batch.schema.field(index).metadata)
        columns = [*batch.columns[:index], lists, *batch.columns[index + 1 :]]
        yield pa.RecordBatch.from_arrays(columns, schema=batch.schema.set(index, field))


def _padded(rows: FloatArray) -> FloatArray:
    padded = np.empty((_BLOCK_ROWS, rows.shape[1]))
    padded[: len(rows)], padded[len(rows) :] = rows, rows[0]
    return padded


def _vector_column(schema: pa.Schema, requested: str | None) -> str:
    usable = [f.name for f in schema if is_list(f.type) and pa.types.is_floating(f.type.value_type)]
    name = choose_vectors(usable, schema.names, requested, "column", Path("batch"))
    if name not in usable:
        raise InputError(f"Column {name!r} holds {schema.field(name).type}; lists of floating-point values are needed.")
    return name
