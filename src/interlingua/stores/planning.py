"""What a migration would do and cost, found out without doing it."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from interlingua.core.errors import InputError, OutputExistsError
from interlingua.core.translator import Translator
from interlingua.io._checks import ID_NAMES
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
        where: read only the rows for which this condition holds, in the language of the source.
        skip_null: leave out rows without a vector; without it they are refused.
        triggers: what happens to triggers of the source's table while a column beside the old one is filled: ``"fire"``
            or ``"skip"``. Without it a table that has triggers is refused.
    """

    inverse: bool = False
    metric: Metric | None = None
    ids_as_text: bool = False
    drop_payload: bool = False
    page_rows: int = PAGE_ROWS
    where: str | None = None
    skip_null: bool = False
    triggers: Literal["fire", "skip"] | None = None


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
        nulls: rows without a vector, which are not counted in ``rows``.
        first_null: id of one of them.
        triggers: triggers and rules of the source's table that writing beside the old vectors would fire.
        notes: sentences about costs to others, and about what the index of the target cannot do.
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
    nulls: int = 0
    first_null: str | None = None
    triggers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan(translator: Translator, source: Store, target: Store, options: Options | None = None) -> Plan:
    """Return what a migration would do and cost; reads a few pages and writes nothing.

    Raises:
        InputError: the source cannot be used, or the target could not hold what would come.
        OutputExistsError: the target is there already.
    """
    options = options or Options()
    source.restrict(where=options.where, skip_null=options.skip_null)
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
    check_id_type(source, info.id_type)
    width, new = translator.d_source, translator.d_target
    if options.inverse:
        width, new = new, width
    if info.d != width:
        hint = " Use inverse=True to translate the other way." if info.d == new else " Is it from another model?"
        raise InputError(f"{source.url} has width {info.d}; this translator takes {width}.{hint}")
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
        id_name=_id_name(source, info, options),
        job=job,
        id_metadata=None if options.ids_as_text else info.id_metadata,
        triggers=options.triggers,
    )


def _id_name(source: Store, info: StoreInfo, options: Options) -> str:
    """Return a name for the column of the ids that no payload column has, in capitals or not."""
    names = () if info.schema is None or options.drop_payload else info.schema.names
    taken = {name.lower() for name in names}
    # Readers look for the second name before any other.
    name = next((name for name in ("id", ID_NAMES[0]) if name not in taken), None)
    if name is None:
        raise InputError(
            f"{source.url}: the payload has columns 'id' and {ID_NAMES[0]!r}, the names that a column of ids can have. "
            "Rename one, or leave the payload out with drop_payload=True."
        )
    return name


def check_id_type(source: Store, kind: pa.DataType) -> None:
    """Refuse ids that are neither whole numbers nor text.

    Raises:
        InputError: they are of another type.
    """
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind)):
        raise InputError(
            f"{source.url}: the ids are {kind}; whole numbers or text are needed. Name another column with ?id=, "
            "or make "
            "a view or a column that holds them as text."
        )


def refuse_unasked(plan: Plan, options: Options) -> None:
    """Refuse what a migration does only if an option asks for it.

    Raises:
        InputError: rows without a vector, or triggers that would fire.
    """
    if plan.nulls and not options.skip_null:
        raise InputError(
            f"{plan.source}: the vector of id {plan.first_null} is null; {plan.nulls:,} rows have no vector and "
            f"{plan.rows:,} "
            "have one. Fill them, or leave them out with skip_null=True."
        )
    if plan.triggers and options.triggers is None:
        raise InputError(
            f"{plan.target} is written into the source's own table, where every update fires "
            f"{', '.join(plan.triggers)}. "
            "Name a new table as the target, or say triggers='fire', or triggers='skip', which needs a superuser."
        )


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
    if info.nulls and not options.skip_null:
        # The scan would stop at the first row without a vector; the plan still says how many there are.
        source.restrict(where=options.where, skip_null=True)
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
        nulls=info.nulls, first_null=info.first_null, triggers=target.triggers(spec),
        notes=(*info.notes, *target.notes(spec)),
    )  # fmt: skip


def _free(url: StoreURL) -> int | None:
    if url.host or url.scheme not in _LOCAL:
        return None
    place = Path(url.path).resolve()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
