"""Why what an audit found cannot be relied on: contents in another order than the vectors, or of another kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from interlingua.core.alignment import Status
from interlingua.core.arguments import check_instance
from interlingua.evaluation.bootstrap import Interval
from interlingua.leakage._order import signs_of_another_order
from interlingua.leakage._predictions import offered
from interlingua.leakage.attributes import truth_matrix
from interlingua.leakage.findings import Audit, LabelFindings
from interlingua.leakage.inputs import GroundTruth, Labels, PublicCorpus
from interlingua.leakage.inversion.words import Vocabulary

__all__ = ["doubt", "label_doubts", "order_doubt", "own_verdicts"]


def order_doubt(vectors: npt.ArrayLike, texts: Sequence[str] | None, corpus: PublicCorpus, *, second: bool) -> str:
    """Return a sentence if true texts are probably in another order than their vectors, or an empty text.

    Args:
        vectors: the vectors [n, d].
        texts: the n true texts, if they are known.
        corpus: the public texts, whose words are looked for in the texts.
        second: whether they are those of the second leak.
    """
    if texts is None or not corpus.has_texts:
        return ""
    words = corpus.vocabulary or Vocabulary.of(corpus.texts, identifiers=corpus.identifiers)
    sign = signs_of_another_order(vectors, words.matrix(texts))
    name, of = ("The true texts of the second leak", "its vectors") if second else ("The true texts", "the vectors")
    if not sign:
        return ""
    check = f"Check that {name[0].lower()}{name[1:]} are in the order of {of}."
    return f"{name} are probably in another order than {of}: {sign}. {check}"


def label_doubts(
    vectors: npt.ArrayLike, labels: Labels | None, truth: GroundTruth, found: LabelFindings | None
) -> tuple[str, ...]:
    """Return a sentence if it is not known how many labels are right, because something is in another order.

    Labels can be right no more often than by chance for a good reason, so this is said only where more speaks for
    another order: similar vectors share no labels, or they do and the inferred ones are at chance all the same.
    """
    if labels is None or truth.labels is None or found is None or found.measured is None:
        return ()
    scores = found.measured
    if _low(scores.translated.macro_auc) > _high(scores.shuffled.macro_auc):
        return ()
    kept = offered(truth.labels, labels.names)
    with_label = np.flatnonzero([bool(row) for row in kept])
    contents = truth_matrix([kept[row] for row in with_label], labels.names)
    sign = signs_of_another_order(np.asarray(vectors)[with_label], contents, "labels")
    if sign:
        return (
            "How many labels are right is not certain: they are right no more often than for other documents, and the "
            f"true labels may be in another order than the vectors, because {sign}.",
        )
    return (
        "How many labels are right is not certain: they are right no more often than for other documents, although "
        "similar vectors share their true labels. Check that the label vectors are in the order of their names.",
    )


def doubt(audit: Audit) -> str:
    """Return sentences on why the headline figure cannot be relied on, or an empty text.

    Either what was measured contradicts the fits, as it does for true contents in another order, or an estimate was
    made of translations that are not similar to the public texts.

    Raises:
        InputError: not the findings of an audit.
    """
    check_instance(audit, "audit", Audit, "the findings of an audit")
    if audit.leak.basis == "measured":
        return audit.unordered or _contradiction(audit)
    if audit.leak.basis != "estimated" or audit.retrieval.is_near:
        return ""
    near = audit.retrieval
    return (
        f"This estimate cannot be relied on. The mean similarity of the translations to the nearest public text is "
        f"{near.nearest.value:.2f}; it is {near.public.value:.2f} among public texts and {near.control.value:.2f} "
        "without any meaning. So the vectors hold contents of another kind than the public texts, or the fit is wrong, "
        "and most words that are read are not in the texts. Fit these vectors themselves with public texts of their "
        "kind, or give true texts to measure with."
    )


def _contradiction(audit: Audit) -> str:
    words, top1 = audit.word_findings, audit.reidentified and audit.reidentified.top1
    if words and words.measured:
        named, expected = words.measured.leak_rate, words.leak_rate.plausible or words.leak_rate.interval
        at_chance = named.control is not None and _low(named.interval) <= _high(named.control)
        if at_chance and audit.retrieval.is_near and _low(expected) > _high(named.interval):
            return (
                f"This contradicts the estimate of {words.leak_rate.value:.0%}: no more words are right than for other "
                "documents. Check that the true texts are in the order of the vectors."
            )
    at_chance = bool(top1 and top1.control and _low(top1.interval) <= _high(top1.control))
    if at_chance and str(Status.ALIGNED) in own_verdicts(audit):
        return (
            "This contradicts the verdict of the fit: translations find their true vectors no more often than by "
            "chance. Check that the true vectors are in the order of the audited ones."
        )
    return ""


def own_verdicts(audit: Audit) -> list[str]:
    """Return the verdicts of the fits that were made on the audited vectors."""
    marks = audit.foreign or (False,) * len(audit.verdicts)
    return [verdict for verdict, mark in zip(audit.verdicts, marks, strict=True) if not mark]


def _low(figure: Interval) -> float:
    return figure.value if figure.low is None else figure.low


def _high(figure: Interval) -> float:
    return figure.value if figure.high is None else figure.high
