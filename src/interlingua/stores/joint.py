"""One query over two collections of different models, and one over a collection of another model.

The query goes to its own collection as it is and to the other one translated: neither database is touched. What the
other one finds is translated back into the query's space and scored there, because a score between a translated query
and old vectors is on the old model's scale. What is left of the difference in scale, a translation being nearer to
everything or to nothing, is taken out by matching the quantiles of background scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray, check_matrix, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.translator import Translator
from interlingua.stores._protocol import Store
from interlingua.stores.sampling import sample_rows

Side = Literal["source", "target"]
# Rows looked at, from the beginning of a collection, to draw its background sample from.
_POOL_ROWS = 50_000
_QUERIES = 256
# Scores are matched at these shares, closer and closer to the top, where the hits are.
_SHARES = np.concatenate([np.linspace(0, 0.9, 91), 1 - np.geomspace(0.1, 1e-5, 120), [1.0]])


@dataclass(frozen=True)
class JointHit:
    """One row found.

    Attributes:
        store: address of the collection it is from.
        id: its id there.
        score: cosine with the query, on the scale of the query's own collection; the larger the nearer.
        raw: the cosine before scales were matched.
        translated: the row is of the other model, and its score rests on the translation.
    """

    store: str
    id: Any
    score: float
    raw: float
    translated: bool


class JointSearch:
    """Search over a collection of the translator's source space, one of its target space, or both as one.

    Args:
        translator: between the two spaces.
        source: a collection of the source space, if any.
        target: a collection of the target space, if any.
        query_space: what queries are vectors of; usually of the model that can still be run.
        sample: rows of each collection that calibrate the scores; 0 leaves scores as they are.
        seed: decides which rows.

    Raises:
        InputError: no collection, one of another width, or one that is not searched by cosine.

    Example:
        ::

            joint = JointSearch(translator, open_store(old), open_store(new))
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
        seed: int = 0,
    ) -> None:
        if source is None and target is None:
            raise InputError(
                "No collection was given; one of the source space, of the target space or both are needed."
            )
        self._d = translator.d_target if query_space == "target" else translator.d_source
        self._near, self._far = (target, source) if query_space == "target" else (source, target)
        self._there: Callable[[FloatArray], FloatArray] = translator.invert
        self._back: Callable[[FloatArray], FloatArray] = translator.translate
        if query_space == "source":
            self._there, self._back = self._back, self._there
        for store, width in ((source, translator.d_source), (target, translator.d_target)):
            if store is not None:
                _check(store, width)
        self._scale: tuple[FloatArray, FloatArray] | None = None
        if sample:
            self._scale = self._calibrate(sample, np.random.default_rng(seed))

    def search(self, queries: Any, k: int = 10, *, candidates: int = 10) -> list[list[JointHit]]:
        """Return the k nearest rows of each query, best first.

        Args:
            queries: [q, d] vectors of the query space, or a single one [d].
            k: hits wanted.
            candidates: the other collection is asked for so many times k, since its order is not final.

        Raises:
            InputError: queries of another width, with NaN or all zeros, or k below 1.
        """
        rows = np.asarray(queries)
        rows = check_matrix(rows[None] if rows.ndim == 1 else rows, "queries", width=self._d)
        if k < 1 or candidates < 1:
            raise InputError(f"k is {k} and candidates {candidates}; at least 1 is needed.")
        units = unit_rows(np.asarray(rows, np.float32))
        found: list[list[JointHit]] = [[] for _ in units]
        if self._near is not None:
            for hits, here in zip(found, self._near.search(units, k), strict=True):
                pairs = zip(here.ids, here.scores.tolist(), strict=True)
                hits += [JointHit(str(self._near.url), i, s, s, False) for i, s in pairs]
        if self._far is not None:
            for hits, more in zip(found, self._ask_far(self._far, units, k * candidates), strict=True):
                hits += more
        return [sorted(hits, key=lambda hit: -hit.score)[:k] for hits in found]

    def _ask_far(self, far: Store, units: FloatArray, k: int) -> list[list[JointHit]]:
        answers = far.search(np.asarray(self._there(units), np.float32), k)
        wanted = list(dict.fromkeys(value for hits in answers for value in hits.ids))
        if not wanted:
            return [[] for _ in units]
        rows = far.fetch(pa.array(wanted, far.info().id_type))
        vectors = unit_rows(np.asarray(self._back(np.asarray(rows.vectors, np.float32)), np.float32))
        place = {value: row for row, value in enumerate(wanted)}
        found = []
        for query, hits in zip(units, answers, strict=True):
            raw = vectors[[place[value] for value in hits.ids]] @ query
            scores = raw if self._scale is None else np.interp(raw, *self._scale)
            pairs = zip(hits.ids, scores.tolist(), raw.tolist(), strict=True)
            found.append([JointHit(str(far.url), i, float(s), float(r), True) for i, s, r in pairs])
        return found

    def _calibrate(self, sample: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray] | None:
        """Return quantiles of background scores: of translated rows, and of the query's own collection."""
        if self._near is None or self._far is None:
            return None
        seeds = rng.integers(2**31, size=2).tolist()
        near, far = (
            unit_rows(sample_rows(store, sample + _QUERIES, number, pool=_POOL_ROWS))
            for store, number in zip((self._near, self._far), seeds, strict=True)
        )
        if len(near) < 2 * _QUERIES or len(far) < _QUERIES:
            return None
        queries, own = near[:_QUERIES], near[_QUERIES:]
        other = unit_rows(np.asarray(self._back(far), np.float32))
        quantiles = [np.quantile(queries @ rows.T, _SHARES) for rows in (other, own)]
        # Interpolation needs rising values; the last share reaches to 1 so that nothing is cut off.
        rising = np.maximum.accumulate(quantiles[0] + np.arange(len(_SHARES)) * 1e-9)
        return np.append(rising, max(1.0, rising[-1] + 1e-6)), np.append(quantiles[1], max(1.0, quantiles[1][-1]))


def _check(store: Store, width: int) -> None:
    info = store.info()
    if info.d != width:
        raise InputError(
            f"{store.url} has width {info.d} and {width} are needed. Are the collections in the wrong order, or is it "
            "from another model?"
        )
    if info.metric not in {"cosine", None} and not (info.metric == "dot" and info.normalized):
        raise InputError(
            f"{store.url} is searched by {info.metric}, and scores of two collections can only be compared as cosines. "
            "Use a collection with the metric cosine, or unit vectors and dot."
        )
