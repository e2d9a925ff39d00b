"""Evidence from held-out pairs and categories, and what it changes in a verdict.

Ten or more held-out pairs can refute a map, and thirty or more can confirm one that label-free evidence does not
confirm. Categories never confirm a map, because a wrong map can still assign rows to the right categories. Together
with a sufficient transport excess they can make a failed map doubtful.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from interlingua.aligners.conclusion import FEW_ROWS, at_most_doubtful
from interlingua.aligners.linear.guide import HeldOutTranslations, LabeledTranslations
from interlingua.aligners.pair_evidence import nearer_shares, rank_evidence
from interlingua.aligners.sanity import SANITY_CHECKS
from interlingua.core.alignment import Evidence, Status, Verdict
from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.neighbors import nearest
from interlingua.core.statistics import mismatch_limit
from interlingua.core.wording import be, count_of, some_of

__all__ = [
    "MIN_REFUTING_PAIRS",
    "NO_HELD_OUT",
    "category_evidence",
    "is_confirmed",
    "judge_known",
    "pair_evidence",
]

NO_HELD_OUT = "1 pair is known, and it cannot be held out: the verdict rests on measurements without pairs."
# A held-out pair disagrees where more than this share of the target rows are nearer to the translation than it.
_NEAR_SHARE, _MAX_DISAGREEING = 0.1, 0.5
# Fewest pairs that can refute a map, and fewest that can confirm one on their own.
MIN_REFUTING_PAIRS, _MIN_CONFIRMING_PAIRS = 10, 30
# Gain over chance, relative to that among rows of one side: 0.6 for maps that swap categories, 1 for right maps
# (labels.jsonl).
_NEIGHBORS, _MIN_GAIN, _SHARE_OF_GAIN = 10, 0.05, 0.8
_REFITS = ("refit_agreement", "cycle")


def pair_evidence(pairs: tuple[FloatArray, FloatArray], target: FloatArray) -> tuple[Evidence, Evidence, Evidence]:
    """Return how well translations fit known pairs: the mean cosine, the mean rank, and how many pairs disagree.

    Args:
        pairs: translated and true rows [p, w] of held-out pairs, unit norm.
        target: [m, w], unit rows of the target.
    """
    translated, true = pairs
    count = len(true)
    cosines = translated @ true.T
    own = np.diag(cosines)
    others = cosines[~np.eye(count, dtype=bool)] if count > 1 else (translated @ target.T).ravel()
    null, limit = mismatch_limit(others, count)
    few = f" {count_of(count, 'pair')} {be(count)} weak evidence." if count < MIN_REFUTING_PAIRS else ""
    mean = Evidence(
        "held_out_pairs",
        float(own.mean()),
        null,
        limit,
        bool(own.mean() >= limit),
        f"Mean cosine between translated and true rows of known pairs, each by a map fitted without that pair.{few}",
        "at_least",
        "mismatched pairs",
    )
    nearer = nearer_shares(translated, true, target)
    rank = rank_evidence(nearer)
    disagreeing = int((nearer > _NEAR_SHARE).sum())
    share = Evidence(
        "disagreeing_pairs",
        disagreeing / count,
        1 - _NEAR_SHARE,
        _MAX_DISAGREEING,
        disagreeing <= _MAX_DISAGREEING * count,
        f"{some_of(disagreeing, count, 'known pair', 'disagrees', 'disagree')} with the map fitted without them: the "
        "true row is not among the nearest tenth of the target rows.",
        "at_most",
        "unrelated maps",
    )
    return mean, rank, share


def category_evidence(held_out: Sequence[LabeledTranslations]) -> Evidence:
    """Return how often the nearest target rows of a translation have its category, for held-out categories.

    The threshold is at four fifths of the way from the share by chance to the share among the rows of one side, which
    no map can exceed, and at least 0.05 above the share by chance.

    Args:
        held_out: rows whose categories were held out, for each map that was fitted without them.
    """
    values, nulls, reachable = [], [], []
    for x, first, y, second in held_out:
        if not len(x) or not len(y):
            # All labels of a side were left in.
            continue
        values.append(_same_category(x, first, y, second))
        nulls.append(float((first[:, None] == second[None]).mean()))
        reachable.append(
            min(_same_category(z, own, z, own, exclude=np.arange(len(z))) for z, own in ((x, first), (y, second)))
        )
    value, null, most = (float(np.mean(numbers or [0.0])) for numbers in (values, nulls, reachable))
    limit = null + max(_MIN_GAIN, _SHARE_OF_GAIN * (most - null))
    meaning = (
        f"Share of the {_NEIGHBORS} nearest target rows of a translation that have its category, on rows whose "
        f"category was held out; {most:.2f} among the rows of one side."
    )
    if most < limit:
        meaning += (
            " No map can reach the limit: on one side or both, rows do not lie near rows of their own category. The "
            "labels do not describe the texts, or too few rows of most categories have one. Leave them out if so."
        )
    return Evidence(
        "category_agreement", value, null, limit, value >= limit, meaning, "at_least", "shuffled categories"
    )


def is_confirmed(held: HeldOutTranslations, target: FloatArray) -> bool:
    """Return whether held-out pairs or categories confirm the guided map, so that no search without them is needed."""
    if held.pairs is not None and len(held.pairs[0]) >= MIN_REFUTING_PAIRS:
        mean, _, share = pair_evidence(held.pairs, target)
        return mean.passed and share.passed
    return held.pairs is None and bool(held.rows) and category_evidence(held.rows).passed


def judge_known(
    verdict: Verdict,
    held: HeldOutTranslations,
    target: FloatArray,
    sizes: tuple[int, int],
    coverage: Evidence | None = None,
) -> Verdict:
    """Return a verdict that also counts evidence from known pairs and categories.

    Args:
        verdict: from measurements without pairs.
        held: translations by maps fitted without the pair or the category.
        target: [m, w], unit rows of the target in the same coordinates.
        sizes: numbers of distinct rows of source and target.
        coverage: whether the pairs are spread over the rows; without that, they cannot confirm a map alone.
    """
    if held.rows:
        evidence = category_evidence(held.rows)
        verdict = replace(verdict, evidence=(*verdict.evidence, evidence))
        if not evidence.passed:
            verdict = _with_reason(at_most_doubtful(verdict, str(evidence)), str(evidence))
        elif verdict.status == Status.FAILED and _only_refits_failed(verdict):
            reason = "The categories support the map, and its refits do not; check some translations."
            verdict = replace(verdict, status=Status.DOUBTFUL, reasons=(reason, *verdict.reasons))
    if held.pairs is None:
        return verdict
    count = len(held.pairs[0])
    mean, rank, share = pair_evidence(held.pairs, target)
    verdict = replace(verdict, evidence=(*verdict.evidence, mean, rank, share))
    if not share.passed or (count >= MIN_REFUTING_PAIRS and not mean.passed):
        missed = share if not share.passed else mean
        return _with_reason(at_most_doubtful(verdict, str(missed)), share.meaning)
    if count < MIN_REFUTING_PAIRS:
        return verdict
    if verdict.status == Status.ALIGNED:
        return verdict if rank.passed else at_most_doubtful(verdict, str(rank))
    refuted = [e for e in verdict.evidence if e.name in SANITY_CHECKS and not e.passed]
    if coverage is not None:
        verdict = replace(verdict, evidence=(*verdict.evidence, coverage))
        if not coverage.passed:
            return replace(verdict, status=Status.DOUBTFUL, reasons=(str(coverage), *verdict.reasons))
    if count >= _MIN_CONFIRMING_PAIRS and rank.passed and not refuted:
        score = min(1.0, (mean.value - mean.null) / (1 - mean.null))
        return replace(
            verdict,
            status=Status.ALIGNED,
            score=score,
            reasons=(*_confirmed_alone(verdict, sizes), str(mean), str(share)),
        )
    support = "supports" if count == 1 else "support"
    few = (
        f"{count_of(count, 'held-out pair')} {support} the map; at least {_MIN_CONFIRMING_PAIRS} can confirm it alone."
    )
    reason = few if rank.passed else str(rank)
    return replace(verdict, status=Status.DOUBTFUL, reasons=(reason, *verdict.reasons))


def _confirmed_alone(verdict: Verdict, sizes: tuple[int, int]) -> list[str]:
    """Return why a verdict is aligned although measurements miss their limits, and which side has few rows."""
    missed = [evidence.name.replace("_", " ") for evidence in verdict.evidence if not evidence.passed]
    others = f" {len(missed)} other measurements miss their limits: {', '.join(missed)}."
    if len(missed) == 1:
        others = f" Another measurement misses its limit: {missed[0]}."
    reasons = [
        f"The held-out pairs alone confirm this map.{others if missed else ''} The score is that of their mean cosine: "
        "0 for mismatched pairs and 1 for equal vectors."
    ]
    few = [(name, size) for name, size in zip(("source", "target"), sizes, strict=True) if size < FEW_ROWS]
    if few:
        counts = " and ".join(f"the {name} has {size:,} distinct rows" for name, size in few)
        models = "both models" if len(few) > 1 else f"the model of the {few[0][0]}"
        reasons.append(
            f"{counts[0].upper()}{counts[1:]}, and so few rows limit the quality of the map. Vectors of further "
            f"texts by {models} can improve it, even if no pairs are known among them."
        )
    return reasons


def _only_refits_failed(verdict: Verdict) -> bool:
    """Return whether all measurements but those of refits passed, the transport excess among them."""
    passed = {evidence.name for evidence in verdict.evidence if evidence.passed}
    missed = {evidence.name for evidence in verdict.evidence} - passed
    return "transport_excess" in passed and missed <= set(_REFITS)


def _with_reason(verdict: Verdict, reason: str) -> Verdict:
    return verdict if reason in verdict.reasons else replace(verdict, reasons=(reason, *verdict.reasons))


def _same_category(
    x: FloatArray, first: IntArray, y: FloatArray, second: IntArray, *, exclude: IntArray | None = None
) -> float:
    """Return the share of the rows of y [m, d] nearest to each row of x [n, d] that have the row's category."""
    if not len(x) or len(y) < 1 + (exclude is not None):
        return 0.0
    neighbors = nearest(x, y, _NEIGHBORS, metric="dot", exclude=exclude).indices
    return float((second[neighbors] == first[:, None]).mean())
