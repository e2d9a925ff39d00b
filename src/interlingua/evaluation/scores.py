"""Evaluation of a translator on paired rows, in both directions, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_count, check_on_rows, shown
from interlingua.core.arrays import FloatArray, check_matrix, row_blocks, unit_rows
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError, named_side
from interlingua.core.summaries import table_html
from interlingua.core.wording import count_of
from interlingua.evaluation.bootstrap import Interval, Resamples, interval, share_interval
from interlingua.evaluation.metrics import match_ranks, paired_cosine, ranks_among

__all__ = [
    "RETRIEVALS",
    "CollectionScores",
    "DirectionScores",
    "Evaluation",
    "RetrievalScores",
    "SupportsTranslation",
    "check_translator",
    "evaluate",
    "mean_unit_row",
]

RETRIEVALS = ("plain", "csls")
# Ranks are above chance if their mean is better by this many standard deviations; with fewer rows the test has too
# little power.
_CHANCE_DEVIATIONS, _CHANCE_ROWS = 4, 20
# Least mean cosine of translations with themselves after rounding to 8 bits.
_ROUNDED = 0.9999


class SupportsTranslation(Protocol):
    """Anything that maps source rows to target rows and back."""

    def translate(self, x: Any, /) -> Any:
        """Return the rows ``x`` [n, d_source] in the target space [n, d_target]."""

    def invert(self, y: Any, /) -> Any:
        """Return the rows ``y`` [n, d_target] in the source space [n, d_source]."""


@dataclass(frozen=True)
class RetrievalScores:
    """How well true matches rank inside their pool.

    Attributes:
        top_k: share of rows whose true match ranks at ``k`` or better, by ``k``; always holds 1.
        mean_rank: mean rank of the true match, 1 is best, ``(pool + 1) / 2`` is chance. Ties share their mean rank.
        mrr: mean reciprocal rank.
        foscttm: fraction of samples closer than the true match, ``(rank - 1) / (pool - 1)``; 0 is best, 0.5 is chance.
    """

    top_k: Mapping[int, Interval]
    mean_rank: Interval
    mrr: Interval
    foscttm: Interval

    @property
    def top1(self) -> Interval:
        """Share of rows whose true match ranks first."""
        return self.top_k[1]

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, and the bounds under ``intervals``."""
        means = {"top1": self.top1, "mean_rank": self.mean_rank, "mrr": self.mrr, "foscttm": self.foscttm}
        return {
            **{name: mean.value for name, mean in means.items()},
            "top_k": {str(k): mean.value for k, mean in self.top_k.items()},
            "intervals": _bounds({**means, **{f"top{k}": mean for k, mean in self.top_k.items()}}),
        }


@dataclass(frozen=True)
class DirectionScores:
    """The scores of one direction.

    Attributes:
        cosine: mean cosine of a translation with the real vector of its text.
        cosine_centered: the same after subtracting the mean real vector from both; unlike ``cosine`` it is about 0
            for a translator that only hits the right mean.
        retrieval: scores with the translation as the query and the real rows as candidates, by similarity
            (``plain``: cosine, ``csls``: hub-corrected).
        reference: scores with the *real* row as the query and the translations as candidates, as the vec2vec
            reference implementation ranks; use it to compare with published numbers.
        pool: rows in a pool (the largest, when pools differ by one row).
        n: rows evaluated.
    """

    cosine: Interval
    cosine_centered: Interval
    retrieval: Mapping[str, RetrievalScores]
    reference: Mapping[str, RetrievalScores]
    pool: int
    n: int

    @property
    def top1(self) -> Interval:
        """Top-1 accuracy by the first similarity of ``retrieval``."""
        return next(iter(self.retrieval.values())).top1

    @property
    def mean_rank(self) -> Interval:
        """Mean rank by the first similarity of ``retrieval``."""
        return next(iter(self.retrieval.values())).mean_rank

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object with at least ``cosine``, ``top1``, ``mean_rank``, ``pool`` and ``n``."""
        means = {name: getattr(self, name) for name in ("cosine", "cosine_centered", "top1", "mean_rank")}
        return {
            "n": self.n,
            "pool": self.pool,
            **{name: mean.value for name, mean in means.items()},
            "intervals": _bounds(means),
            "retrieval": {kind: scores.to_dict() for kind, scores in self.retrieval.items()},
            "reference": {kind: scores.to_dict() for kind, scores in self.reference.items()},
        }


@dataclass(frozen=True)
class CollectionScores:
    """How well real target rows find the translations of their texts among those of many source rows.

    Attributes:
        top1: share of target rows for which the translation of the same text ranks first by cosine.
        mean_rank: mean rank of that translation; 1 is best.
        pool: number of translations that are ranked.
    """

    top1: Interval
    mean_rank: Interval
    pool: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, and the bounds under ``intervals``."""
        means = {"top1": self.top1, "mean_rank": self.mean_rank}
        return {"pool": self.pool, **{name: mean.value for name, mean in means.items()}, "intervals": _bounds(means)}


@dataclass(frozen=True)
class Evaluation:
    """Paired scores of a translator in both directions.

    Attributes:
        forward: translations of the source against the real target.
        backward: inversions of the target against the real source.
        pool: rows in a pool, at most the ``pool`` of `evaluate`.
        n: rows evaluated.
        seed: seed of the pools and the bootstrap.
        collection: the target rows as queries among the translations of the source rows of one pool and of the further
            ones; None without further source rows.
    """

    forward: DirectionScores
    backward: DirectionScores
    pool: int
    n: int
    seed: int
    collection: CollectionScores | None = None

    @property
    def is_chance(self) -> bool:
        """Whether the true match ranks no better than by chance in both directions, by the first similarity.

        By chance the mean place in the pool is 0.5, with a standard deviation of 0.29 / sqrt(n). Rows that are not the
        same texts give such places, and so does a translator of other models.
        """
        least = 0.5 - _CHANCE_DEVIATIONS / np.sqrt(12 * self.n)
        places = (next(iter(side.retrieval.values())).foscttm.value for side in (self.forward, self.backward))
        return bool(self.n >= _CHANCE_ROWS and min(places) > least)

    @property
    def is_translation(self) -> bool:
        """Whether one side is the translation of the other to within rounding, as the output of the translator is."""
        return max(side.cosine.value for side in (self.forward, self.backward)) >= _ROUNDED

    def __repr__(self) -> str:
        """Return the main scores of both directions on one line."""
        directions = (
            f"{name}: top-1 {scores.top1.value:.3f}, mean rank {scores.mean_rank.value:.1f}, "
            f"cosine {scores.cosine.value:.3f}"
            for name, scores in (("forward", self.forward), ("backward", self.backward))
        )
        found = self.collection
        more = "" if found is None else f"; top-1 {found.top1.value:.3f} among {found.pool} translations"
        return f"Evaluation({'; '.join(directions)}; pools of {self.pool}, {self.n} rows{more})"

    def _repr_html_(self) -> str:
        heading = ("direction", "top-1", "mean rank", "cosine", "centered cosine")
        rows = [
            (name, *map(str, (scores.top1, scores.mean_rank, scores.cosine, scores.cosine_centered)))
            for name, scores in (("source to target", self.forward), ("target to source", self.backward))
        ]
        if self.collection is not None:
            found = self.collection
            name = f"target in the translations of {found.pool:,} source rows"
            rows.append((name, str(found.top1), str(found.mean_rank), "", ""))
        size = f"{self.n:,} paired rows in pools of {self.pool:,}; in brackets the 95% interval"
        return f"<div><strong>Evaluation</strong><br>{size}{table_html(heading, rows)}</div>"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object with both directions."""
        return {
            "n": self.n,
            "pool": self.pool,
            "seed": self.seed,
            "is_chance": self.is_chance,
            "is_translation": self.is_translation,
            "forward": self.forward.to_dict(),
            "backward": self.backward.to_dict(),
            "collection": None if self.collection is None else self.collection.to_dict(),
        }


def evaluate(
    translator: SupportsTranslation,
    source: Any,
    target: Any,
    *,
    pool: int = 8192,
    seed: int = 0,
    ks: Sequence[int] = (1, 5, 10, 16),
    retrieval: Sequence[str] = RETRIEVALS,
    bootstrap: int = 1000,
    others: Any = None,
    on_rows: OnRows | None = None,
) -> Evaluation:
    """Score a translator on paired rows: row ``i`` of both sides is the same text.

    The rows are shuffled and split into the fewest disjoint pools of at most ``pool`` rows, equal in size up to one
    row; a row competes only inside its pool. Memory is bounded by the pool, so memory maps may be larger than memory.

    Args:
        translator: object with ``translate`` and ``invert``.
        source: vectors [n, d_source], or a space with ``.vectors``.
        target: vectors [n, d_target] of the same texts in the same order, or a space with ``.vectors``.
        pool: most rows in a pool. Ranks and top-k depend on it: compare only equal pools. The vec2vec paper uses 8192.
        seed: seed of the pools and the bootstrap.
        ks: the ``k`` of the top-k accuracies; 1 is always added. A ``k`` beyond the pool scores 1.
        retrieval: similarities to rank by, of ``plain`` and ``csls``; the first gives ``top1`` and ``mean_rank``.
        bootstrap: resamples of the rows behind the 95% percentile intervals; 0 leaves the intervals out. The ranks
            are kept and the rows resampled, so the intervals do not cover the choice of the candidates.
        others: vectors [m, d_source] of further source rows, which need no partner in the target, such as the rest of a
            collection. Then `Evaluation.collection` says how well target rows find their texts among the translations
            of the source rows of their pool and of these rows. The other scores are of the paired rows alone, and are
            higher with fewer of them.
        on_rows: called with the phase, the rows done and the number of rows, at the beginning and after each pool.

    Returns:
        The scores of both directions.

    Raises:
        InputError: the sides differ in rows, an argument is out of range, or a matrix cannot be used.
    """
    check_translator(translator)
    source, target = getattr(source, "vectors", source), getattr(target, "vectors", target)
    source, target = check_matrix(source, "source", min_rows=2), check_matrix(target, "target", min_rows=2)
    n = len(source)
    if len(target) != n:
        raise InputError(
            f"{named_side('source')} has {count_of(n)} and {named_side('target')} {len(target):,}; evaluation needs "
            "paired rows, row i of both being the same text. Pass the vectors of the same texts in the same order."
        )
    if others is not None:
        others = check_matrix(getattr(others, "vectors", others), "others", width=source.shape[1])
    pool, ks, retrieval, bootstrap = _check_settings(pool, ks, retrieval, bootstrap)
    seed = check_count(seed, "seed")
    check_on_rows(on_rows)

    pools = np.array_split(np.random.default_rng(seed).permutation(n), -(-n // pool))
    mean_source, mean_target = mean_unit_row(source), mean_unit_row(target)
    forward, backward, ranks = [], [], []
    more = None if others is None else check_matrix(translator.translate(others), "the translation of others")
    if on_rows is not None:
        on_rows("evaluating", 0, n)
    for rows in pools:
        x, y = source[rows], target[rows]
        translated = check_matrix(translator.translate(x), "the translation of source")
        inverted = check_matrix(translator.invert(y), "the inversion of target")
        forward.append(_row_scores(translated, y, mean_target, ks, retrieval))
        backward.append(_row_scores(inverted, x, mean_source, ks, retrieval))
        if more is not None:
            ranks.append(ranks_among(y, translated, more))
        if on_rows is not None:
            on_rows("evaluating", sum(map(len, forward)), n)
    used, resamples = max(map(len, pools)), Resamples(n, seed, bootstrap)
    return Evaluation(
        forward=_direction(np.concatenate(forward), resamples, ks, retrieval, used),
        backward=_direction(np.concatenate(backward), resamples, ks, retrieval, used),
        pool=used,
        n=n,
        seed=seed,
        collection=None if more is None else _in_collection(np.concatenate(ranks), resamples, used + len(more)),
    )


def _in_collection(ranks: FloatArray, resamples: Resamples, pool: int) -> CollectionScores:
    columns = np.stack([ranks <= 1, ranks], axis=1).astype(np.float64)
    top1, mean_rank = (interval(column) for column in (resamples.sums(columns) / len(ranks)).T)
    return CollectionScores(share_interval(top1, len(ranks)), mean_rank, pool)


def check_translator(translator: object) -> None:
    """Refuse an object that cannot translate in both directions.

    Raises:
        InputError: a method is missing.
    """
    for method in ("translate", "invert"):
        if isinstance(translator, type) or not callable(getattr(translator, method, None)):
            raise InputError(
                f"translator is {shown(translator)}, which has no method {method}(); pass alignment.translator() or "
                "another object with translate() and invert()."
            )


def _check_settings(
    pool: Any, ks: Any, retrieval: Any, bootstrap: Any
) -> tuple[int, tuple[int, ...], tuple[str, ...], int]:
    if check_count(pool, "pool", minimum=0) < 2:
        raise InputError(f"pool is {pool}; a pool needs at least 2 rows to rank. Pass pool=2 or more.")
    if isinstance(ks, str) or not isinstance(ks, Iterable):
        raise InputError(f"ks is {shown(ks)}; a sequence of numbers such as (1, 10) is needed.")
    ranks = [check_count(k, "a k of ks") for k in ks]
    if 0 in ranks:
        raise InputError("ks holds 0; a top-k accuracy needs k >= 1. Pass positive numbers such as (1, 10).")
    kinds = () if isinstance(retrieval, str) or not isinstance(retrieval, Iterable) else tuple(retrieval)
    if not kinds or not all(isinstance(kind, str) and kind in RETRIEVALS for kind in kinds):
        raise InputError(
            f"retrieval is {shown(retrieval)}; one or more of {RETRIEVALS} are needed. Pass retrieval=('plain',)."
        )
    if isinstance(bootstrap, int) and bootstrap < 0:
        raise InputError(f"bootstrap is {bootstrap}; 0 or more resamples are needed. Pass 0 to leave intervals out.")
    draws = check_count(bootstrap, "bootstrap")
    return int(pool), tuple(sorted({1, *ranks})), tuple(dict.fromkeys(kinds)), draws


def mean_unit_row(matrix: npt.NDArray[Any]) -> FloatArray:
    """Return the mean [d] of the unit rows of a matrix [n, d], in float32.

    Raises:
        InputError: the matrix cannot be used.
    """
    matrix = check_matrix(matrix, "the matrix")
    total = sum(
        unit_rows(matrix[rows].astype(np.float32)).sum(axis=0, dtype=np.float64) for rows in row_blocks(len(matrix))
    )
    return np.asarray(total / len(matrix), dtype=np.float32)


def _row_scores(
    translated: FloatArray, real: FloatArray, mean: FloatArray, ks: tuple[int, ...], retrieval: tuple[str, ...]
) -> FloatArray:
    """Return the scores of every row of a pool [n, s], in the order in which `_direction` reads them."""
    cosines = [paired_cosine(translated, real), paired_cosine(translated, real, mean=mean)]
    ranks = [match_ranks(translated, real, csls=kind == "csls") for kind in retrieval]
    # First all kinds by the translation as the query, then all by the real row.
    views = [ranks_of_kind for view in zip(*ranks, strict=True) for ranks_of_kind in view]
    return np.stack([*cosines, *(column for ranks_of_kind in views for column in _of_ranks(ranks_of_kind, ks))], axis=1)


def _of_ranks(ranks: FloatArray, ks: tuple[int, ...]) -> list[FloatArray]:
    """Return the columns of `RetrievalScores` for the ranks [n] of the true matches in a pool."""
    return [*((ranks <= k).astype(np.float64) for k in ks), ranks, 1 / ranks, (ranks - 1) / max(len(ranks) - 1, 1)]


def _direction(
    scores: FloatArray, resamples: Resamples, ks: tuple[int, ...], retrieval: tuple[str, ...], pool: int
) -> DirectionScores:
    """Return the means of the scores of all rows [n, s] with their intervals."""
    means = iter([interval(column) for column in (resamples.sums(scores) / len(scores)).T])

    def ranked() -> dict[str, RetrievalScores]:
        return {
            kind: RetrievalScores(
                {k: share_interval(next(means), len(scores)) for k in ks}, next(means), next(means), next(means)
            )
            for kind in retrieval
        }

    return DirectionScores(next(means), next(means), ranked(), ranked(), pool, len(scores))


def _bounds(means: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {
        name: [mean.low, mean.high] for name, mean in means.items() if mean.low is not None and mean.high is not None
    }
