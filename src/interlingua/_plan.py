"""`plan`: how to move a collection to another model, with the commands to run and their costs."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from interlingua.aligners.base import MIN_ROWS
from interlingua.core.arguments import check_count, check_text
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.core.records import Records
    from interlingua.stores import Store

__all__ = ["CollectionPlan", "Costs", "RecordedSearches", "plan", "public_pairs_command"]

Route = Literal["separate", "re-embed", "public pairs", "unpaired"]

_PAGE_ROWS = 4_096
# A column holds texts if its values have at least this mean length, at least this share of them are different, and at
# least the same share contain spaces or non-ASCII letters, which addresses, paths and keys do not.
_TEXT_LENGTH, _TEXT_VARIETY = 20, 0.5
# Rows of a side, and the range of the forward top-1 of all recorded fits with as many (BGE to MiniLM,
# benchmarks/results/beir.jsonl and exchanges.jsonl). Fits with 1,000 rows or fewer fail.
_QUALITY = ((4_398, (0.95, 0.97)), (2_000, (0.64, 0.86)))
# The same of fits on 3,000 pairs of public texts (benchmarks/results/public-pairs.jsonl).
_PAIRED_QUALITY = (0.81, 0.95)
# Names on the Hub of models that `identify` knows. The other models that it knows are run by a program of the user.
_ENCODERS = {
    "BGE-base-en-v1.5": "BAAI/bge-base-en-v1.5",
    "all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2",
}
# Rows that an unpaired fit needs, public texts that a fit on pairs embeds, and rows with which every recorded unpaired
# fit failed.
_NEEDED_ROWS, _PAIRED_ROWS, _FAILED_ROWS = 4_398, 5_000, 1_000
# Rows that are translated in a second on two cores, at widths of 768 and 384 (speed-translate.json).
_TRANSLATED_PER_SECOND = 110_000
# Rows that a store whose rate is not known writes in a second.
_WRITTEN_PER_SECOND = 5_000


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Estimated costs.

    Fits: from recorded fits and the current speed of this machine. The rest: from recorded rates.

    Attributes:
        fit_seconds: of an unpaired fit that finds a map, on at most 20,000 rows of each side.
        failed_fit_seconds: of an unpaired fit that finds none and searches to its last round.
        paired_fit_seconds: of a fit on 5,000 pairs of public texts, without the time to embed them.
        fit_bytes: memory of the unpaired fit.
        migrate_seconds: of translating and writing every row.
        disk_bytes: of the new vectors, an index not included; ``None`` while their width is not known.
    """

    fit_seconds: float
    failed_fit_seconds: float
    paired_fit_seconds: float
    fit_bytes: int
    migrate_seconds: float
    disk_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class RecordedSearches:
    """How well a route ranked documents in recorded searches, beside the old model itself.

    Each search is of a collection with relevance judgments and of one fit between two models. Scores are nDCG at 10.

    Attributes:
        count: number of searches.
        worse: of these, ranked worse than with the old model, whose queries and documents were its own.
        ndcg: lowest and highest score of the route.
        old_ndcg: lowest and highest score of the old model on the same collections.
        failed: further searches whose fit failed, so that there was no translator to use.
    """

    count: int
    worse: int
    ndcg: tuple[float, float]
    old_ndcg: tuple[float, float]
    failed: int = 0


@dataclass(frozen=True, kw_only=True)
class CollectionPlan:
    """What a collection holds and what to do with it.

    Attributes:
        source: its address.
        rows: number of rows with a vector.
        nulls: number of rows without one.
        d: width.
        sampled: rows with a usable vector that were looked at.
        unusable: further rows that were read and have no vector, or one of zeros or NaN.
        repeats: share of the sampled rows whose vector is a copy of another's.
        texts: payload columns that hold texts.
        model: the known model that made the vectors, or ``"unknown"``.
        mixed_share: share of rows of a second model, 0 where none was found.
        mixed_ids: ids of these rows in the sample.
        route: what to do: ``"separate"`` the rows of two models first; ``"re-embed"`` the texts with the new model; fit
            on ``"public pairs"``, texts that both models embed; or fit ``"unpaired"``.
        reasons: sentences that explain the route.
        commands: the next commands, in order.
        needed_rows: rows of the new model that the route needs.
        expected_top1: range of top-1 in recorded fits of as many rows; ``None`` where there are none.
        searches: how translated or newly embedded documents of this route ranked in recorded searches; ``None`` for a
            collection that has to be separated first.
        costs: of a route with a fit; ``None`` for the others, which are not estimated.
    """

    source: str
    rows: int
    nulls: int
    d: int
    sampled: int
    unusable: int
    repeats: float
    texts: tuple[str, ...]
    model: str
    mixed_share: float
    mixed_ids: tuple[Any, ...]
    route: Route
    reasons: tuple[str, ...]
    commands: tuple[str, ...]
    needed_rows: int
    expected_top1: tuple[float, float] | None
    searches: RecordedSearches | None
    costs: Costs | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


# Searches by the route of their translator (benchmarks/results/retrieval.jsonl); a test compares them with the records.
_SEARCHES = {
    "re-embed": RecordedSearches(count=6, worse=2, ndcg=(0.25, 0.99), old_ndcg=(0.25, 0.99)),
    "public pairs": RecordedSearches(count=6, worse=6, ndcg=(0.08, 0.83), old_ndcg=(0.25, 0.99)),
    "unpaired": RecordedSearches(count=13, worse=13, ndcg=(0.04, 0.65), old_ndcg=(0.25, 0.99), failed=5),
}


def plan(source: str, target: str | None = None, *, rows: int = 5_000, seed: int = 0) -> CollectionPlan:
    """Look at a collection and say what to do with it; nothing is written.

    Args:
        source: address of the collection, as a migration takes it.
        target: address of vectors of the new model, if there are some.
        rows: number of rows to look at, drawn at random. The collection is read once, up to the last of them.
        seed: of the draw.

    Returns:
        What the collection holds, the route that fits it with its reasons, the next commands, and estimated costs.

    Raises:
        InputError: a collection cannot be read, or fewer than 50 of the rows that were read have a usable vector.
        MissingExtraError: the client of a store is not installed.
    """
    from interlingua import identification
    from interlingua.stores import open_source
    from interlingua.stores._vectors import usable_rows

    rows, seed = check_count(rows, "rows", minimum=identification.MIN_ROWS), check_count(seed, "seed")
    with open_source(check_text(source, "source")) as store:
        store.restrict(skip_null="skip_null" in store.capabilities.selects, bad_as_nan=True)
        info, address = store.info(), str(store.url)
        drawn = _draw_rows(store, info.count, rows, seed)
    sample = [part.take(np.flatnonzero(usable_rows(part.vectors))) for part in drawn]
    vectors = np.concatenate([np.asarray(part.vectors, np.float32) for part in sample])
    if len(vectors) < identification.MIN_ROWS:
        raise InputError(
            f"{address} has {len(vectors)} usable vectors among the rows that were read; at least "
            f"{identification.MIN_ROWS} rows are needed."
        )
    width = available = None
    if target is not None:
        with open_source(check_text(target, "target")) as store:
            new = store.info()
            width, available = new.d, new.count
    model = identification.identify(vectors).model
    mixture = identification.find_mixture(vectors, seed=seed)
    ids = [value for page in sample for value in page.ids.to_pylist()]
    facts: dict[str, Any] = {
        "source": address,
        "rows": info.count,
        "nulls": info.nulls,
        "d": info.d,
        "sampled": len(vectors),
        "unusable": sum(map(len, drawn)) - len(vectors),
        "repeats": round(1 - len(np.unique(vectors, axis=0)) / len(vectors), 4),
        "texts": _find_text_columns(sample),
        "model": model,
        "mixed_share": 0.0 if mixture is None else round(mixture.share, 4),
        "mixed_ids": () if mixture is None else tuple(ids[row] for row in mixture.rows.tolist()),
    }
    chosen = _choose_route(facts, target, available)
    is_fit = chosen["route"] in ("public pairs", "unpaired")
    costs = _estimate_costs(info.count, available, info.d, width) if is_fit else None
    return CollectionPlan(**facts, **chosen, costs=costs)


def _draw_rows(store: Store, count: int, rows: int, seed: int) -> list[Records]:
    """Return ``rows`` of ``count`` rows, drawn at random, as parts of the pages that they are on."""
    from interlingua.core.records import select_rows

    drawn = np.sort(np.random.default_rng(seed).choice(count, min(rows, count), replace=False))
    with closing(store.scan(_PAGE_ROWS)) as pages:  # type: ignore[type-var]
        return list(select_rows((records for records, _ in pages), drawn))


def _find_text_columns(sample: list[Records]) -> tuple[str, ...]:
    """Return the names of the payload columns whose values are texts, and not addresses, keys or categories."""
    import pyarrow as pa

    payload = sample[0].payload
    if payload is None:
        return ()
    found = []
    for field in payload.schema:
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            parts = [part.payload.column(field.name).to_pylist() for part in sample if part.payload is not None]
            values = [value for part in parts for value in part if value]
            long = bool(values) and np.mean([len(value) for value in values]) >= _TEXT_LENGTH
            spaced = sum(" " in value or not value.isascii() for value in values)
            if long and min(len(set(values)), spaced) >= _TEXT_VARIETY * len(values):
                found.append(field.name)
    return tuple(found)


def _choose_route(facts: dict[str, Any], target: str | None, available: int | None) -> dict[str, Any]:
    """Return the fields of a plan that follow from what the collection holds, except its costs.

    Args:
        facts: the fields that say what the collection holds.
        target: address of vectors of the new model, if there are some.
        available: number of these vectors.
    """
    source, new = quote(facts["source"]), quote(target or "NEW.parquet")
    leave_out = " --skip-bad" if facts["unusable"] else " --skip-null" if facts["nulls"] else ""
    # Not the two collections: an evaluation needs the same texts on both sides.
    after = (
        "interlingua evaluate translator OLD_PAIRS.npy NEW_PAIRS.npy",
        f"interlingua search translator {source} --space source --query OLD_QUERIES.npy",
        f"interlingua search translator {source} --query NEW_QUERIES.npy",
        f"interlingua migrate translator {source} TARGET --dry-run{leave_out}",
    )
    fit = f"interlingua fit {source} {new} --out translator --report fit.html"
    distinct = round(facts["rows"] * (1 - facts["repeats"]))
    fewest = distinct if available is None else min(distinct, available)
    expected = next((top1 for n, top1 in _QUALITY if min(fewest, _NEEDED_ROWS) >= n), None)
    few = _few_rows(fewest)
    route: Route
    commands: tuple[str, ...]
    mixed = (
        f"{facts['mixed_share']:.0%} of the rows are of another model than the rest. No translator serves both models."
        if facts["mixed_share"]
        else ""
    )
    if facts["texts"]:
        route, commands, expected = "re-embed", (), None
        reasons = [
            f"The collection holds texts ({', '.join(facts['texts'])}). Embed them with the new model, because "
            "translated vectors are only an approximation.",
            mixed or f"If the new model cannot be run on them, an unpaired fit is possible: {fit}",
        ]
    elif mixed:
        route, commands, expected = "separate", (f"interlingua identify {source} --json",), None
        reasons = [
            f"{mixed} Separate the rows first, by the ids that identify lists or by the date on which the model was "
            "changed."
        ]
    elif facts["model"] != "unknown":
        route, expected = "public pairs", _PAIRED_QUALITY
        commands = (public_pairs_command(facts["source"], facts["model"], target), *after)
        reasons = [
            f"{facts['model']} made the vectors, and anybody can run it. Embed {_PAIRED_ROWS:,} public texts with it "
            "and with the new model, and fit on these pairs. No text of the collection is needed. NEW_MODEL is a "
            "sentence-transformers name or folder, or command:PROGRAM, a program that reads one text per line and "
            "writes one vector for each. TEXTS.txt has one text per line.",
            f"Without public texts, an unpaired fit is possible: {fit}",
        ]
    else:
        route, commands = "unpaired", (fit, *after)
        reasons = [
            "The collection holds no texts, and its model is not known. Align it with vectors of other texts that the "
            "new model embedded."
        ]
    if route in ("unpaired", "public pairs"):
        reasons.append(
            "The collection can also stay as it is: interlingua search translates queries of the new model into its "
            "space, and the export sentence-transformers makes a model that embeds such queries."
        )
        reasons.append(
            "OLD_PAIRS.npy and NEW_PAIRS.npy are vectors of the same texts under both models, row by row. A few "
            "hundred that the fit has not seen are enough; without any, leave out the evaluation."
        )
    if facts["unusable"]:
        reasons.append(
            f"{facts['unusable']:,} of the rows that were read have no vector, or one of zeros or NaN. A fit refuses "
            "such rows, so fit on a copy of the collection without them. migrate leaves them out with --skip-bad."
        )
    if few and route != "separate":
        reasons.append(few)
    if route == "unpaired" and fewest < MIN_ROWS:
        commands = ()
    searches = _SEARCHES.get(route)
    if searches is not None:
        reasons.append(_compare_with_the_old_model(route, searches))
    needed = {"unpaired": _NEEDED_ROWS, "public pairs": _PAIRED_ROWS, "re-embed": facts["rows"]}.get(route, 0)
    if route == "unpaired" and available is not None and available < needed:
        reasons.append(f"{target} has {available:,} rows; {needed:,} of similar content are better.")
    return {
        "route": route,
        "reasons": tuple(reasons),
        "commands": tuple(commands),
        "needed_rows": needed,
        "expected_top1": expected,
        "searches": searches,
    }


def _few_rows(fewest: int) -> str:
    """Return what an unpaired fit does with so few different rows of the smaller side, or an empty string."""
    if fewest > _FAILED_ROWS:
        return ""
    refused = f", and one with fewer than {MIN_ROWS} is refused" if fewest < MIN_ROWS else ""
    return (
        f"The smaller side has about {fewest:,} different {'vector' if fewest == 1 else 'vectors'}. Recorded unpaired "
        f"fits on {_FAILED_ROWS:,} rows a side or fewer fail{refused}, so more rows or known pairs are needed."
    )


def _compare_with_the_old_model(route: Route, searches: RecordedSearches) -> str:
    """Return the sentences that advise against a switch without a comparison."""
    (low, high), (old_low, old_high) = searches.ndcg, searches.old_ndcg
    ranges = f"(nDCG at 10 of {low:.2f} to {high:.2f}; the old model has {old_low:.2f} to {old_high:.2f})"
    if route == "re-embed":
        return (
            "Compare both models on queries of your own before you switch. The new model itself ranked worse than the "
            f"old one in {searches.worse} of {searches.count} recorded searches {ranges}."
        )
    failed = f" In {searches.failed} more the fit failed." if searches.failed else ""
    return (
        "Before you switch, compare with the old model as long as it can be run. In recorded searches, collections "
        f"translated after such a fit ranked worse than the old model itself in {searches.worse} of {searches.count} "
        f"{ranges}.{failed} The two search commands show the hits of the same queries, embedded by the old model and "
        "by the new one. Stay with the old model if its hits are better."
    )


def public_pairs_command(source: str, model: str, target: str | None = None) -> str:
    """Return the command that fits on public texts, for a collection of a known model.

    Args:
        source: address of the collection.
        model: its model, as `interlingua.identification.identify` names it.
        target: address of vectors of the new model, if there are some.
    """
    encoder = _ENCODERS.get(model, "command:PROGRAM")
    sides = " ".join(quote(side) for side in (source, target) if side)
    encoders = f"--source-encoder {encoder} --target-encoder NEW_MODEL"
    return f"interlingua fit {sides} {encoders} --texts TEXTS.txt --out translator"


def _estimate_costs(rows: int, available: int | None, d: int, width: int | None) -> Costs:
    """Return the costs of fits and of a migration.

    Args:
        rows: of the collection.
        available: rows of the new model, if there are some; otherwise as many are assumed as a fit needs.
        d: width of the collection.
        width: of the new vectors, if it is known; otherwise that of the collection is assumed.
    """
    from interlingua._costs import estimate_fit, measure_speed

    widths, speed = (d, width or d), measure_speed()
    fit = estimate_fit((rows, available or _NEEDED_ROWS), widths, speed)
    return Costs(
        fit_seconds=round(fit.seconds, 1),
        failed_fit_seconds=round(fit.failed_seconds, 1),
        paired_fit_seconds=round(fit.paired_seconds, 1),
        fit_bytes=fit.memory,
        migrate_seconds=round(rows / _TRANSLATED_PER_SECOND + rows / _WRITTEN_PER_SECOND, 1),
        disk_bytes=None if width is None else 4 * width * rows,
    )
