"""What a migration costs, measured on the first pages of its source."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from interlingua.core.arrays import FloatArray, usable_rows
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import Records, concatenated
from interlingua.core.wording import none_of
from interlingua.io._checks import FILL_ONE
from interlingua.stores._protocol import Spec, Store, StoreInfo
from interlingua.stores._vectors import check_vectors
from interlingua.stores.reembedding import TextEmbedder, new_vectors

if TYPE_CHECKING:
    from interlingua.core.translator import Translator
    from interlingua.stores.planning import Options

__all__ = ["compared_every", "measure"]

# An estimate reads pages until it has seen this many rows.
_ESTIMATE_PAGE_ROWS, _ESTIMATE_ROWS = 1_024, 5_120
# Texts that an estimate embeds: few and then more, to tell the start of a program from the time of a text, and more
# again of the same page if the start takes most of the time.
_EMBEDDED_ROWS = (8, 120, 896)
# A run compares at least this many rows at the end, or all if there are fewer.
_COMPARED_ROWS = 256
# A call of many texts that takes less than so many times as long as one of few is mostly its start.
_SLOW_START = 2


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
    embeds, measured_rows = isinstance(translator, TextEmbedder), _ESTIMATE_ROWS
    if embeds:
        measured_rows = sum(_EMBEDDED_ROWS[:2])
    start, first_page, reading, rows, read, payload_bytes, bad = time.perf_counter(), 0.0, 0.0, 0, 0, 0, 0
    calls, embedded = list[_Call](), list[tuple[Records, FloatArray]]()

    def renew(records: Records) -> FloatArray:
        inverse, allow_foreign = options.inverse, options.allow_foreign
        return new_vectors(translator, records, str(source.url), inverse=inverse, allow_foreign=allow_foreign)

    with (
        _without_nulls(source, info, options),
        closing(source.scan(min(options.page_rows, _ESTIMATE_PAGE_ROWS))) as pages,  # type: ignore[type-var]
    ):
        for records, _ in pages:
            first_page = first_page or time.perf_counter()
            read += len(records)
            if options.skip_bad:
                usable = (
                    translator.has_text(records)
                    if isinstance(translator, TextEmbedder)
                    else usable_rows(records.vectors)
                )
                bad += len(records) - int(usable.sum())
                records = records.take(np.flatnonzero(usable)) if not usable.all() else records
            if rows < measured_rows and len(records):
                if isinstance(translator, TextEmbedder):
                    translator.check_texts(records, str(source.url))
                    vectors = _embed_some(records, renew, calls)
                    embedded.append((records.rows(0, len(vectors)), vectors))
                else:
                    _check_page(records, source, info, options)
                    vectors = renew(records)
                target.check_records(options.as_written(records), spec)
                target.check_translated(vectors, spec)
                options.as_written(records).row_digests()  # as each reading of a row does
                rows += len(records)
                payload_bytes += 0 if records.payload is None else records.payload.nbytes
                embedding = sum(call.seconds for call in calls)
                reading = (time.perf_counter() - first_page - embedding) / read
            if rows >= measured_rows and not options.skip_bad:
                break
    if not rows:
        raise _no_text(translator, source, info) if isinstance(translator, TextEmbedder) else _none_usable(source, info)
    if isinstance(translator, TextEmbedder):
        some, vectors_of_some = zip(*embedded, strict=True)
        translator.check_reads(concatenated(some), np.concatenate(vectors_of_some))
    opening = first_page - start
    # Every row is read three times: surveyed, copied, and compared at the end.
    seconds = 3 * (opening + info.count * reading) + _embedding_seconds(calls, info.count - bad, options.page_rows)
    seconds += target.capabilities.writing_seconds(info.count, spec.d)
    return payload_bytes / rows, round(seconds, 1), bad


@dataclass(frozen=True)
class _Call:
    """A call of an encoder.

    Attributes:
        texts: how many it embedded.
        seconds: how long it took.
    """

    texts: int
    seconds: float


def _embed_some(records: Records, embed: Callable[[Records], FloatArray], calls: list[_Call]) -> FloatArray:
    """Return the vectors of the first rows of a page, embedded in calls of several sizes, which are added to ``calls``.

    Args:
        records: rows with texts.
        embed: makes their vectors.
        calls: of the pages before.
    """
    vectors, done = list[FloatArray](), 0
    for size in _EMBEDDED_ROWS:
        starts_slowly = len(calls) > 1 and calls[-1].seconds < _SLOW_START * calls[0].seconds
        if done == len(records) or (size == _EMBEDDED_ROWS[-1] and not starts_slowly):
            break
        part = records.rows(done, min(done + size, len(records)))
        begun = time.perf_counter()
        vectors.append(embed(part))
        calls.append(_Call(len(part), time.perf_counter() - begun))
        done += len(part)
    return np.concatenate(vectors)


def _embedding_seconds(calls: Sequence[_Call], count: int, page_rows: int) -> float:
    """Return how long a run embeds texts: those of every page in one call, and some again at the end.

    A call takes the time of its start, which is long for a program that loads a model, and that of its texts.

    Args:
        calls: what was measured; none where no text is embedded.
        count: number of the texts.
        page_rows: texts of a page.
    """
    if not calls:
        return 0.0
    short, long = (choose(calls, key=lambda call: call.texts) for choose in (min, max))
    of_text = max(long.seconds - short.seconds, 0.0) / max(long.texts - short.texts, 1)
    if short.texts == long.texts:
        of_text = short.seconds / short.texts if len(calls) > 1 else 0.0
    start = max(short.seconds - short.texts * of_text, 0.0)
    # A run embeds one text to know the width, and measures as this estimate does.
    starts = 1 + len(calls) + -(-count // page_rows) + 1
    # The texts of the rows that are compared at the end are embedded again.
    compared = -(-count // compared_every(count))
    return starts * start + (sum(call.texts for call in calls) + count + compared) * of_text


def compared_every(count: int) -> int:
    """Return the step from one of the rows that a run compares at the end to the next, given their number."""
    return max(1, count // _COMPARED_ROWS)


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
