"""Hits of a search on the screen: their table, and sentences on what their scores are."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from interlingua.core.comparison import MIN_BATCH
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of

if TYPE_CHECKING:
    from interlingua.core.translator import Translator
    from interlingua.stores import Store
    from interlingua.stores.joint import JointHit, JointSearch

__all__ = [
    "TEXT_COLUMN",
    "Space",
    "columns_of",
    "count_texts",
    "explain",
    "hit_table",
    "note_few_queries",
    "note_missing_text",
    "note_same_ids",
    "other_space",
    "sides_of",
]

TEXT_COLUMN = "text"
# Characters of a value in the table.
_SHOWN = 70


class Space(StrEnum):
    """The two spaces of a translator."""

    SOURCE = "source"
    TARGET = "target"


def columns_of(results: Sequence[Sequence[JointHit]], show: Sequence[str] | None) -> list[str]:
    """Return the columns to print.

    Raises:
        InputError: no hit has such a column.
    """
    there = {name for hits in results for hit in hits for name in hit.payload or ()}
    missing = [name for name in show or () if name not in there]
    if missing:
        several = " Give --show once for each column." if "," in missing[0] else ""
        raise InputError(
            f"--show: no hit has a column {missing[0]!r}; columns are {', '.join(sorted(there)) or 'none'}.{several}"
        )
    return list(show or ([TEXT_COLUMN] if TEXT_COLUMN in there else []))


def note_missing_text(results: Sequence[Sequence[JointHit]]) -> list[str]:
    """Return a note where hits lack the column that is shown by default and have others that could be shown."""
    without = [hit for hits in results for hit in hits if TEXT_COLUMN not in (hit.payload or {})]
    others = sorted({name for hit in without for name in hit.payload or {}})
    if not others:
        return []
    whose = f"{len(without):,} of {sum(map(len, results)):,} hits are of rows without a column {TEXT_COLUMN!r}"
    one = f"their only column is {others[0]!r}" if len(others) == 1 else f"their columns are {', '.join(others)}"
    return [f"{whose}; {one}. --show COLUMN prints a column; it may be repeated."]


def hit_table(
    results: Sequence[Sequence[JointHit]], sides: dict[str, str], columns: Sequence[str], *, translated: bool
) -> Table:
    """Return the table of hits.

    Args:
        results: the hits of each query.
        sides: what the rows of a collection are called, by the address of the collection.
        columns: payload columns to show.
        translated: whether the collection of the other model holds translations.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("query", "rank", "score"):
        table.add_column(heading, justify="right")
    for heading in ("id", "from", *columns):
        table.add_column(heading, overflow="fold")
    for number, hits in enumerate(results):
        for rank, hit in enumerate(hits, 1):
            side = sides.get(hit.store, hit.store)
            how = "translated" if translated else "query translated"
            origin = f"{side}, {how}" if hit.translated else side
            origin += ", ranked again" if hit.reranked else ""
            values = [_short((hit.payload or {}).get(name)) for name in columns]
            table.add_row(str(number), str(rank), f"{hit.score:.3f}", str(hit.id), origin, *values)
    return table


def _given_name(translator: Translator, side: str) -> str:
    """Return the name that the fit gave a space of the translator, or an empty text if it gave none."""
    name = (translator.card.get(side) or {}).get("name")
    return "" if name in (None, side) else str(name)


def sides_of(
    joint: JointSearch, translator: Translator, space: Space, stores: Sequence[Store | None], *, translated: bool
) -> dict[str, str]:
    """Return what the rows of the collections of source and target are called, by the address of the collection."""
    names = {}
    for store, side in zip(stores, Space, strict=True):
        if store is not None:
            is_embedded = joint.embedded and side is not space
            # The vectors of a migrated or embedded collection are of the model of the queries, not of the one that
            # names this side.
            of = space if translated else side
            names[str(store.url)] = f"{side}, embedded" if is_embedded else _titled(translator, of)
    return names


def _titled(translator: Translator, side: Space) -> str:
    """Return a space of the translator, with the name that the fit gave it."""
    name = _given_name(translator, side)
    return f"{name} ({side})" if name else str(side)


def _short(value: Any) -> str:
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def explain(
    joint: JointSearch,
    translator: Translator,
    space: Space,
    reranker: str | None,
    results: Sequence[Sequence[JointHit]],
    *,
    translated: bool,
) -> list[str]:
    """Return sentences that say what the scores are."""
    name = _given_name(translator, joint.scale)
    of = f"{name} ({joint.scale} space)" if name else f"the {joint.scale} space"
    lines = [f"score: cosine with the query, on the scale of {of}."]
    if reranker is not None:
        lines[0] = f"score: cosine of the query with the text of the hit, both by {reranker}."
        if any(not hit.reranked for hits in results for hit in hits):
            lines.append("Hits without a text are not ranked again; their score is an estimate of the same cosine.")
    elif any(hit.translated for hits in results for hit in hits):
        how = {
            "translator": "converted by the calibration of the translator",
            "collections": "converted so that translated and native vectors rank alike, by a comparison of sampled "
            "rows of both collections",
            "none": "not converted, and usually lower than that of a text embedded again",
        }[joint.calibration]
        lines.append(
            f"Hits marked translated are rows of {other_space(space).upper()}, whose vectors are translations to the "
            f"{space} space; their cosine is {how}."
            if translated
            else f"Hits of the {other_space(space)} collection were found by the translated query. Their score "
            f"compares the query itself with their translated vectors; this cosine is {how}."
        )
        if joint.calibration == "collections":
            single = (
                "leaves the cosine as it is"
                if translator.calibration is None
                else "uses the calibration of the translator"
            )
            lines.append(f"A search of that collection alone {single}, so the same hits have other scores there.")
    if reranker is None and joint.embedded:
        lines.append(
            f"The {other_space(space)} collection was embedded by `interlingua embed`, as its mark says. Its vectors "
            "are no translations, so their scores are not converted."
        )
    elif reranker is None and joint.calibration == "none" and translator.calibration is None:
        lines.append("This translator has no calibration of scores; fit again, or add one with interlingua calibrate.")
    return lines


def count_texts(found: Sequence[Sequence[JointHit]], column: str) -> str:
    """Return a sentence that says how many nominees were ranked by a text."""
    from interlingua.stores.rerank import text_of

    texts = sum(text_of(hit, column) is not None for hits in found for hit in hits)
    return f"{texts:,} of {sum(map(len, found)):,} nominees have a text in {column!r} and were ranked again."


def note_same_ids(results: Sequence[Sequence[JointHit]]) -> list[str]:
    """Return advice where hits of two collections have the same ids."""
    both = 0
    for hits in results:
        ids = [{str(hit.id) for hit in hits if hit.store == store} for store in {hit.store for hit in hits}]
        both += sum(map(len, ids)) - len(set().union(*ids))
    if not both:
        return []
    if both == 1:
        return ["1 id is among the hits of both collections. If it is the same row, --unique-ids prints it once."]
    return [
        f"{both:,} ids are among the hits of both collections. If they are the same rows, --unique-ids prints each "
        "once."
    ]


def note_few_queries(queries: Any, translator: Translator, space: Space, *, translated: bool) -> list[str]:
    """Return a warning where nothing shows which of both models embedded so few queries.

    Args:
        queries: vectors [q, d] of the width of their space.
        translator: between both spaces.
        space: the one whose model is said to have embedded them.
        translated: whether the collection is a migrated one, which queries of the other model cannot search.
    """
    if translator.d_source != translator.d_target:
        return []
    compared = translator.profiles[space is Space.SOURCE].compare(queries)
    if compared.rows >= MIN_BATCH or compared.foreign:
        return []
    return [
        f"Too few queries to check which model embedded them: {count_of(compared.rows, 'different query')}, and "
        f"{MIN_BATCH} are needed. They are taken for queries of the {space} model"
        + ("." if translated else f"; for those of the other model add --space {other_space(space)}.")
    ]


def other_space(space: Space) -> Space:
    """Return the space on the other side of the translator."""
    return Space.SOURCE if space is Space.TARGET else Space.TARGET
