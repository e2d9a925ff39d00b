"""Search with one query in two collections of different models, or in a collection of another model.

The query is sent unchanged to the collection of its own model, and translated to the other collection; neither database
is changed. Hits of the other collection are translated into the query's space and scored in it, because a score between
a translated query and old vectors is on the scale of the old model. Translations can still score higher or lower than
vectors of the model itself. For one collection the calibration of the translator removes this difference. Two
collections are merged by matching the quantiles of background scores among their own rows. This ranks hits of the other
model lower and finds more of the true ones than the calibration does (benchmarks/notes/search.md). A collection that
was migrated holds translations in the query's space already. It is searched by the query as it is, and its scores are
converted in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from interlingua.core.arguments import check_choice, check_count, check_flag, check_instance, check_on_rows
from interlingua.core.arrays import FloatArray, check_matrix, unit_rows
from interlingua.core.calibration import match_quantiles, quantiles_of
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError, SpaceMismatchError
from interlingua.core.translator import Translator
from interlingua.stores._documents import payload_rows
from interlingua.stores._protocol import Store, StoreInfo
from interlingua.stores.sampling import sample_rows

__all__ = ["Calibration", "JointHit", "JointSearch", "Side"]

Side = Literal["source", "target"]
# The background sample of a collection is drawn from this many rows at its beginning.
_POOL_ROWS = 50_000
_QUERIES = 256
# Candidates of a group of queries that are in memory at the same time.
_CANDIDATES = 100_000
# With fewer candidates, the best hit by score is often not among them.
_FEWEST_CANDIDATES = 100
# Rows of a collection that are compared with the space of the translator.
_COMPARED = 1_024
_OPPOSITE: Mapping[Side, Side] = {"source": "target", "target": "source"}
# Advice for a collection of another width than its space.
_MIGRATED = "A migrated collection has the width of the queries; leave {translated} out for one of the other model."
_OF_THE_QUERIES = (
    "If it was migrated with this translator, say so with {translated}. A collection whose vectors the model of the "
    "queries made needs no translator to be searched alone: in Python, open_store(ADDRESS).search(queries, k)."
)
# What converts scores; see `JointSearch.calibration`.
Calibration = Literal["translator", "collections", "none"]


@dataclass(frozen=True)
class JointHit:
    """One hit.

    Attributes:
        store: address of the row's collection.
        id: of the row in that collection.
        score: cosine with the query on the scale of `JointSearch.scale`, or after `interlingua.stores.rerank.rerank`
            that of the encoder; larger is nearer.
        raw: the cosine before any conversion, in the query's space.
        translated: whether the row is of the other model, so that its score depends on the translation: of the query,
            or of the row in a migrated collection, unless `interlingua embed` made its vectors.
        payload: the other columns of the row, if they were asked for; times that Python cannot represent are text.
        reranked: whether the score is that of an encoder which read the text of the row.
    """

    store: str
    id: Any
    score: float
    raw: float
    translated: bool
    payload: Mapping[str, Any] | None = None
    reranked: bool = False


class JointSearch:
    """Search in a collection of the translator's source space, in one of its target space, or in both together.

    Args:
        translator: between the two spaces.
        source: a collection of the source space, if any.
        target: a collection of the target space, if any.
        query_space: space of the query vectors, usually that of the model that can still be run.
        sample: rows of each of two collections that match their scores; 0 disables every conversion of scores.
        scale: the model on whose scale scores are given, so that its thresholds apply; that of the queries by default.
        seed: of the random generator that draws the sample.
        allow_foreign: do not compare collections and queries with the spaces of the translator.
        translated: the collection of the other model was migrated: it holds translations into the space of the queries.
            If a mark says that `interlingua embed` made its vectors, their scores are not converted.
        unique_ids: rows of both collections with the same id, compared as text, are the same text. A hit of the other
            model's collection is left out where the search in the query's own collection has found the same id.

    Attributes:
        calibration: what converts the scores of the other model's collection: the calibration of the ``"translator"``,
            samples of both ``"collections"``, or ``"none"``.
        scale: the model on whose scale scores are given.
        embedded: whether a mark of the collection that was given with ``translated`` says that the model of the queries
            made its vectors of texts, so that they are no translations.

    Raises:
        SpaceMismatchError: the vectors of a collection cannot be of its space.
        InputError: no collection, a collection of another width, or one that is not searched by cosine; or the scale of
            the other model without a calibration of the translator.

    Example:
        ::

            joint = JointSearch(translator, open_source(old), open_source(new))
            for hit in joint.search(queries, k=10)[0]:
                hit.store, hit.id, hit.score
    """

    def __init__(
        self,
        translator: Translator,
        source: Store | None = None,
        target: Store | None = None,
        *,
        query_space: Side = "target",
        sample: int = 1_000,
        scale: Side | None = None,
        seed: int = 0,
        allow_foreign: bool = False,
        translated: bool = False,
        unique_ids: bool = False,
    ) -> None:
        if source is None and target is None:
            raise InputError(
                "No collection was given; one of the source space, of the target space or both are needed."
            )
        check_instance(translator, "translator", Translator, "a Translator")
        for store, name in ((source, "source"), (target, "target")):
            check_instance(store, name, (Store, type(None)), "a store, as open_store returns it, or None")
        check_choice(query_space, "query_space", ("source", "target"))
        sample, seed = check_count(sample, "sample"), check_count(seed, "seed")
        self.scale: Side = query_space if scale is None else check_choice(scale, "scale", ("source", "target"))  # type: ignore[assignment]
        self._query_space, self._known = query_space, translator.calibration if sample else None
        if self.scale != query_space and self._known is None:
            reason = "it is switched off" if translator.calibration is not None else "this translator has none"
            raise InputError(
                f"Scores on the scale of the {self.scale} space need the calibration of a translator, and {reason}.",
                "Add one with Translator.fit_calibration or interlingua calibrate, or leave {scale=...} out.",
            )
        widths = {"source": translator.d_source, "target": translator.d_target}
        self._d = widths[query_space]
        self._own, self._other = (target, source) if query_space == "target" else (source, target)
        check_flag(translated, "translated")
        check_flag(allow_foreign, "allow_foreign")
        self._unique_ids = check_flag(unique_ids, "unique_ids")
        self._check_roles(translated=translated)
        self.embedded = bool(translated and self._other is not None and self._other.is_embedded())
        # Collections and queries are compared with their spaces before they are translated.
        self._to_other: Callable[[FloatArray], FloatArray] = partial(translator.invert, allow_foreign=True)
        self._to_own: Callable[[FloatArray], FloatArray] = partial(translator.translate, allow_foreign=True)
        if query_space == "source":
            self._to_other, self._to_own = self._to_own, self._to_other
        if translated:
            self._to_other = self._to_own = _unchanged
        # Many stores count their rows for these facts, so a search does not ask for them again.
        self._id_types: dict[str, pa.DataType] = {}
        sides: tuple[tuple[Store | None, Side], ...] = (source, "source"), (target, "target")
        for store, side in sides:
            if store is not None:
                is_migrated = translated and store is self._other
                width, other = widths[side], widths[_OPPOSITE[side]]
                width, other = (other, width) if is_migrated else (width, other)
                advice = _MIGRATED if is_migrated else _OF_THE_QUERIES if store is self._other else ""
                self._id_types[str(store.url)] = _check(store, width, other, advice).id_type
                # Translations are not quite where the model itself would put the texts.
                if not allow_foreign and (not is_migrated or self.embedded):
                    _check_space(store, translator, inverse=(store is target) is not is_migrated)
        self._check_queries: Callable[[FloatArray], None] | None = None
        if not allow_foreign:
            self._check_queries = partial(translator.check_space, inverse=query_space == "target")
        self._quantiles: tuple[FloatArray, FloatArray] | None = None
        if sample and not self.embedded:
            self._quantiles = self._sampled_quantiles(sample, np.random.default_rng(seed))
        self.calibration: Calibration = "none" if self._quantiles is None else "collections"
        if self._own is None and self._known is not None and not self.embedded:
            self.calibration = "translator"

    def search(
        self,
        queries: Any,
        k: int = 10,
        *,
        candidates: int = 10,
        payload: bool = False,
        on_rows: OnRows | None = None,
    ) -> list[list[JointHit]]:
        """Return the k nearest rows of each query, best first.

        Queries are searched in groups, so that memory is needed for the hits that are returned, and not for all
        candidates at once.

        Args:
            queries: [q, d] vectors of the query space, or a single one [d].
            k: number of hits.
            candidates: the other collection returns this many times k hits, and 100 at least, because scoring changes
                their order.
            payload: whether hits have the other columns of their rows.
            on_rows: called with the phase, the queries done and their number, after each group.

        Raises:
            SpaceMismatchError: the queries cannot be of the query space.
            InputError: queries of another width, with NaN or all zeros, or k below 1.
        """
        rows = np.asarray(queries)
        rows = check_matrix(rows[None] if rows.ndim == 1 else rows, "queries", width=self._d)
        k, candidates = check_count(k, "k"), check_count(candidates, "candidates")
        if k < 1 or candidates < 1:
            raise InputError(f"k is {k} and candidates {candidates}; at least 1 is needed.")
        units = unit_rows(np.asarray(rows, np.float32))
        if self._check_queries is not None:
            self._check_queries(units)
        check_flag(payload, "payload")
        check_on_rows(on_rows)
        results: list[list[JointHit]] = []
        size = max(_CANDIDATES // (k if self._other is None else max(k * candidates, _FEWEST_CANDIDATES)), 1)
        for start in range(0, len(units), size):
            best = self._search_group(units[start : start + size], k, candidates)
            results += self._with_payload(best) if payload else best
            if on_rows is not None:
                on_rows("searching", len(results), len(units))
        return results

    def _check_roles(self, *, translated: bool) -> None:
        """Refuse choices about a collection of the other model, or about two, where there is none.

        Raises:
            InputError: such a choice has no effect.
        """
        if translated and self._other is None:
            other = _OPPOSITE[self._query_space]
            raise InputError(
                f"No {other} collection was given, and queries of the {self._query_space} space search translations of "
                f"a {other} collection.",
                f"Give the migrated collection as the {other}, or leave {{translated}} out.",
            )
        if self._unique_ids and (self._own is None or self._other is None):
            raise InputError("One collection was given, so that no id is in two.", "Leave {unique_ids} out.")

    def _search_group(self, units: FloatArray, k: int, candidates: int) -> list[list[JointHit]]:
        merged: list[list[JointHit]] = [[] for _ in units]
        if self._own is not None:
            for hits, own in zip(merged, self._own.search(units, k), strict=True):
                pairs = zip(own.ids, own.scores.tolist(), strict=True)
                hits += [JointHit(str(self._own.url), i, self._scaled(s), s, False) for i, s in pairs]
        if self._other is not None:
            nominees = max(k * candidates, _FEWEST_CANDIDATES)
            for hits, more in zip(merged, self._search_other(self._other, units, nominees), strict=True):
                hits += more
        if self._unique_ids and self._other is not None:
            merged = [_unique(hits, str(self._other.url)) for hits in merged]
        return [sorted(hits, key=lambda hit: -hit.score)[:k] for hits in merged]

    def _search_other(self, other: Store, units: FloatArray, k: int) -> list[list[JointHit]]:
        answers = other.search(np.asarray(self._to_other(units), np.float32), k)
        ids = list(dict.fromkeys(value for hits in answers for value in hits.ids))
        if not ids:
            return [[] for _ in units]
        rows = other.fetch(pa.array(ids, self._id_types[str(other.url)]))
        vectors = unit_rows(np.asarray(self._to_own(np.asarray(rows.vectors, np.float32)), np.float32))
        positions = {value: row for row, value in enumerate(ids)}
        scored = []
        for query, hits in zip(units, answers, strict=True):
            raw = vectors[[positions[value] for value in hits.ids]] @ query
            pairs = zip(hits.ids, self._converted(raw).tolist(), raw.tolist(), strict=True)
            foreign = not self.embedded
            scored.append([JointHit(str(other.url), i, self._scaled(s), float(r), foreign) for i, s, r in pairs])
        return scored

    def _converted(self, raw: FloatArray) -> FloatArray:
        """Return cosines of translated rows on the scale of the query's model."""
        if self.calibration == "translator" and self._known is not None:
            kind = "translated" if self._query_space == "target" else "inverted"
            return self._known.convert(raw, kind, self._query_space)
        return raw if self._quantiles is None else match_quantiles(raw, *self._quantiles)

    def _scaled(self, score: float) -> float:
        """Return a score on the scale of the query's model on the scale that was asked for."""
        if self._known is None or self.scale == self._query_space:
            return float(score)
        return float(self._known.convert(score, self._query_space, self.scale))

    def _with_payload(self, results: list[list[JointHit]]) -> list[list[JointHit]]:
        """Return the hits with the other columns of their rows, which are read once."""
        rows: dict[tuple[str, Any], Mapping[str, Any]] = {}
        for store in (self._own, self._other):
            if store is None:
                continue
            url = str(store.url)
            ids = list(dict.fromkeys(hit.id for hits in results for hit in hits if hit.store == url))
            if ids:
                values = payload_rows(store.fetch(pa.array(ids, self._id_types[url])).payload, len(ids))
                rows |= {(url, key): value for key, value in zip(ids, values, strict=True)}
        return [[replace(hit, payload=rows[hit.store, hit.id]) for hit in hits] for hits in results]

    def _sampled_quantiles(self, sample: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray] | None:
        """Return quantiles of background scores: of translated rows, and of the query's own collection."""
        if self._own is None or self._other is None:
            return None
        seeds = rng.integers(2**31, size=2).tolist()
        own, other = (
            unit_rows(sample_rows(store, sample + _QUERIES, number, pool=_POOL_ROWS))
            for store, number in zip((self._own, self._other), seeds, strict=True)
        )
        if len(own) < 2 * _QUERIES or len(other) < _QUERIES:
            return None
        queries, background = own[:_QUERIES], own[_QUERIES:]
        translated = unit_rows(np.asarray(self._to_own(other), np.float32))
        return quantiles_of(queries @ translated.T), quantiles_of(queries @ background.T)


def _unchanged(rows: FloatArray) -> FloatArray:
    return rows


def _unique(hits: list[JointHit], other: str) -> list[JointHit]:
    """Return the hits of one query without those of the collection ``other`` whose id the other hits have."""
    own = {str(hit.id) for hit in hits if hit.store != other}
    return [hit for hit in hits if hit.store != other or str(hit.id) not in own]


def _check_space(store: Store, translator: Translator, *, inverse: bool) -> None:
    """Compare the first rows of a collection with its space."""
    try:
        translator.check_space(sample_rows(store, _COMPARED, 0, pool=_COMPARED), inverse=inverse)
    except SpaceMismatchError as error:
        found = error.at(str(store.url))
        if store.is_migrated():
            migrated = (
                "A migration wrote these vectors. If it was to the space of the queries, say so with {translated}."
            )
            found.remedy = f"{migrated} {{translated}}. {found.remedy}".rstrip()
        raise found from error


def _check(store: Store, width: int, other: int, advice: str) -> StoreInfo:
    """Return the facts of a collection; refuse one of another width, and one that is not searched by cosine.

    Args:
        store: the collection.
        width: of its space.
        other: width of the other space of the translator.
        advice: what to do about a collection of that width.
    """
    info = store.info()
    if info.d == other != width:
        raise InputError(
            f"{store.url} has width {info.d} and {width} are needed: its vectors are of the other space. Are the "
            "collections in the wrong order?",
            advice,
        )
    if info.d != width:
        raise InputError(f"{store.url} has width {info.d} and {width} are needed. Is it from another model?")
    if info.metric not in {"cosine", None} and not (info.metric == "dot" and info.normalized):
        raise InputError(
            f"{store.url} is searched by {info.metric}, and scores of two collections can only be compared as cosines. "
            "Use a collection with the metric cosine, or unit vectors and dot."
        )
    return info
