"""`plan`: how to move a collection to another model, with the commands to run and their costs."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua._routes import NEEDED_ROWS, RecordedSearches, Route, choose_route
from interlingua.core.arguments import check_count, check_on_rows, check_text, described
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.stores._blank_texts import without_text

if TYPE_CHECKING:
    from interlingua.core.records import Records
    from interlingua.stores import Capabilities, Store

__all__ = ["CollectionPlan", "Costs", "plan"]

_PAGE_ROWS = 4_096
# A column holds texts if its values have at least this mean length, at least this share of them are different, and at
# least the same share contain spaces or non-ASCII letters, which addresses, paths and keys do not.
_TEXT_LENGTH, _TEXT_VARIETY = 20, 0.5
# Rows that are translated in a second on two cores, at widths of 768 and 384 (speed-translate.json).
_TRANSLATED_PER_SECOND = 110_000


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Estimated costs.

    Fits: from recorded fits and the current speed of this machine. The rest: from recorded rates.

    Attributes:
        fit_seconds: of an unpaired fit that finds a map, on at most 20,000 rows of each side.
        failed_fit_seconds: of an unpaired fit that finds none and searches to its last round, with the second search
            where there is one by default.
        failed_views_fit_seconds: the same with views of the target, which turn the second search on for more sizes.
        paired_fit_seconds: of a fit on 5,000 pairs of public texts, without the time to embed them.
        fit_bytes: memory of the unpaired fit.
        migrate_seconds: of translating the rows that have to be translated and of writing them, into a store of the
            kind that holds them.
        disk_bytes: of the new vectors, an index not included; ``None`` while their width is not known.
    """

    fit_seconds: float
    failed_fit_seconds: float
    failed_views_fit_seconds: float
    paired_fit_seconds: float
    fit_bytes: int
    migrate_seconds: float
    disk_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class CollectionPlan:
    """What a collection holds and what to do with it.

    Attributes:
        source: its address.
        where: the condition that its rows had to meet; None for all rows. The other numbers are of these rows.
        rows: number of rows with a vector.
        nulls: number of rows without one.
        d: width.
        sampled: rows with a usable vector that were looked at.
        unusable: further rows that were read and have no vector, or one of zeros or NaN.
        repeats: share of the sampled rows whose vector is a copy of another's.
        texts: payload columns, or keys of documents, that hold texts, the one with the most first.
        text_share: share of the sampled rows that have a text in the first of these columns.
        migrated: the collection says that `interlingua.stores.migration.migrate` wrote its vectors. Some stores keep no
            such mark.
        model: the known model that made the vectors, or ``"unknown"``.
        target: address of the vectors of the new model; ``None`` if there are none.
        target_rows: number of rows of the new model's vectors that have a vector; ``None`` if there are none.
        target_d: their width.
        target_model: the known model that made them, or ``"unknown"``; ``None`` if there are none, or too few.
        reduced: the vectors look reduced by PCA, so that vectors of a second model, reduced in the same manner, are not
            noticed.
        mixed_share: share of rows of a second model, 0 where none was found.
        mixed_ids: ids of these rows in the sample, the surest first.
        route: what to do: ``"separate"`` the rows of two models first; ``"re-embed"`` the texts with the new model;
            ``"re-embed in part"`` where only some rows have a text, fit on these rows as pairs, and translate the
            others; fit on ``"public pairs"``, texts that both models embed; or fit ``"unpaired"``. There is nothing to
            fit for vectors that were ``"translated"`` already, and for two collections of the ``"same model"``.
        reasons: sentences that explain the route.
        commands: the next commands, in order; none where the rows are too few for a fit.
        needed_rows: vectors by the new model that the route needs: of every text of the collection that there is, of
            public texts, or of other texts of similar content.
        moved_rows: rows that the commands translate and write, 0 for a route that translates none. It is less than
            ``rows`` where a store selects the rows without a text.
        expected_top1: range of top-1 in recorded fits of as many rows; ``None`` where there are none.
        searches: how translated or newly embedded documents of this route ranked in recorded searches; ``None`` for a
            collection that has to be separated first, and without commands.
        costs: of a route with a fit; ``None`` for the others, which are not estimated, and without commands.
    """

    source: str
    where: str | None
    rows: int
    nulls: int
    d: int
    sampled: int
    unusable: int
    repeats: float
    texts: tuple[str, ...]
    text_share: float
    migrated: bool
    model: str
    target: str | None
    target_rows: int | None
    target_d: int | None
    target_model: str | None
    reduced: bool
    mixed_share: float
    mixed_ids: tuple[Any, ...]
    route: Route
    reasons: tuple[str, ...]
    commands: tuple[str, ...]
    needed_rows: int
    moved_rows: int
    expected_top1: tuple[float, float] | None
    searches: RecordedSearches | None
    costs: Costs | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def summary(self) -> str:
        """Return the plan in lines for people, as ``interlingua plan`` prints it."""
        from interlingua._plan_summary import summarize

        return summarize(self)

    def __str__(self) -> str:
        """Return `summary`."""
        return self.summary()


def plan(
    source: str,
    target: str | None = None,
    *,
    rows: int = 5_000,
    where: str | None = None,
    target_where: str | None = None,
    seed: int = 0,
    on_rows: OnRows | None = None,
) -> CollectionPlan:
    """Look at a collection and say what to do with it; nothing is written.

    Args:
        source: address of the collection, as a migration takes it.
        target: address of vectors of the new model, if there are some.
        rows: number of rows to look at, drawn at random. The collection is read once, up to the last of them.
        where: a condition that the rows of source have to meet, in the language of its store; None for all rows.
        target_where: the same for target.
        seed: of the draw.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.

    Returns:
        What the collection holds, the route that fits it with its reasons, the next commands, and estimated costs.

    Raises:
        InputError: a collection cannot be read or has an id twice, or fewer than 50 of the rows that were read have a
            usable vector.
        MissingExtraError: the client of a store is not installed.
    """
    from interlingua import identification
    from interlingua.core.arrays import usable_rows
    from interlingua.stores import open_source
    from interlingua.stores._distinct import check_none_repeated

    for name, value in (("source", source), ("target", target)):
        if hasattr(value, "shape") or hasattr(value, "vectors"):
            raise InputError(
                f"{name} is {described(value)}; the address of a file or a collection is needed. Save the vectors to a "
                ".npy file, or align arrays with align(source, target)."
            )
    rows, seed = check_count(rows, "rows", minimum=identification.MIN_ROWS), check_count(seed, "seed")
    if target is None and target_where is not None:
        raise InputError("There is no target with rows to select.", "Name it, or leave {target_where=...} out.")
    check_on_rows(on_rows)
    with open_source(check_text(source, "source")) as store:
        store.restrict(where=where, skip_null="skip_null" in store.capabilities.selects, bad_as_nan=True)
        info, address, scheme, capabilities = store.info(), str(store.url), store.url.scheme, store.capabilities
        check_none_repeated(store)
        migrated = store.is_migrated()
        drawn = _draw_rows(store, info.count, rows, seed, on_rows)
    sample = [part.take(np.flatnonzero(usable_rows(part.vectors))) for part in drawn]
    vectors = np.concatenate([np.asarray(part.vectors, np.float32) for part in sample])
    check_enough(address, len(vectors), read=sum(map(len, drawn)), count=info.count, nulls=info.nulls)
    width = available = target_model = None
    target_unusable, target_mixed = 0, 0.0
    if target is not None:
        with open_source(check_text(target, "target")) as store:
            try:
                skip_null = "skip_null" in store.capabilities.selects
                store.restrict(where=target_where, skip_null=skip_null, bad_as_nan=True)
            except InputError as error:
                error.rename_argument("where", "target_where")
                raise
            if str(store.url) == address and where == target_where:
                raise InputError(
                    f"{address} was given for both sides; give vectors of the new model as TARGET, or leave it out."
                )
            new = store.info()
            width, available = new.d, new.count
            if store.is_migrated():
                raise InputError(
                    f"interlingua translated the vectors of {store.url}; TARGET needs vectors that the new model "
                    "itself made. Name those, or leave TARGET out."
                )
            target_model, target_unusable, target_mixed = _look_at_target(store, new.count, rows, seed, on_rows)
    model = identification.identify(vectors).model
    mixture = identification.find_mixture(vectors, seed=seed)
    ids = [value for page in sample for value in page.ids.to_pylist()]
    texts = _find_text_columns(sample)
    facts: dict[str, Any] = {
        "source": address,
        "where": where,
        "rows": info.count,
        "nulls": info.nulls,
        "d": info.d,
        "sampled": len(vectors),
        "unusable": sum(map(len, drawn)) - len(vectors),
        "repeats": round(1 - len(np.unique(vectors, axis=0)) / len(vectors), 4),
        "texts": tuple(texts),
        "text_share": next((int(share * 10_000) / 10_000 for share in texts.values()), 0.0),
        "migrated": migrated,
        "model": model,
        "target": target,
        "target_rows": available,
        "target_d": width,
        "target_model": target_model,
        "reduced": identification.looks_reduced(vectors),
        "mixed_share": 0.0 if mixture is None else round(mixture.share, 4),
        "mixed_ids": () if mixture is None else tuple(ids[row] for row in mixture.surest.tolist()),
    }
    # No condition of a table reads a key of documents that it keeps as JSON.
    rest = without_text(scheme, next(iter(texts))) if texts and not _has_documents(sample) else None
    chosen = choose_route(
        facts, target, target_where, available, target_unusable=target_unusable, target_mixed=target_mixed, rest=rest,
        width=width,
    )  # fmt: skip
    is_fit = bool(chosen["commands"]) and chosen["route"] in ("public pairs", "unpaired", "re-embed in part")
    costs = None
    if is_fit:
        costs = _estimate_costs(info.count, available, info.d, width, chosen["moved_rows"], writer=capabilities)
    return CollectionPlan(**facts, **chosen, costs=costs)


def check_enough(address: str, usable: int, *, read: int, count: int, nulls: int) -> None:
    """Refuse a collection of which too few vectors can be used to recognize their model.

    Args:
        address: of the collection or file.
        usable: number of rows that were read and have a vector that can be used.
        read: number of rows that were read.
        count: number of rows with a vector.
        nulls: number of rows without one, which are not among them.

    Raises:
        InputError: there are fewer than 50.
    """
    from interlingua.identification import MIN_ROWS

    if usable >= MIN_ROWS:
        return
    left_out = read - usable + nulls
    which = f" Left out: {count_of(left_out)} without a usable vector." if left_out else ""
    name = "Read more rows with {rows=...}, name" if read < count else "Name"
    raise InputError(
        f"{address} has {count_of(usable, 'usable vector')} among the rows that were read; at least {MIN_ROWS} rows "
        f"with one are needed.{which}",
        f"{name} a column or file with more vectors, or fill this one.",
    )


def _draw_rows(store: Store, count: int, rows: int, seed: int, on_rows: OnRows | None) -> list[Records]:
    """Return ``rows`` of ``count`` rows, drawn at random, as parts of the pages that they are on."""
    from interlingua.core.records import report_rows, select_rows

    drawn = np.sort(np.random.default_rng(seed).choice(count, min(rows, count), replace=False))
    with closing(store.scan(_PAGE_ROWS)) as pages:  # type: ignore[type-var]
        return list(select_rows(report_rows((records for records, _ in pages), count, on_rows), drawn))


def _look_at_target(
    store: Store, count: int, rows: int, seed: int, on_rows: OnRows | None
) -> tuple[str | None, int, float]:
    """Return the known model of the vectors of a store, how many cannot be used, and the share of a second model.

    The model is None where too few can be used.

    Raises:
        InputError: none of the rows that were read has a vector that can be used.
    """
    from interlingua import identification
    from interlingua.aligners.usable import none_drawn
    from interlingua.core.arrays import usable_rows

    parts = [np.asarray(part.vectors, np.float32) for part in _draw_rows(store, count, rows, seed, on_rows)]
    vectors = np.concatenate(parts)
    used = vectors[usable_rows(vectors)]
    if not len(used):
        raise InputError(
            f"{store.url}: {none_drawn(len(vectors))}; TARGET needs vectors of the new model. Name a column or file "
            "that has some, or leave TARGET out."
        )
    unusable = len(vectors) - len(used)
    if len(used) < identification.MIN_ROWS:
        return None, unusable, 0.0
    mixture = identification.find_mixture(used, seed=seed)
    if mixture is not None:
        # Which of the two models is the new one is not known.
        return identification.UNKNOWN, unusable, mixture.share
    return identification.identify(used).model, unusable, 0.0


def _find_text_columns(sample: list[Records]) -> dict[str, float]:
    """Return the payload columns, or keys of documents, whose values are texts, and not addresses, keys or categories.

    Returns:
        The share of rows with a text for each of these columns, the largest first.
    """
    found = dict[str, float]()
    for name, column in _columns_of_text(sample).items():
        values = [value for value in column if value and value.strip()]
        long = bool(values) and np.mean([len(value) for value in values]) >= _TEXT_LENGTH
        spaced = sum(" " in value or not value.isascii() for value in values)
        if long and min(len(set(values)), spaced) >= _TEXT_VARIETY * len(values):
            found[name] = len(values) / len(column)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _columns_of_text(sample: list[Records]) -> dict[str, list[str | None]]:
    """Return the values of the columns of type text, or of the keys where a store keeps documents. JSON is no text."""
    from interlingua.core.records import is_text
    from interlingua.stores._documents import is_json, payload_rows

    tables = [part.payload for part in sample if part.payload is not None]
    if _has_documents(sample):
        rows = [row for table in tables for row in payload_rows(table, len(table))]
        keys = dict.fromkeys(key for row in rows for key, value in row.items() if isinstance(value, str))
        return {key: [value if isinstance(value := row.get(key), str) else None for row in rows] for key in keys}
    names = [field.name for field in (tables[0].schema if tables else ()) if is_text(field.type) and not is_json(field)]
    return {name: [value for table in tables for value in table.column(name).to_pylist()] for name in names}


def _has_documents(sample: list[Records]) -> bool:
    """Return whether the payload is one column of documents, so that texts are under their keys."""
    from interlingua.stores._documents import is_documents

    payload = sample[0].payload
    return payload is not None and is_documents(payload.schema)


def _estimate_costs(
    rows: int, available: int | None, d: int, width: int | None, moved: int, *, writer: Capabilities
) -> Costs:
    """Return the costs of fits and of a migration.

    Args:
        rows: of the collection.
        available: rows of the new model, if there are some; otherwise as many are assumed as a fit needs.
        d: width of the collection.
        width: of the new vectors, if it is known; otherwise that of the collection is assumed.
        moved: number of rows to translate and write.
        writer: what the store can do that they are written to; one of the kind of the source is assumed.
    """
    from interlingua._costs import estimate_fit, measure_speed

    widths, speed = (d, width or d), measure_speed()
    fit = estimate_fit((rows, available or NEEDED_ROWS), widths, speed)
    return Costs(
        fit_seconds=round(fit.seconds, 1),
        failed_fit_seconds=round(fit.failed_seconds, 1),
        failed_views_fit_seconds=round(fit.failed_views_seconds, 1),
        paired_fit_seconds=round(fit.paired_seconds, 1),
        fit_bytes=fit.memory,
        migrate_seconds=round(moved / _TRANSLATED_PER_SECOND + writer.writing_seconds(moved, widths[1]), 1),
        disk_bytes=None if width is None else 4 * width * moved,
    )
