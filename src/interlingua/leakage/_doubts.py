"""Why what an audit found cannot be relied on: contents in another order than the vectors, or of another kind."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import numpy as np
import numpy.typing as npt

from interlingua.aligners.side_information import check_same_order
from interlingua.core.alignment import Status
from interlingua.core.arguments import check_instance
from interlingua.core.errors import InputError
from interlingua.core.spaces import EmbeddingSpace
from interlingua.leakage._chosen_fits import used_positions
from interlingua.leakage._order import COMPARED, FEWEST, signs_of_another_order
from interlingua.leakage._predictions import offered
from interlingua.leakage.attributes import truth_matrix
from interlingua.leakage.findings import MUCH, SOME, Audit, LabelFindings
from interlingua.leakage.identities import IdentityFindings
from interlingua.leakage.inputs import GroundTruth, Labels, PublicCorpus
from interlingua.leakage.inversion.words import Vocabulary

__all__ = [
    "ALL_FAILED",
    "ERROR_RATE",
    "doubt",
    "is_at_chance",
    "label_doubt",
    "order_doubt",
    "partial_doubt",
    "split_verdicts",
    "used_fits",
    "uses_only_foreign_fits",
    "vector_doubt",
    "words_to_compare",
]

# With fewer rows, chance decides how many neighbors two models have in common.
_FEWEST_COMPARED = 100
# Said of an audit without a usable fit.
ALL_FAILED = "By their own verdicts, all fits failed."
# By chance, the equal error rate is 0.5, and differs from it a little with the rotation of the control.
ERROR_RATE = 0.45
# Neighbors can share identities only if most rows have another row of the same identity.
_ROWS_OF_AN_IDENTITY = 2


def words_to_compare(corpus: PublicCorpus, *texts: Sequence[str] | None) -> Vocabulary | None:
    """Return the words of the public texts, or None without any or where no true texts are known to look for them."""
    if not corpus.has_texts or all(side is None for side in texts):
        return None
    return corpus.vocabulary or Vocabulary.of(corpus.texts, identifiers=corpus.identifiers)


def order_doubt(vectors: npt.ArrayLike, texts: Sequence[str] | None, words: Vocabulary | None, *, second: bool) -> str:
    """Return a sentence if true texts are probably in another order than their vectors, or an empty text.

    Args:
        vectors: the vectors [n, d].
        texts: the n true texts, if they are known.
        words: words of the public texts, which are looked for in the true ones.
        second: whether they are those of the second leak.
    """
    if texts is None or words is None:
        return ""
    sign = signs_of_another_order(vectors, words.matrix(texts))
    name, of = ("The true texts of the second leak", "its vectors") if second else ("The true texts", "the vectors")
    if not sign:
        return ""
    check = f"Check that {name[0].lower()}{name[1:]} are in the order of {of}."
    return f"{name} are probably in another order than {of}: {sign}. {check}"


def vector_doubt(vectors: npt.ArrayLike, truth: npt.ArrayLike | None) -> str:
    """Return a sentence if true vectors are probably in another order than the audited ones, or an empty text.

    Vectors of the same contents by two models have nearest neighbors in common, so this needs no fit. They also have
    few in common if the models are too different, which the sentence says.
    """
    if truth is None or len(np.asarray(truth)) < _FEWEST_COMPARED:
        return ""
    sides = EmbeddingSpace(np.asarray(truth)), EmbeddingSpace(np.asarray(vectors))
    try:
        check_same_order(*sides, "The matrix of true vectors", "the audited vectors")
    except InputError as found:
        return f"The true vectors are probably in another order than the audited ones. {found}"
    return ""


def label_doubt(
    vectors: npt.ArrayLike,
    labels: Labels | None,
    truth: GroundTruth,
    found: LabelFindings | IdentityFindings | None,
    *,
    works: bool,
) -> str:
    """Return a sentence if it is not known how many labels are right, because something is in another order.

    Labels that are right no more often than by chance do not show another order by themselves. There is a sentence
    only if, in addition, similar vectors share no labels, or if they share labels and the attack works.

    Args:
        vectors: the audited vectors [n, d].
        labels: the labels that were inferred, or identities.
        truth: the true contents.
        found: what was measured with the labels.
        works: whether translations are as similar to public texts as those of a right fit.
    """
    if labels is None or truth.labels is None or found is None or not _is_at_chance(found):
        return ""
    kept = offered(truth.labels, labels.names)
    if isinstance(found, IdentityFindings):
        kept = [row[:1] for row in kept]
    with_label = np.flatnonzero([bool(row) for row in kept])
    contents = truth_matrix([kept[row] for row in with_label], labels.names)
    if len(with_label) < FEWEST:
        return ""
    rows_of_each = contents.sum(axis=0)[contents.argmax(axis=1)] * min(1, COMPARED / len(with_label))
    if np.median(rows_of_each) < _ROWS_OF_AN_IDENTITY:
        return ""
    noun = "labels" if isinstance(found, LabelFindings) else "identities"
    start = f"How many {noun} are right is not certain: they are right no more often than by chance"
    sign = signs_of_another_order(np.asarray(vectors)[with_label], contents, noun)
    if sign:
        return (
            f"{start}, and the true {noun} may be in another order than the vectors, because {sign}. Check "
            f"that the true {noun} are in the order of the vectors."
        )
    if not works:
        return ""
    return (
        f"{start}, although similar vectors share their true {noun}. Check that the vectors of the {noun} are "
        "in the order of their names."
    )


def _is_at_chance(found: LabelFindings | IdentityFindings) -> bool:
    """Return whether labels were measured and are recognized no more often than by chance."""
    if isinstance(found, IdentityFindings):
        return found.equal_error_rate.upper > ERROR_RATE and found.rank1.lower <= found.rank1_control.upper
    scores = found.measured
    return scores is not None and scores.translated.macro_auc.lower <= scores.shuffled.macro_auc.upper


def doubt(audit: Audit) -> str:
    """Return sentences on why the headline figure cannot be relied on, or an empty text.

    There are four reasons: true contents are in another order than the vectors; the measured figures contradict the
    fits; a figure is small because the attack did not work; or the figure is an estimate from translations that are
    not similar to the public texts.

    Raises:
        InputError: not the findings of an audit.
    """
    check_instance(audit, "audit", Audit, "the findings of an audit")
    if audit.leak.basis == "measured":
        return _unreliable_headline(audit) or _failed_attack(audit)
    return "" if audit.leak.basis == "attack failed" else _unlike_public(audit) or _failed_attack(audit)


def _unlike_public(audit: Audit) -> str:
    """Return why an estimate from translations that are not similar to the public texts cannot be relied on."""
    if audit.retrieval.is_near:
        return ""
    return (
        f"This estimate cannot be relied on. {_similarities(audit)} So the vectors probably hold contents of another "
        "kind than the public texts, or the fit is wrong, and the estimate is probably too high. "
        f"{_advice(audit)}, or {'' if _has_own_fit(audit) else 'give '}true texts to measure with."
    )


def partial_doubt(audit: Audit) -> str:
    """Return sentences on why a part of what was measured cannot be relied on, although the headline figure can.

    There are seven reasons: some true contents are probably in another order than the vectors, and the headline figure
    comes from others or is above chance, so that it can only be too low; fewer words are right than the
    estimate allows; identities are found and cannot be verified; nonmembers look more like members than the members
    do; members and nonmembers differ in kind; links may be missing; or the attack did not work and read something all
    the same.
    """
    if doubt(audit):
        return ""
    parts = [
        *_unreliable(audit).values(),
        _fewer_than_estimated(audit),
        _found_and_not_verified(audit),
        _weak_attack(audit),
        audit.links_doubt,
    ]
    if audit.membership is not None and audit.membership.is_reversed:
        parts.append("Nonmembers look more like members than the members do, so the two are probably exchanged.")
    elif audit.membership is not None and not audit.membership.same_kind:
        parts.append(
            "Members and nonmembers differ in kind, so it is not known whether members are recognized. Give nonmembers "
            "of the kind of the members."
        )
    return " ".join(filter(None, parts))


def _found_and_not_verified(audit: Audit) -> str:
    """Return a sentence if identities are found more often than by chance and verified no better, or an empty text."""
    found = audit.identities
    if found is None or found.rank1.lower <= found.rank1_control.upper or found.equal_error_rate.upper <= ERROR_RATE:
        return ""
    return (
        f"The nearest identity is right for {found.rank1.value:.1%} of the rows, more than by chance, and yet "
        f"verification is no better than by chance (equal error rate {found.equal_error_rate.value:.0%}). So most of "
        "the true identities probably belong to other vectors. Check that they are in the order of the vectors."
    )


def _fewer_than_estimated(audit: Audit) -> str:
    """Return a sentence if far fewer words are right than estimated, or an empty text."""
    words = audit.word_findings
    expected = words and words.leak_rate.plausible
    if not (words and words.measured and expected) or "texts" in audit.unordered or _no_attack(audit):
        return ""
    measured = words.measured.leak_rate.interval
    if measured.upper >= expected.lower:
        return ""
    return (
        f"A correct word is named for {measured.value:.0%} of the documents, and by estimate for {expected.lower:.0%} "
        f"to {expected.upper:.0%}. If some of the true texts belong to other vectors, the measured figure is too low. "
        "Check that they are in the order of the vectors."
    )


def _unreliable_headline(audit: Audit) -> str:
    """Return why the measured headline figure cannot be relied on, or an empty text.

    A figure that is more than by chance is the least that can be read, even if some true contents are mixed up.
    """
    unreliable = _unreliable(audit)
    if audit.leak.source not in unreliable or not is_at_chance(audit, audit.leak.source):
        return ""
    return " ".join(unreliable.values())


def is_at_chance(audit: Audit, source: str) -> bool:
    """Return whether the figures measured with true ``texts``, ``labels`` or ``vectors`` are no more than by chance."""
    if source == "labels":
        found = audit.identities or audit.label_findings
        return found is not None and _is_at_chance(found)
    measured = audit.word_findings and audit.word_findings.measured
    figure = measured.leak_rate if source == "texts" and measured else audit.reidentified and audit.reidentified.top1
    if not figure or figure.control is None:
        return False
    # NaN, as where no row has a text, is no more than by chance.
    return not figure.interval.lower > figure.control.upper


def _unreliable(audit: Audit) -> dict[str, str]:
    """Return a sentence for each of ``texts``, ``labels`` and ``vectors`` whose figures cannot be relied on.

    The true ones are in another order than the vectors, or figures at chance contradict a fit that seems to be right.
    """
    return {**_contradictions(audit), **audit.unordered}


def _contradictions(audit: Audit) -> dict[str, str]:
    """Return how figures at chance contradict the fits, as where true contents are in another order."""
    found: dict[str, str] = {}
    words = audit.word_findings
    works = not _no_attack(audit)
    if words and words.measured and works and is_at_chance(audit, "texts"):
        # Without any sign of a right word, the estimate is doubted even within the errors of estimates.
        expected, control = words.leak_rate.interval, words.leak_rate.control
        if expected.lower > max(words.measured.leak_rate.interval.upper, control.upper):
            found["texts"] = (
                f"The measured share of documents with a correct word contradicts the estimate of "
                f"{words.leak_rate.value:.0%}: no more words are right than for other documents. Check that the true "
                "texts are in the order of the vectors."
            )
    is_aligned = str(Status.ALIGNED) in [verdict for verdict, foreign in used_fits(audit) if not foreign]
    if not (is_aligned or works):
        return found
    fit = "the verdict of the fit" if is_aligned else "the similarity of the translations to the public rows"
    if is_at_chance(audit, "vectors"):
        found["vectors"] = (
            f"The share of rows re-identified contradicts {fit}: translations find their true vectors no more often "
            "than by chance. Check that the true vectors are in the order of the audited ones."
        )
    if audit.identities is not None and _is_at_chance(audit.identities):
        found["labels"] = (
            f"The share of identities recognized contradicts {fit}: they are recognized no more often than by chance. "
            "Check that the true identities are in the order of the vectors, and the vectors of the identities in the "
            "order of their names."
        )
    return found


def _failed_attack(audit: Audit) -> str:
    """Return why a small figure does not show that the vectors are safe: the attack itself did not work."""
    why = _no_attack(audit)
    if audit.leak.value >= SOME or not why:
        return ""
    return (
        f"{why} So this attack did not work, and its small figure does not show that the vectors reveal nothing. "
        f"{_advice(audit)}."
    )


def _weak_attack(audit: Audit) -> str:
    """Return a sentence if the attack did not work and yet read something, or an empty text.

    What it read is then the least that can be read.
    """
    why = _no_attack(audit)
    if audit.leak.basis == "attack failed" or not why:
        return ""
    return f"{why} So this attack did not work as it should, and another one can read more."


def _no_attack(audit: Audit) -> str:
    """Return why the attack did not work, or an empty text."""
    if not audit.has_usable_fit:
        return ALL_FAILED
    if not audit.retrieval.is_near:
        return _similarities(audit)
    if _reads_little(audit):
        return (
            f"Even from the vectors of the public texts themselves, a correct word is named for only "
            f"{audit.words.ceiling.value:.0%} of those that took no part in the training of the decoder."
        )
    return ""


def _reads_little(audit: Audit) -> bool:
    """Return whether the decoder could hardly read translations without any error, and little was read.

    In benchmarks/results/leakage-ceilings.jsonl, it names a correct word for 34 to 79% of held-out texts if there are
    4,000, for 5 to 44% if there are 600, and for at most 1% if a half of them belong to other vectors.
    """
    return audit.word_findings is not None and max(audit.words.ceiling.value, audit.leak.value) < MUCH


def _has_own_fit(audit: Audit) -> bool:
    return not uses_only_foreign_fits(audit)


def _advice(audit: Audit) -> str:
    """Return what would make the attack work, without a full stop."""
    if audit.has_usable_fit and audit.retrieval.is_near and _reads_little(audit):
        return "Give more public texts, and check that each of them belongs to its vector"
    contents = f"public {_contents(audit)}s of their kind"
    return f"Give more {contents}" if _has_own_fit(audit) else f"Fit these vectors themselves with {contents}"


def _similarities(audit: Audit) -> str:
    """Return a sentence on how similar the translations are to the public texts."""
    near = audit.retrieval
    if isnan(near.public.value):
        return f"All public {_contents(audit)}s are copies of a few, so that nothing can be compared with them."
    return (
        f"The mean similarity of the translations to the nearest public {_contents(audit)} is "
        f"{near.nearest.value:.2f}; it is {near.public.value:.2f} among public {_contents(audit)}s and "
        f"{near.control.value:.2f} for translations rotated at random."
    )


def _contents(audit: Audit) -> str:
    """Return what the public collection consists of."""
    return "text" if audit.word_findings else "row"


def split_verdicts(audit: Audit, *, unlike: bool = True) -> tuple[list[str], list[str]]:
    """Return the verdicts of fits on the audited vectors, and of fits on others.

    Args:
        audit: the findings.
        unlike: whether fits count that were left out because of their translations.
    """
    left_out = audit.unlike or (False,) * len(audit.verdicts)
    found = [fit for fit, far in zip(_marked(audit), left_out, strict=True) if unlike or not far]
    return [verdict for verdict, mark in found if not mark], [verdict for verdict, mark in found if mark]


def used_fits(audit: Audit) -> list[tuple[str, bool]]:
    """Return the verdict of each fit that was used, and whether it was made on other vectors.

    Fits on other vectors are used only if no fit on these worked, and failed ones only if all failed.
    """
    found = _marked(audit)
    used = used_positions(audit.verdicts, [foreign for _, foreign in found])
    unlike = audit.unlike or (False,) * len(found)
    return [found[position] for position in used or range(len(found)) if not unlike[position]]


def uses_only_foreign_fits(audit: Audit) -> bool:
    """Return whether no fit that was used was made on the audited vectors."""
    return all(foreign for _, foreign in used_fits(audit))


def _marked(audit: Audit) -> list[tuple[str, bool]]:
    marks = audit.foreign or (False,) * len(audit.verdicts)
    return list(zip(audit.verdicts, marks, strict=True))
