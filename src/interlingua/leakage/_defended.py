"""The defenses of an audit, each attacked by somebody who adapts to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from interlingua._align import align
from interlingua.aligners.base import OnStep
from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.neighbors import nearest
from interlingua.evaluation.bootstrap import Resamples
from interlingua.leakage._predictions import MIN_KNOWN, offered, read_words
from interlingua.leakage.attributes import label_scores
from interlingua.leakage.centering import center_by_own_mean, collection_mean
from interlingua.leakage.defense_scores import Decoded, DefenseScore, evaluate_defense, reconstruct
from interlingua.leakage.defenses import Defense, NoDefense, suite
from interlingua.leakage.inputs import GroundTruth, Labels, PublicCorpus
from interlingua.leakage.inversion import KeywordDecoder
from interlingua.leakage.inversion.keywords import held_out_rows
from interlingua.leakage.inversion.scores import wrong_documents

__all__ = ["Reader", "defense_scores", "seconds_left"]

_NEAREST = 10


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads words, labels and similar texts from the vectors that an attack on a defense recovered.

    Attributes:
        decoder: predicts words; calibrated for what the defense leaves.
        corpus: public texts.
        labels: labels to infer, if there are any.
        truth: true contents of all rows.
        reference: the same rows in the auditor's space [n, d]: the true vectors, or translations without a defense.
        seed: seed of controls and resamples.
    """

    decoder: KeywordDecoder
    corpus: PublicCorpus
    labels: Labels | None
    truth: GroundTruth
    reference: FloatArray
    seed: int

    def __call__(self, recovered: FloatArray, picked: IntArray) -> Decoded:
        """Return what is read of the rows with these indices, with controls."""
        resamples = Resamples(len(picked), self.seed)
        mean = collection_mean(recovered)
        truth = self.truth.take(picked)
        words, control, basis = read_words(self.decoder, unit_rows(recovered), truth.texts, self.seed)
        right = most_frequent = None
        names = () if self.labels is None else self.labels.names
        true = offered(truth.labels or (), names)
        if self.labels is not None and sum(map(bool, true)) >= MIN_KNOWN:
            first = label_scores(recovered, self.labels.vectors, mean=mean).argmax(axis=1)
            right = resamples.mean(
                [names[i] in row if row else np.nan for i, row in zip(first, true, strict=True)], share=True
            )
            counts = [sum(name in row for row in true) for name in names]
            always = names[int(np.argmax(counts))]
            most_frequent = resamples.mean([always in row if row else np.nan for row in true], share=True)
        found = self._neighbors(recovered, 1)[:, 0]
        wanted = self._neighbors(self.reference[picked], _NEAREST)
        other = np.roll(np.arange(len(picked)), 1)
        if truth.texts is not None:
            other = np.asarray(wrong_documents(truth.texts, self.seed))
        return Decoded(
            words=words,
            control=control,
            basis=basis,
            labels=right,
            labels_control=most_frequent,
            retrieval=resamples.mean((wanted == found[:, None]).any(axis=1)),
            retrieval_control=resamples.mean((wanted[other] == found[:, None]).any(axis=1)),
        )

    def _neighbors(self, rows: FloatArray, k: int) -> IntArray:
        """Return the k nearest public texts of rows, each side centered by its own mean."""
        sides = [center_by_own_mean(side) for side in (rows, self.corpus.vectors)]
        return np.asarray(nearest(sides[0], sides[1], min(k, len(sides[1]))).indices)


def defense_scores(
    name: str,
    rows: FloatArray,
    corpus: PublicCorpus,
    decoder: KeywordDecoder,
    *,
    labels: Labels | None,
    truth: GroundTruth,
    translate: Callable[[FloatArray], FloatArray],
    fit_seconds: float,
    seed: int,
    on_step: OnStep,
) -> tuple[DefenseScore, ...]:
    """Apply every defense of a suite to the audited rows [n, d], attack it, and read what it leaves.

    A defense with a key is attacked by a fit of its own, with the views of the corpus, which takes about
    ``fit_seconds``, the time of a fit of the same rows.
    """
    # Without true vectors, re-identification and retrieval compare with the attack on unprotected vectors.
    reference = translate(rows) if truth.vectors is None else np.asarray(truth.vectors, np.float32)
    scores: list[DefenseScore] = []
    seconds: list[float] = []
    defenses = suite(name, rows.shape[1])
    for position, defense in enumerate(defenses):
        left = seconds_left(defenses, seconds, fit_seconds)
        on_step({"step": "defense", "name": defense.name, "at": position, "of": len(defenses), "seconds_left": left})
        started = time.perf_counter()
        adapted = _adapted(decoder, corpus, name, position, defense, seed)
        reader = Reader(adapted, corpus, labels, truth, reference, seed)
        scores.append(
            evaluate_defense(
                defense,
                rows,
                corpus.vectors,
                truth=reference,
                translate=translate,
                decode=reader,
                seed=seed,
                fit=partial(align, views=corpus.views),
            )
        )
        seconds.append(time.perf_counter() - started)
    return tuple(scores)


def seconds_left(defenses: Sequence[Defense], seconds: Sequence[float], fit_seconds: float) -> float | None:
    """Return how long the defenses that are left will take, or None while that cannot be known.

    Args:
        defenses: all defenses.
        seconds: how long the first of them took.
        fit_seconds: how long a fit takes, for defenses with a key until one of them has been attacked.
    """
    # The baseline needs no regression and takes less than the others.
    taken = [(one.keyed, time) for one, time in zip(defenses, seconds, strict=False) if not isinstance(one, NoDefense)]
    keyless, keyed = ([time for key, time in taken if key is kind] for kind in (False, True))
    if not keyless:
        return None
    each = float(np.mean(keyless))
    with_key = float(np.mean(keyed)) if keyed else each + fit_seconds
    return round(sum(with_key if one.keyed else each for one in defenses[len(seconds) :]), 1)


def _adapted(
    decoder: KeywordDecoder, corpus: PublicCorpus, name: str, position: int, defense: Defense, seed: int
) -> KeywordDecoder:
    """Return the decoder with probabilities that are right for vectors with the defense.

    The attacker applies the same mechanism, with a key and noise of their own, to vectors of public texts, and
    calibrates on what the attack recovers of them.
    """
    if isinstance(defense, NoDefense):
        return decoder
    fit = corpus.stand_in_fit if decoder.calibrated_with == "unpaired" else None
    if fit is not None and corpus.stand_in is not None:
        public, translate = unit_rows(np.asarray(corpus.stand_in, np.float32)), fit.forward
    else:
        public, translate = unit_rows(np.asarray(corpus.vectors, np.float32)), None
    # The same position holds the same mechanism for vectors of any width.
    protected = suite(name, public.shape[1])[position].apply(public, seed + 1)
    held_out = held_out_rows(len(public), seed)
    train = np.setdiff1d(np.arange(len(public)), held_out)
    recovered = reconstruct(protected, public, train, held_out)
    sample = recovered if translate is None else np.asarray(translate(recovered), np.float32)
    return decoder.recalibrate(sample, [corpus.texts[i] for i in held_out])
