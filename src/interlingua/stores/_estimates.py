"""What a migration costs, measured on the first pages of its source."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import numpy as np

from interlingua.core.arrays import usable_rows
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import Records
from interlingua.core.wording import none_of
from interlingua.io._checks import FILL_ONE
from interlingua.stores._protocol import Spec, Store, StoreInfo
from interlingua.stores._vectors import check_vectors
from interlingua.stores.reembedding import TextEmbedder, new_vectors

if TYPE_CHECKING:
    from interlingua.core.translator import Translator
    from interlingua.stores.planning import Options

__all__ = ["measure"]

# An estimate reads pages until it has seen this many rows.
_ESTIMATE_PAGE_ROWS, _ESTIMATE_ROWS = 1_024, 5_120
# Texts that an estimate embeds.
_EMBEDDED_ROWS = 128


def measure(
    translator: Translator | TextEmbedder,
    source: Store,
    info: StoreInfo,
    spec: Spec,
    target: Store,
    options: Options,
) -> tuple[float, float, int]:
    """Return the payload bytes of a row, the estimated seconds of the whole migration, and the number of bad rows.

    Bad rows are counted only if they are left out, because the whole source must be read to count them.
    """
    embeds = isinstance(translator, TextEmbedder)
    page_rows, measured_rows = (_EMBEDDED_ROWS,) * 2 if embeds else (_ESTIMATE_PAGE_ROWS, _ESTIMATE_ROWS)
    start, first_page, rows, payload_bytes, bad, reading = time.perf_counter(), 0.0, 0, 0, 0, 0.0
    embedding = 0.0
    with (
        _without_nulls(source, info, options),
        closing(source.scan(min(options.page_rows, page_rows))) as pages,  # type: ignore[type-var]
    ):
        for records, _ in pages:
            first_page = first_page or time.perf_counter()
            if options.skip_bad:
                usable = (
                    translator.has_text(records)
                    if isinstance(translator, TextEmbedder)
                    else usable_rows(records.vectors)
                )
                bad += len(records) - int(usable.sum())
                records = records.take(np.flatnonzero(usable)) if not usable.all() else records
            if rows < measured_rows and len(records):
                if not embeds:
                    _check_page(records, source, info, options)
                target.check_records(options.as_written(records), spec)
                begun = time.perf_counter()
                vectors = new_vectors(
                    translator,
                    records,
                    str(source.url),
                    inverse=options.inverse,
                    allow_foreign=options.allow_foreign,
                )
                embedding += time.perf_counter() - begun if embeds else 0.0
                target.check_translated(vectors, spec)
                options.as_written(records).row_digests()  # as each reading of a row does
                rows += len(records)
                payload_bytes += 0 if records.payload is None else records.payload.nbytes
                reading = (time.perf_counter() - first_page - embedding) / rows
            if rows >= measured_rows and not options.skip_bad:
                break
    if not rows:
        raise _no_text(translator, source, info) if isinstance(translator, TextEmbedder) else _none_usable(source, info)
    opening = first_page - start
    # Every row is read three times: surveyed, copied, and compared at the end. A text is embedded once.
    seconds = 3 * (opening + info.count * reading) + info.count * embedding / rows
    seconds += target.capabilities.writing_seconds(info.count, spec.d)
    return payload_bytes / rows, round(seconds, 1), bad


def _check_page(records: Records, source: Store, info: StoreInfo, options: Options) -> None:
    """Refuse rows whose vectors cannot be translated, and a source that has no other rows.

    Raises:
        UnusableRowError: a vector cannot be translated, and another one can.
        InputError: none can be translated.
    """
    try:
        check_vectors(records, source.url, info.d)
    except UnusableRowError:
        if usable_rows(records.vectors).any() or _has_usable(source, options):
            raise
        raise _none_usable(source, info) from None


def _has_usable(source: Store, options: Options) -> bool:
    """Return whether a row of a source has a vector that can be translated."""
    options.restrict(source, skip_null=options.skip_null, bad_as_nan=True)
    try:
        with closing(source.scan(options.page_rows)) as pages:  # type: ignore[type-var]
            return any(usable_rows(records.vectors).any() for records, _ in pages)
    finally:
        options.restrict(source)


def _none_usable(source: Store, info: StoreInfo) -> InputError:
    found = none_of(info.count, "vector", "can be translated; all would be left out", "cannot be translated")
    return InputError(f"{source.url}: {found}. {FILL_ONE}")


def _no_text(embedder: TextEmbedder, source: Store, info: StoreInfo) -> InputError:
    column = repr(embedder.text_column)
    found = none_of(info.count, "row", f"has a text in {column}; all would be left out", f"has no text in {column}")
    return InputError(f"{source.url}: {found}.", "Name the column of the texts with {text_column=...}.")


@contextmanager
def _without_nulls(source: Store, info: StoreInfo, options: Options) -> Iterator[None]:
    """Leave out rows without a vector, because a scan would stop at the first one. The plan counts them all."""
    if not info.nulls or options.skip_null or options.skip_bad:
        yield
        return
    options.restrict(source, skip_null=True)
    try:
        yield
    finally:
        options.restrict(source)
