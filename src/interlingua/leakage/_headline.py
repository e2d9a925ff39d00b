"""The headline figure of an audit: the largest of the figures that were measured, or an estimate."""

from __future__ import annotations

from math import isnan

from interlingua.core.statistics import beyond_control
from interlingua.leakage.findings import LabelFindings, Leak, RetrievalFindings, WordFindings
from interlingua.leakage.identities import IdentityFindings
from interlingua.leakage.inversion.scores import LEVEL, Reidentification

__all__ = ["headline"]


def headline(
    has_usable_fit: bool,
    rows: int,
    words: WordFindings | None,
    retrieval: RetrievalFindings,
    label_findings: LabelFindings | None,
    reidentified: Reidentification | None,
    identities: IdentityFindings | None,
) -> Leak:
    """Return the headline figure.

    Args:
        has_usable_fit: whether a fit of the audited vectors did not fail.
        rows: number of rows that were attacked.
        words: the recovered words; None for a collection without texts.
        retrieval: how similar translations are to the public texts.
        label_findings: the inferred labels, if labels were given.
        reidentified: how many rows are re-identified, if their true vectors are known.
        identities: how well identities are recognized, in a collection without texts.
    """
    measured: list[tuple[float, str, int, str, float]] = []
    if identities is not None:
        shares = (identities.rank1.value, identities.rank1_control.value)
        what = _rescaled("the identity is recognized", "rows", "identity", *shares)
        high = beyond_control(identities.rank1.upper, identities.rank1_control.value)
        measured.append((identities.beyond_control, what, identities.probes, "labels", high))
    if words is not None and words.measured is not None:
        figure = words.measured.leak_rate
        measured.append((figure.value, figure.meaning, words.measured.documents, "texts", figure.interval.upper))
    if reidentified is not None:
        what = reidentified.top1.meaning if words is not None else "share of rows re-identified"
        measured.append((reidentified.top1.value, what, rows, "vectors", reidentified.top1.interval.upper))
    if label_findings is not None and label_findings.measured is not None:
        top, prior = label_findings.measured.translated.top1.value, label_findings.measured.majority.top1.value
        what = _rescaled("the first label is right", "documents", "label", top, prior)
        high = beyond_control(label_findings.measured.translated.top1.upper, prior)
        measured.append((beyond_control(top, prior), what, label_findings.measured.n, "labels", high))
    measured = [figure for figure in measured if not isnan(figure[0])]
    most = None
    if measured:
        value, what, of, source, high = max(measured)
        most = Leak(value, what, "measured", of, source, high)
    if words is None:
        return most or Leak(0.0, "share of rows whose identity is recognized", "attack failed", rows)
    what = f"share of documents with a correct word of probability {LEVEL} or more"
    if not has_usable_fit:
        return most or Leak(0.0, what, "attack failed", rows)
    # What was measured with labels or vectors says nothing about words, so that it must not hide an estimate of them.
    estimate = Leak(words.leak_rate.value, what, "estimated", rows)
    if most is None:
        return estimate
    counts = words.measured is None and retrieval.is_near and estimate.value > most.value
    return estimate if counts else most


def _rescaled(right: str, of: str, one: str, share: float, control: float) -> str:
    """Return what a headline figure is whose share was rescaled by `beyond_control`."""
    return (
        f"{right} for {share:.1%} of the {of}, rescaled so that always choosing the most frequent {one} "
        f"({control:.1%}) counts as 0% and always being right as 100%"
    )
