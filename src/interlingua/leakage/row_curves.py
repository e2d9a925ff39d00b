"""The leak against the number of rows: how many leaked rows, and how many public texts, an attacker needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from interlingua._align import align
from interlingua.aligners.base import OnStep, ignore_step
from interlingua.core.alignment import Alignment, Status
from interlingua.core.arguments import check_callable, check_count, check_instance
from interlingua.core.arrays import FloatArray, IntArray, check_matrix, unit_rows
from interlingua.core.errors import InputError
from interlingua.evaluation.bootstrap import Interval, JsonRecord
from interlingua.leakage._points import MIN_ROWS, point_sizes
from interlingua.leakage._predictions import read_words
from interlingua.leakage.inputs import GroundTruth, PublicCorpus
from interlingua.leakage.inversion import KeywordDecoder

__all__ = ["DOCUMENTS", "MIN_ROWS", "RowPoint", "Side", "leak_by_rows"]

Side = Literal["leaked", "public"]
DOCUMENTS = 1_000


@dataclass(frozen=True)
class RowPoint(JsonRecord):
    """What an attacker with fewer rows reads.

    Attributes:
        side: which side has fewer rows: ``leaked`` or ``public``.
        rows: number of rows of that side.
        verdict: verdict of the fit.
        leak: share of documents with a correct word; 0 if the fit failed.
        control: the same for other documents, or for meaningless translations without true texts.
        basis: ``measured``, ``estimated`` or ``attack failed``.
    """

    side: Side
    rows: int
    verdict: str
    leak: Interval
    control: Interval
    basis: str


def leak_by_rows(
    vectors: npt.ArrayLike,
    corpus: PublicCorpus,
    *,
    halvings: int = 3,
    truth: GroundTruth | None = None,
    decoder: KeywordDecoder | None = None,
    fit: Callable[..., Alignment] = align,
    seed: int = 0,
    on_step: OnStep = ignore_step,
) -> tuple[RowPoint, ...]:
    """Attack random subsamples of the leaked rows with all public texts, and all leaked rows with fewer public texts.

    Every point is a fit of its own. Intervals are bootstrap intervals over documents; they do not hold the spread
    between subsamples.

    Args:
        vectors: the leaked rows [n, d].
        corpus: public texts.
        halvings: number of points on each side: a half, a quarter, an eighth and so on. Points below 250 rows are left
            out.
        truth: true contents of the rows, if they are known.
        decoder: decoder of the whole corpus; fitted by default. Fewer public texts get a decoder of their own.
        fit: aligns (leaked, public, seed=seed) without pairs, such as a function that keeps fits. If the corpus has
            views, they are passed as ``views``.
        seed: seed of subsamples, fits, decoders and resamples.
        on_step: called with a dict before each fit.

    Raises:
        InputError: shapes that do not match.
    """
    rows = check_matrix(vectors, "the leaked vectors").astype(np.float32)
    check_instance(corpus, "corpus", PublicCorpus, "a PublicCorpus")
    check_instance(truth, "truth", (GroundTruth, type(None)), "a GroundTruth")
    check_instance(decoder, "decoder", (KeywordDecoder, type(None)), "a KeywordDecoder")
    check_callable(fit, "fit", "a function")
    check_callable(on_step, "on_step", "a function of one dict")
    halvings, seed = check_count(halvings, "halvings", minimum=1), check_count(seed, "seed")
    truth = truth or GroundTruth()
    truth.check_rows(len(rows))
    order = {
        "leaked": np.random.default_rng(seed).permutation(len(rows)),
        "public": np.random.default_rng(seed + 1).permutation(len(corpus.texts)),
    }
    if not any(point_sizes(len(rows), 1) for rows in order.values()):
        raise InputError(f"Both sides have fewer than {2 * MIN_ROWS} rows; a curve needs more.")
    points = []
    for side in order:
        for count in point_sizes(len(order[side]), halvings):
            some = np.sort(order[side][:count])
            # The last fits have most rows and take longest, so the step is not counted.
            on_step({"step": "point", "rows": count, "all_rows": len(order[side]), "side": side})
            if side == "leaked":
                own, picked = decoder or corpus.fit_decoder(seed), some
                alignment = fit(rows[some], corpus.vectors, seed=seed, **_views(corpus))
            else:
                part = corpus.take(some)
                own, picked = part.fit_decoder(seed), np.sort(order["leaked"])
                alignment = fit(rows, part.vectors, seed=seed, **_views(part))
            points.append(_point(side, count, alignment, rows, picked, own, truth, seed))  # type: ignore[arg-type]
    return tuple(points)


def _views(corpus: PublicCorpus) -> dict[str, Any]:
    """Return the views of a corpus as a keyword; nothing without views, which functions of callers may not take."""
    return {"views": corpus.views} if corpus.views else {}


def _point(
    side: Side,
    count: int,
    alignment: Alignment,
    rows: FloatArray,
    picked: IntArray,
    decoder: KeywordDecoder,
    truth: GroundTruth,
    seed: int,
) -> RowPoint:
    picked = np.sort(np.random.default_rng(seed).permutation(picked)[:DOCUMENTS])
    verdict = alignment.verdict.status
    translated = unit_rows(np.asarray(alignment.forward(rows[picked]), np.float32))
    leak, control, basis = read_words(decoder, translated, truth.take(picked).texts, seed)
    if basis == "estimated" and verdict is Status.FAILED:
        leak, basis = Interval(0.0), "attack failed"
    return RowPoint(side, count, str(verdict), leak, control, basis)
