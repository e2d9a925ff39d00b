"""What a migration would do and cost, found out without doing it."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from interlingua.core.errors import InputError, OutputExistsError
from interlingua.core.translator import Translator
from interlingua.stores._protocol import METRICS, Metric, Spec, Store, StoreInfo
from interlingua.stores._url import StoreURL

PAGE_ROWS = 4_096
# An index of links and a log of changes, beside the vectors themselves.
_OVERHEAD = 1.5
_LOCAL = {"file", "lancedb", "chroma", "qdrant", "qdrant-edge", "milvus", "duckdb", "faiss"}


@dataclass(frozen=True)
class Options:
    """How to migrate.

    Attributes:
        inverse: translate from the target space back to the source space.
        metric: of the new vectors; by default the source's if it has one, else cosine.
        ids_as_text: write whole numbers as text, for stores that take no others.
        drop_payload: copy ids and vectors only.
        page_rows: rows read, translated and written at a time.
    """

    inverse: bool = False
    metric: Metric | None = None
    ids_as_text: bool = False
    drop_payload: bool = False
    page_rows: int = PAGE_ROWS


@dataclass(frozen=True)
class Plan:
    """What a migration would do, without doing it.

    Attributes:
        source: address of the source.
        target: address of the new vectors.
        rows: how many will be read and written.
        d_in: width of the source's vectors.
        d_out: width of the new ones.
        metric: of the new vectors.
        beside: a vector is added to the source's own collection.
        dropped: payload columns that will not be copied.
        bytes: estimate of the space the target needs.
        free_bytes: space where the target will lie, ``None`` on a server.
        seconds: estimate of the whole time: reading and translating as measured on the first pages, writing by the
            target's usual rate.
    """

    source: str
    target: str
    rows: int
    d_in: int
    d_out: int
    metric: Metric
    beside: bool
    dropped: tuple[str, ...]
    bytes: int
    free_bytes: int | None
    seconds: float


def plan(translator: Translator, source: Store, target: Store, options: Options | None = None) -> Plan:
    """Return what a migration would do and cost; reads a few pages and writes nothing.

    Raises:
        InputError: the source cannot be used, or the target could not hold what would come.
        OutputExistsError: the target is there already.
    """
    options = options or Options()
    info = source.info()
    spec = spec_of(translator, source, target, info, options, job="")
    refuse_same(source, target)
    target.check(spec)
    if target.exists():
        raise OutputExistsError(f"{target.url} exists; choose another name or drop it first.")
    return estimate(translator, source, target, info, spec, options)


def spec_of(translator: Translator, source: Store, target: Store, info: StoreInfo, options: Options, job: str) -> Spec:
    """Return the collection or vector to make.

    Raises:
        InputError: the source has another width than the translator takes, or there is no such metric.
    """
    width, new = translator.d_source, translator.d_target
    if options.inverse:
        width, new = new, width
    if info.d != width:
        hint = "Use {inverse} to translate the other way." if info.d == new else "Is it from another model?"
        raise InputError(f"{source.url} has width {info.d}; this translator takes {width}.", hint)
    metric = options.metric or info.metric or "cosine"
    if metric not in METRICS:
        raise InputError(f"There is no metric {metric!r}; choose from {', '.join(METRICS)}.")
    if options.metric is None and metric not in target.capabilities.metrics:
        metric = "cosine"
    return Spec(
        d=new,
        metric=metric,
        id_type=pa.string() if options.ids_as_text else info.id_type,
        schema=None if options.drop_payload else info.schema,
        count=info.count,
        beside=source.url.place == target.url.place and len(target.url.names) > 1,
        id_name=_free_name(info),
        job=job,
        id_metadata=None if options.ids_as_text else info.id_metadata,
    )


def _free_name(info: StoreInfo) -> str:
    taken = () if info.schema is None else info.schema.names
    return next(name for name in ("id", "_id", "interlingua_id") if name not in taken)


def refuse_same(source: Store, target: Store) -> None:
    """Refuse a target that is the source.

    Raises:
        InputError: it is.
    """
    here, there = source.url, target.url
    named = [_vector_name(url) for url in (here, there)]
    if here.place == there.place and (named[0] == named[1] or None in named[1:]):
        raise InputError(
            f"{there} is the source itself, whose vectors are never written to. "
            "Name a new collection, column or vector."
        )


def _vector_name(url: StoreURL) -> str | None:
    return url.names[-1] if len(url.names) > 1 else None


def estimate(
    translator: Translator, source: Store, target: Store, info: StoreInfo, spec: Spec, options: Options
) -> Plan:
    """Measure the first pages and estimate the rest.

    Raises:
        InputError: there is too little room.
    """
    start, opened, rows = time.perf_counter(), 0.0, 0
    convert = translator.invert if options.inverse else translator.translate
    payload_bytes = 0
    with closing(source.scan(min(options.page_rows, 1024))) as pages:  # type: ignore[type-var]
        for records, _ in pages:
            opened = opened or time.perf_counter()
            convert(np.asarray(records.vectors, np.float32))
            rows += len(records)
            payload_bytes += 0 if records.payload is None else records.payload.nbytes
            if rows >= 5_120:
                break
    opening, reading = opened - start, (time.perf_counter() - opened) / max(rows, 1)
    writing = max(1.0, spec.d / 384) / target.capabilities.rows_per_second
    needed = int(info.count * (_OVERHEAD * 4 * spec.d + payload_bytes / max(rows, 1)))
    free = _free(target.url)
    if free is not None and free < needed:
        raise InputError(
            f"{target.url}: about {needed / 1e9:.2f} GB are needed and {free / 1e9:.2f} GB are free. Make room, or "
            "choose another place."
        )
    dropped = tuple(info.schema.names) if options.drop_payload and info.schema is not None else ()
    return Plan(
        str(source.url), str(target.url), info.count, info.d, spec.d, spec.metric, spec.beside, dropped, needed, free,
        # Everything is read twice: surveyed, then copied.
        round(2 * (opening + info.count * reading) + info.count * writing, 1),
    )  # fmt: skip


def _free(url: StoreURL) -> int | None:
    if url.host or url.scheme not in _LOCAL:
        return None
    place = Path(url.path).resolve()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
