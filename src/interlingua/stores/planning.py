"""What a migration would do and what it would cost, measured without writing anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from interlingua.core.arguments import Bounds, check_settings
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import Records
from interlingua.core.translator import Translator
from interlingua.core.wording import count_of, size_of
from interlingua.io._checks import check_output
from interlingua.stores._blank_texts import check_every_text
from interlingua.stores._capabilities import METRICS, Metric
from interlingua.stores._conditions import check_condition
from interlingua.stores._estimates import measure
from interlingua.stores._names import id_name
from interlingua.stores._origin import collection_name, origin_of
from interlingua.stores._protocol import Spec, Store, StoreInfo
from interlingua.stores._taken import taken_error
from interlingua.stores._unfilled import unfilled_notes
from interlingua.stores._url import StoreURL
from interlingua.stores.reembedding import TextEmbedder, first_payload

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "MOST_PAGE_ROWS",
    "PAGE_ROWS",
    "Options",
    "Plan",
    "advise_skip_bad",
    "make_plan",
    "options_for",
    "plan",
    "target_spec",
]

PAGE_ROWS = 4_096
# Pages are held in memory, and no client takes numbers of any size.
MOST_PAGE_ROWS = 1_000_000
# Bytes of the target for each byte of its vectors: an index and a log of changes are stored as well.
_OVERHEAD = 1.5


@dataclass(frozen=True)
class Options:
    """How to migrate.

    Attributes:
        inverse: translate from the target space back to the source space.
        metric: of the new vectors; by default the metric of the source, or cosine if the source has none.
        ids_as_text: write whole numbers as text, for stores that accept only text ids.
        drop_payload: copy ids and vectors only.
        page_rows: rows that are read, translated and written together.
        where: read only the rows for which this condition holds, in the language of the source.
        skip_null: leave out rows without a vector; otherwise they are refused.
        skip_bad: leave out every row whose vector cannot be translated: it is missing, zero, not finite or of another
            width. Lines of a file that cannot be read are left out as well.
        triggers: ``"fire"`` or ``"skip"`` the triggers of the source's table while a new column of the same table is
            filled. Without a choice, a table that has triggers is refused. Any other target refuses the choice.
        allow_foreign: migrate vectors that cannot be of the space of the translator; otherwise they are refused.
    """

    bounds: ClassVar[Bounds] = {"page_rows": {"minimum": 1, "maximum": MOST_PAGE_ROWS}}

    inverse: bool = False
    metric: Metric | None = None
    ids_as_text: bool = False
    drop_payload: bool = False
    page_rows: int = PAGE_ROWS
    where: str | None = None
    skip_null: bool = False
    skip_bad: bool = False
    triggers: Literal["fire", "skip"] | None = None
    allow_foreign: bool = False

    def __post_init__(self) -> None:
        """Check types; whether a store can do what is chosen is checked in the plan."""
        check_settings(self)

    def restrict(
        self, source: Store, condition: str | None = None, *, skip_null: bool = False, bad_as_nan: bool = False
    ) -> None:
        """Make a source return only the rows that these options choose.

        Args:
            source: the source.
            condition: another condition that holds for the rows.
            skip_null: leave out rows without a vector in any case.
            bad_as_nan: read vectors that cannot be used as NaN in any case.

        Raises:
            InputError: the source cannot select rows.
        """
        conditions = [text for text in (self.where, condition) if text is not None]
        where = next(iter(conditions), None)
        if len(conditions) > 1:
            where = " and ".join(f"({check_condition(text, str(source.url))}\n)" for text in conditions)
        skip_null = skip_null or self._leaves_out_null(source)
        source.restrict(where=where, skip_null=skip_null, bad_as_nan=bad_as_nan or self.skip_bad)

    def read_info(self, source: Store) -> StoreInfo:
        """Make a source return only the rows that these options choose, and return facts about them.

        Raises:
            InputError: the source cannot be used.
        """
        self.restrict(source)
        return source.info()

    def as_written(self, records: Records) -> Records:
        """Return ids and payload as the target gets them, with the vectors of the source."""
        ids = records.ids.cast("string") if self.ids_as_text else records.ids
        return Records(ids, records.vectors, None if self.drop_payload else records.payload)

    def _leaves_out_null(self, source: Store) -> bool:
        return self.skip_null or (self.skip_bad and "skip_null" in source.capabilities.selects)


@dataclass(frozen=True)
class _TextOptions(Options):
    """Options of a run that embeds texts, which needs no old vectors: rows without one are embedded like the others."""

    def restrict(
        self, source: Store, condition: str | None = None, *, skip_null: bool = False, bad_as_nan: bool = False
    ) -> None:
        """As for `Options`; vectors that cannot be used are always read as NaN."""
        super().restrict(source, condition, skip_null=skip_null, bad_as_nan=True)

    def read_info(self, source: Store) -> StoreInfo:
        """As for `Options`; rows without an old vector are counted among the others, unless they are left out.

        Raises:
            UnusableRowError: a file has lines that cannot be read, and they are not to be left out.
        """
        info = super().read_info(source)
        if not info.nulls or self.skip_null:
            return info
        if "skip_null" in source.capabilities.selects:
            return replace(info, count=info.count + info.nulls, nulls=0, first_null=None)
        if not self.skip_bad:
            lines = f"{count_of(info.nulls, 'line')} cannot be read; the first is {info.first_null}"
            raise UnusableRowError(f"{source.url}: {lines}.")
        return info

    def _leaves_out_null(self, source: Store) -> bool:
        return self.skip_null


def options_for(translator: Translator | TextEmbedder, options: Options | None) -> Options:
    """Return the options as they hold for a translator, or for an embedder of texts.

    Args:
        translator: makes the new vectors.
        options: how to migrate; ``None`` for the defaults.
    """
    options = options or Options()
    return _TextOptions(**asdict(options)) if isinstance(translator, TextEmbedder) else options


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a migration does and an estimate of its costs, made before anything is written.

    Attributes:
        source: address of the source.
        target: address of the new vectors.
        rows: number of rows to read and write.
        d_in: width of the source's vectors.
        d_out: width of the new vectors.
        metric: of the new vectors.
        as_new_vector: whether a vector is added to the source's own collection.
        dropped: payload columns that will not be copied.
        payload: payload columns that will be copied.
        needed_bytes: estimated size of the target.
        free_bytes: free disk space at the target, ``None`` on a server.
        seconds: estimated duration: reading and translating as measured here, writing by the usual rate of the target.
        nulls: rows without a vector, which are not counted in ``rows``.
        first_null: id of one of them.
        bad: rows with a vector that cannot be translated, which are left out and not counted in ``rows``.
        types: payload columns that the target keeps in another type: column, type in the source, type in the target.
        triggers: triggers and rules of the source's table that fire when a new column of the same table is filled.
        notes: sentences about costs to others, and about the limits of the target's index.
        origin: what the new vectors are made of: names of the source's vectors and of both models, as far as they are
            known. A Parquet file holds it.
    """

    source: str
    target: str
    rows: int
    d_in: int
    d_out: int
    metric: Metric
    as_new_vector: bool
    dropped: tuple[str, ...]
    needed_bytes: int
    free_bytes: int | None
    seconds: float
    payload: tuple[str, ...] = ()
    nulls: int = 0
    first_null: str | None = None
    bad: int = 0
    types: tuple[tuple[str, str, str], ...] = ()
    triggers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    origin: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Plan:
        """Return a plan from its fields as JSON holds them."""
        lists = {name: tuple(facts[name]) for name in ("dropped", "payload", "triggers", "notes")}
        return cls(**{**facts, **lists, "types": tuple(tuple(row) for row in facts["types"])})


@contextmanager
def advise_skip_bad(options: Options) -> Iterator[None]:
    """Add the option that leaves out rows without a usable vector to the error about such a row.

    Only a migration has this option, so readers of rows do not name it. A migration does not name it either once rows
    are copied, because its options cannot change any more.

    Args:
        options: of the migration. Nothing is added if they leave out such rows already.
    """
    try:
        yield
    except UnusableRowError as error:
        if not options.skip_bad:
            error.remedy = error.remedy or "Such rows can be left out with {skip_bad}."
        raise


def plan(translator: Translator | TextEmbedder, source: Store, target: Store, options: Options | None = None) -> Plan:
    """Return what a migration would do and cost; nothing is written. Texts are counted in the whole source.

    Raises:
        InputError: the source cannot be used, or the target could not hold the result or has too little space.
        OutputExistsError: the target exists already.
    """
    from interlingua.stores._distinct import check_none_repeated

    options = options_for(translator, options)
    with advise_skip_bad(options):
        info = options.read_info(source)
        spec = target_spec(translator, source, target, info, options)
        check_none_repeated(source)
        check_every_text(translator, source, info, options)
        return make_plan(translator, source, target, info, spec, options)


def target_spec(
    translator: Translator | TextEmbedder, source: Store, target: Store, info: StoreInfo, options: Options
) -> Spec:
    """Return the collection or vector that a migration makes.

    Raises:
        InputError: the target is the source, the source does not have the width that the translator takes, there is
            no such metric, or the choice about triggers would have no effect.
    """
    import pyarrow as pa

    _check_other_vectors(source.url, target.url)
    if not (pa.types.is_integer(info.id_type) or pa.types.is_string(info.id_type)):
        raise InputError(
            f"{source.url}: the ids are {info.id_type}; whole numbers or text are needed. Name another column "
            "with ?id=, or make a view or a column that holds them as text."
        )
    new = _new_width(translator, source, info, options)
    metric = options.metric or info.metric or "cosine"
    if metric not in METRICS:
        raise InputError(f"There is no metric {metric!r}; choose from {', '.join(METRICS)}.")
    if options.metric is None and metric not in target.capabilities.metrics:
        metric = "cosine"
    as_new_vector = source.url.collection_key == target.url.collection_key and len(target.url.names) > 1
    if as_new_vector and info.vector_name and len(source.url.names) == 1:
        named = replace(source.url, names=(*source.url.names, info.vector_name))
        raise InputError(
            f"{source.url} does not name its vectors, and there will be two with {target.url}. Write the source as "
            f"{named}."
        )
    if options.triggers is not None and not (as_new_vector and target.capabilities.has_triggers):
        raise InputError(
            f"{target.url}: the migration updates no row of a table that can have triggers.",
            f"Leave {{triggers={options.triggers}}} out.",
        )
    schema = None if options.drop_payload else info.schema
    return Spec(
        d=new,
        metric=metric,
        id_type=pa.string() if options.ids_as_text else info.id_type,
        schema=schema,
        count=info.count,
        as_new_vector=as_new_vector,
        id_name=id_name(source.url, target.url, () if schema is None else schema.names),
        id_metadata=None if options.ids_as_text else info.id_metadata,
        triggers=options.triggers,
        origin=origin_of(translator, collection_name(source.url), info.vector_name, inverse=options.inverse),
    )


def _new_width(translator: Translator | TextEmbedder, source: Store, info: StoreInfo, options: Options) -> int:
    """Return the width of the new vectors.

    Raises:
        InputError: rows that the translator or the embedder does not take.
    """
    if isinstance(translator, TextEmbedder):
        translator.check_column(info.schema, str(source.url), lambda: first_payload(source))
        for name in ("inverse", "allow_foreign"):
            if getattr(options, name):
                raise InputError("Texts are embedded, and no vector is translated.", f"Leave {{{name}}} out.")
        return translator.d
    width, new = translator.d_source, translator.d_target
    if options.inverse:
        width, new = new, width
    if info.d != width:
        hint = "Use {inverse} to translate in the other direction." if info.d == new else "Is it from another model?"
        raise InputError(f"{source.url} has width {info.d}; this translator takes {width}.", hint)
    return new


def make_plan(
    translator: Translator | TextEmbedder, source: Store, target: Store, info: StoreInfo, spec: Spec, options: Options
) -> Plan:
    """Check that the target can be made, measure the first pages of the source, and return the plan.

    Raises:
        InputError: the target could not hold the result, or has too little space.
        OutputExistsError: the target exists already.
    """
    target.check(spec)
    if target.is_taken(spec):
        raise taken_error(target, spec)
    payload_bytes, seconds, bad = measure(translator, source, info, spec, target, options)
    spec = replace(spec, count=info.count - bad)
    needed = int(spec.count * (_OVERHEAD * 4 * spec.d + payload_bytes))
    free = _free(target.url)
    if free is not None and free < needed:
        sizes = f"about {size_of(needed)} are needed and {size_of(free)} are free"
        raise InputError(f"{target.url}: {sizes}. Make room, or choose another place.")
    unfilled = unfilled_notes(source, target, spec, options)
    return Plan(
        source=str(source.url),
        target=str(target.url),
        rows=spec.count,
        d_in=info.d,
        d_out=spec.d,
        metric=spec.metric,
        as_new_vector=spec.as_new_vector,
        payload=() if spec.as_new_vector or spec.schema is None else tuple(spec.schema.names),
        dropped=tuple(info.schema.names) if options.drop_payload and info.schema is not None else (),
        needed_bytes=needed,
        free_bytes=free,
        seconds=seconds,
        nulls=info.nulls,
        first_null=info.first_null,
        bad=bad,
        types=() if spec.as_new_vector else tuple(_changed_types(spec.schema or (), target)),
        triggers=target.triggers(spec),
        notes=(*info.notes, *target.notes(spec), *unfilled),
        origin=dict(spec.origin or {}),
    )


def _changed_types(fields: Iterable[pa.Field], target: Store) -> Iterator[tuple[str, str, str]]:
    from interlingua.stores._documents import type_name

    for column in fields:
        before, after = type_name(column), type_name(target.kept(column))
        if before != after:
            yield column.name, before, after


def _check_other_vectors(source: StoreURL, target: StoreURL) -> None:
    """Refuse a target that is the source, its collection without a vector of its own, or a file in its folder."""
    vectors = [url.names[-1] if len(url.names) > 1 else None for url in (source, target)]
    if source.collection_key == target.collection_key and (vectors[0] == vectors[1] or vectors[1] is None):
        raise InputError(
            f"{target} is the source itself, whose vectors are never written to. "
            "Name a new collection, column or vector."
        )
    if source.scheme == "file" and target.on_disk:
        check_output(Path(target.path), [Path(source.path)])


def _free(url: StoreURL) -> int | None:
    """Return the free bytes on the disk of a target, or None on a server."""
    if not url.on_disk:
        return None
    folder = Path(url.path).resolve()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
