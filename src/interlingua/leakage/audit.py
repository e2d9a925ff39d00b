"""Audit: what the vectors of an unknown model reveal to an attacker with public texts and an encoder of their own.

The fits see no pairs, texts or labels of the audited rows. Word probabilities are averaged over several fits from
different seeds: where one fit misplaces a group of texts, another often does not. Without a ground truth, figures are
estimates from calibrated probabilities. With a ground truth they are measured, and the estimates are reported too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.aligners.base import OnStep, ignore_step
from interlingua.core.alignment import Alignment, Status
from interlingua.core.arguments import check_choice, check_count, check_instance, shown
from interlingua.core.arrays import FloatArray, IntArray, check_matrix, row_blocks, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.progress import Timed
from interlingua.core.statistics import agreement
from interlingua.evaluation.bootstrap import Interval, Resamples
from interlingua.identification import MIN_ROWS, identify
from interlingua.leakage._checks import check_members
from interlingua.leakage.attributes import infer_attributes, label_scores, truth_matrix
from interlingua.leakage.calibration import LEAK_RATE, PRECISION
from interlingua.leakage.centering import collection_mean
from interlingua.leakage.defense_scores import Decoded, DefenseScore, evaluate_defense
from interlingua.leakage.defenses import SUITES, Rotation, suite
from interlingua.leakage.findings import (
    Audit,
    DocumentFindings,
    Estimate,
    LabelFindings,
    Leak,
    RetrievalFindings,
    WordFindings,
)
from interlingua.leakage.inputs import GroundTruth, Labels, PublicCorpus
from interlingua.leakage.inversion import CorpusRetrieval, Extraction, KeywordDecoder
from interlingua.leakage.inversion.keywords import most_probable
from interlingua.leakage.inversion.scores import LEVEL, Reidentification, reidentification, score_keywords

__all__ = ["DOCUMENTS", "audit"]

DOCUMENTS = 2_000
_BLOCK = 512
_EXAMPLES = 8


def audit(
    alignments: Sequence[Alignment],
    vectors: npt.ArrayLike,
    corpus: PublicCorpus,
    *,
    decoder: KeywordDecoder | None = None,
    labels: Labels | None = None,
    truth: GroundTruth | None = None,
    defenses: str | None = None,
    documents: int = DOCUMENTS,
    seed: int = 0,
    on_step: OnStep = ignore_step,
) -> Audit:
    """Measure what an attacker can read with unpaired fits.

    Args:
        alignments: fits from the audited vectors to the corpus without pairs, preferably two with different seeds.
            Failed fits are used only if all failed.
        vectors: the audited rows [n, d_unknown].
        corpus: public texts in the auditor's space.
        decoder: keyword decoder from :meth:`PublicCorpus.fit_decoder`; fitted on the corpus by default.
        labels: labels to infer.
        truth: true contents of the rows, if known.
        defenses: suite of defenses to evaluate, ``quick`` or ``full``; None for none. A failed fit evaluates none.
        documents: largest number of rows that are attacked.
        seed: random seed.
        on_step: called with a dict before each part of the attack, as by :func:`interlingua.align`.

    Raises:
        InputError: no fit, or shapes that do not match.
    """
    alignments = check_members(alignments, "alignments", Alignment, "fits, as interlingua.align returns them,")
    if not alignments:
        raise InputError("An audit needs at least one fit; give two, from different seeds.")
    check_instance(corpus, "corpus", PublicCorpus, "a PublicCorpus")
    optional = {"decoder": (decoder, KeywordDecoder), "labels": (labels, Labels), "truth": (truth, GroundTruth)}
    for name, (value, kind) in optional.items():
        check_instance(value, name, (kind, type(None)), f"a {kind.__name__}")
    defenses = None if defenses is None else check_choice(defenses, "defenses", SUITES)
    if not callable(on_step):
        raise InputError(f"on_step is {shown(on_step)}; a function of one dict is needed.")
    documents, seed = check_count(documents, "documents", minimum=1), check_count(seed, "seed")
    rows = check_matrix(vectors, "the audited vectors")
    truth = truth or GroundTruth()
    truth.check_rows(len(rows))
    ranked = sorted(alignments, key=lambda fit: -fit.verdict.score)
    usable = [fit for fit in ranked if fit.verdict.status is not Status.FAILED]
    alignment, has_usable_fit = (usable or ranked)[0], bool(usable)
    picked = np.sort(np.random.default_rng(seed).permutation(len(rows))[:documents])
    known = truth.take(picked)
    translations = [unit_rows(_translate(fit, rows[picked])) for fit in usable or ranked]
    translated = np.asarray(np.mean(translations, axis=0), np.float32)
    # Rotated about its mean, a translation keeps every distance and loses all meaning.
    center = translated.mean(axis=0)
    rotated = np.asarray(Rotation().apply(translated - center, seed) + center, np.float32)
    resamples = Resamples(len(picked), seed)
    report = Timed(on_step)
    if decoder is None:
        report({"step": "attack", "work": "fitting the keyword decoder"})
        decoder = corpus.fit_decoder(seed)
    report({"step": "attack", "work": f"reading words of {len(picked):,} rows"})
    predictions = _predict(decoder, translations)
    report({"step": "attack", "work": "reading words of the control"})
    words = _words(decoder, corpus, predictions, _predict(decoder, [rotated]), known.texts, resamples, seed)
    report({"step": "attack", "work": "searching the nearest public texts"})
    retrieval, retrieved = _retrieval(corpus, translated, rotated, resamples, seed)
    label_findings, order = None, None
    if labels is not None:
        report({"step": "attack", "work": "inferring labels"})
        label_findings, order = _infer_labels(labels, translated, known.labels, seed)
    if known.vectors is not None:
        report({"step": "attack", "work": "re-identifying rows"})
    reidentified = None if known.vectors is None else reidentification(translated, known.vectors, seed=seed)
    scores: tuple[DefenseScore, ...] = ()
    if defenses and has_usable_fit:
        scores = _defenses(
            alignment, rows, corpus, truth, _Decoder(decoder, labels, truth, seed), defenses, seed, report
        )
    return Audit(
        alignment=alignment,
        verdicts=tuple(str(fit.verdict.status) for fit in ranked),
        agreement=_agreement(translations),
        model=identify(rows) if len(rows) >= MIN_ROWS else None,
        rows=len(picked),
        words=words,
        retrieval=retrieval,
        label_findings=label_findings,
        reidentified=reidentified,
        leak=_leak(has_usable_fit, words, label_findings, reidentified),
        defenses=scores,
        documents=_documents(picked, predictions, retrieved, labels, order),
    )


def _words(
    decoder: KeywordDecoder,
    corpus: PublicCorpus,
    predictions: Sequence[Extraction],
    rotated: Sequence[Extraction],
    texts: Sequence[str] | None,
    resamples: Resamples,
    seed: int,
) -> WordFindings:
    shares = dict(zip(decoder.vocabulary.words, decoder.vocabulary.shares.tolist(), strict=True))
    asserted = [[keyword for keyword in document.keywords if keyword.p >= LEVEL] for document in predictions]
    counts = [len(keywords) for keywords in asserted]
    calibration = "the vectors of the public text itself, which makes probabilities too high for translations"
    with_stand_in = corpus.stand_in is not None
    if with_stand_in:
        calibration = f"a second encoder of the public text, at a centered cosine of {decoder.translation_cosine:.2f}"
    return WordFindings(
        leak_rate=Estimate(
            _expected_leak_rate(predictions, resamples),
            _expected_leak_rate(rotated, resamples),
            LEAK_RATE if with_stand_in else None,
        ),
        precision=Estimate(
            resamples.ratio([sum(keyword.p for keyword in keywords) for keywords in asserted], counts),
            resamples.ratio([sum(shares[keyword.word] for keyword in keywords) for keywords in asserted], counts),
            PRECISION if with_stand_in else None,
        ),
        asserted=resamples.mean([bool(keywords) for keywords in asserted]),
        vocabulary=len(decoder.vocabulary.words),
        calibration=calibration,
        measured=None if texts is None else score_keywords(predictions, texts, decoder.vocabulary, seed=seed),
    )


def _predict(decoder: KeywordDecoder, translations: Sequence[FloatArray]) -> list[Extraction]:
    """Return the most probable words of every row, by the mean of the probabilities of all fits."""
    means = [collection_mean(rows) for rows in translations]
    extractions: list[Extraction] = []
    for block in row_blocks(len(translations[0]), _BLOCK):
        pairs = zip(translations, means, strict=True)
        probabilities = np.mean(
            [decoder.probabilities(translation[block], mean=mean) for translation, mean in pairs], axis=0
        )
        extractions += most_probable(probabilities, decoder.vocabulary.words)
    return extractions


def _expected_leak_rate(predictions: Sequence[Extraction], resamples: Resamples) -> Interval:
    """Return the expected share of documents whose most probable asserted word is right."""
    probabilities = (document.keywords[0].p if document.asserted(LEVEL) else 0.0 for document in predictions)
    return resamples.mean(list(probabilities))


@dataclass(frozen=True, eq=False)
class _Decoder:
    """Recovers words and labels from the vectors that an attack on a defense recovered."""

    decoder: KeywordDecoder
    labels: Labels | None
    truth: GroundTruth
    seed: int

    def __call__(self, recovered: FloatArray, picked: IntArray) -> Decoded:
        mean = collection_mean(recovered)
        predictions = _predict(self.decoder, [unit_rows(recovered)])
        truth = self.truth.take(picked)
        if truth.texts is None:
            words, basis = _expected_leak_rate(predictions, Resamples(len(picked), self.seed)), "estimated"
        else:
            figures = score_keywords(predictions, truth.texts, self.decoder.vocabulary, seed=self.seed)
            words, basis = figures.leak_rate.interval, "measured"
        right = None
        if self.labels is not None and truth.labels is not None:
            first = label_scores(recovered, self.labels.vectors, mean=mean).argmax(axis=1)
            names = self.labels.names
            rows = zip(first, _offered(truth.labels, names), strict=True)
            hits = [names[i] in true if true else np.nan for i, true in rows]
            right = Resamples(len(picked), self.seed).mean(hits)
        return Decoded(words, basis, right)


def _retrieval(
    corpus: PublicCorpus, translated: FloatArray, rotated: FloatArray, resamples: Resamples, seed: int
) -> tuple[RetrievalFindings, list[Extraction]]:
    method = CorpusRetrieval.of(corpus.vectors, corpus.texts, k=2)
    sample = np.random.default_rng(seed).permutation(len(corpus.texts))[: len(translated)]
    retrieved, null = (
        method.invert(translation, mean=collection_mean(translation)) for translation in (translated, rotated)
    )
    among_public = method.invert(corpus.vectors[sample])
    findings = RetrievalFindings(
        nearest=resamples.mean([e.neighbors[0].cosine for e in retrieved]),
        control=resamples.mean([e.neighbors[0].cosine for e in null]),
        # The first neighbor of a public text is the text itself.
        public=Resamples(len(sample), seed).mean([e.neighbors[1].cosine for e in among_public]),
    )
    return findings, retrieved


def _infer_labels(
    labels: Labels, translated: FloatArray, true_labels: Sequence[Sequence[str]] | None, seed: int
) -> tuple[LabelFindings, npt.NDArray[np.int64]]:
    mean = collection_mean(translated)
    order = np.argsort(-label_scores(translated, labels.vectors, mean=mean), axis=1, kind="stable")
    counts = Counter(order[:, 0].tolist())
    shares = {labels.names[i]: count / len(order) for i, count in counts.most_common()}
    measured = None
    if true_labels is not None:
        kept = _offered(true_labels, labels.names)
        with_label = np.array([bool(row) for row in kept])
        if with_label.sum() > 1:
            truth = truth_matrix([row for row in kept if row], labels.names)
            measured = infer_attributes(
                translated[with_label], labels.vectors, truth, labels.names, mean=mean, seed=seed
            )
    return LabelFindings(shares, measured), order


def _offered(true_labels: Sequence[Sequence[str]], names: Sequence[str]) -> list[list[str]]:
    """Return the true labels of each row that are among the labels to infer."""
    inferred = set(names)
    return [[name for name in row if name in inferred] for row in true_labels]


def _leak(
    has_usable_fit: bool,
    words: WordFindings,
    label_findings: LabelFindings | None,
    reidentified: Reidentification | None,
) -> Leak:
    measured: list[tuple[float, str]] = []
    if words.measured is not None:
        measured.append((words.measured.leak_rate.value, words.measured.leak_rate.meaning))
    if reidentified is not None:
        measured.append((reidentified.top1.value, reidentified.top1.meaning))
    if label_findings is not None and label_findings.measured is not None:
        top, prior = label_findings.measured.translated.top1.value, label_findings.measured.majority.top1.value
        what = "share of documents with the right first label, beyond always choosing the most frequent"
        measured.append((max(0.0, (top - prior) / (1 - prior)) if prior < 1 else 0.0, what))
    if measured:
        return Leak(*max(measured), "measured")
    what = f"share of documents with a correct word at p >= {LEVEL}"
    return Leak(words.leak_rate.value, what, "estimated") if has_usable_fit else Leak(0.0, what, "attack failed")


def _defenses(
    alignment: Alignment,
    rows: npt.NDArray[Any],
    corpus: PublicCorpus,
    truth: GroundTruth,
    decode: _Decoder,
    suite_name: str,
    seed: int,
    report: OnStep,
) -> tuple[DefenseScore, ...]:
    # Without true vectors, re-identification compares with the attack on unprotected vectors.
    reference = _translate(alignment, rows) if truth.vectors is None else truth.vectors
    tried = suite(suite_name, rows.shape[1])
    scores = []
    for number, defense in enumerate(tried):
        report({"step": "defense", "name": defense.name, "at": number, "of": len(tried)})
        scores.append(
            evaluate_defense(
                defense,
                rows,
                corpus.vectors,
                truth=reference,
                translate=lambda x: _translate(alignment, x),
                decode=decode,
                seed=seed,
            )
        )
    return tuple(scores)


def _translate(alignment: Alignment, rows: npt.NDArray[Any]) -> FloatArray:
    return np.asarray(alignment.forward(np.asarray(rows, np.float32)), np.float32)


def _agreement(translations: Sequence[FloatArray]) -> float | None:
    if len(translations) < 2:
        return None
    first, second = (rows - rows.mean(axis=0) for rows in translations[:2])
    return agreement(first, second)


def _documents(
    picked: npt.NDArray[np.int64],
    predictions: Sequence[Extraction],
    retrieved: Sequence[Extraction],
    labels: Labels | None,
    order: npt.NDArray[np.int64] | None,
) -> tuple[DocumentFindings, ...]:
    return tuple(
        DocumentFindings(
            row=int(picked[i]),
            words=tuple((k.word, k.p) for k in predictions[i].keywords[:6] if k.p >= LEVEL),
            labels=() if labels is None or order is None else tuple(labels.names[j] for j in order[i, :2]),
            nearest=retrieved[i].neighbors[0].text,
            cosine=retrieved[i].neighbors[0].cosine,
        )
        for i in np.linspace(0, len(picked) - 1, min(_EXAMPLES, len(picked))).astype(int).tolist()
    )
