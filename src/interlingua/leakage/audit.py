"""Audit: what the vectors of an unknown model reveal to an attacker with public texts and an encoder of their own.

The fits see no pairs, texts or labels of the audited rows. Word probabilities are averaged over several fits from
different seeds: where one fit misplaces a group of texts, another often does not. Without a ground truth, figures are
estimates from calibrated probabilities. With a ground truth they are measured, and the estimates are reported too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from interlingua._align import align
from interlingua.aligners.base import OnStep, ignore_step
from interlingua.core.alignment import Alignment
from interlingua.core.arguments import check_callable, check_choice, check_count, check_flag, check_instance
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.progress import Timed
from interlingua.core.statistics import agreement
from interlingua.core.wording import count_of
from interlingua.evaluation.bootstrap import Resamples
from interlingua.identification import MIN_ROWS, identify
from interlingua.leakage._checks import check_members
from interlingua.leakage._chosen_fits import choose_fits, translate
from interlingua.leakage._defended import defense_scores
from interlingua.leakage._documents import sample_documents
from interlingua.leakage._doubts import label_doubt, order_doubt, vector_doubt, words_to_compare
from interlingua.leakage._headline import headline
from interlingua.leakage._points import points_left_out
from interlingua.leakage._predictions import attacked_rows, meaningless, most_frequent, offered, predict
from interlingua.leakage._records import links_with, membership_of, translate_all
from interlingua.leakage._shares import SharesReported
from interlingua.leakage._similarity import nearest_fits, similarities
from interlingua.leakage._words import word_findings
from interlingua.leakage.attributes import infer_attributes, label_scores, truth_matrix
from interlingua.leakage.centering import collection_mean
from interlingua.leakage.defense_scores import DefenseScore
from interlingua.leakage.defenses import SUITES
from interlingua.leakage.findings import (
    Audit,
    FrequentWord,
    LabelFindings,
)
from interlingua.leakage.identities import IdentityFindings, identity_findings
from interlingua.leakage.input_checks import check_inputs
from interlingua.leakage.inputs import GroundTruth, KnownRecords, Labels, PublicCorpus, SecondLeak
from interlingua.leakage.inversion import Extraction, KeywordDecoder
from interlingua.leakage.inversion.scores import reidentification
from interlingua.leakage.kinds import KindFinding, kinds_of_words
from interlingua.leakage.row_curves import RowPoint, leak_by_rows

__all__ = ["DOCUMENTS", "audit"]

DOCUMENTS = 2_000
_FREQUENT = 12


def audit(
    alignments: Sequence[Alignment],
    vectors: npt.ArrayLike,
    corpus: PublicCorpus,
    *,
    decoder: KeywordDecoder | None = None,
    labels: Labels | None = None,
    truth: GroundTruth | None = None,
    defenses: str | None = None,
    records: KnownRecords | None = None,
    second: SecondLeak | None = None,
    kinds: bool = False,
    halvings: int = 0,
    fit: Callable[..., Alignment] = align,
    documents: int = DOCUMENTS,
    seed: int = 0,
    on_step: OnStep = ignore_step,
) -> Audit:
    """Measure what an attacker can read with unpaired fits.

    Args:
        alignments: fits from the audited vectors to the corpus without pairs, preferably two with different seeds, and
            with the views of the corpus if it has any. Failed fits are used only if all failed.
        vectors: the audited rows [n, d_unknown].
        corpus: public texts in the auditor's space. Without texts, as :meth:`PublicCorpus.of_rows` returns it, the
            labels are identities: rank-1 and the equal error rate are measured in the place of words.
        decoder: keyword decoder from :meth:`PublicCorpus.fit_decoder`; fitted on the corpus by default.
        labels: labels to infer.
        truth: true contents of the rows, if known.
        defenses: suite of defenses to evaluate, ``quick`` or ``full``; None for none. A failed fit evaluates none.
        records: records of known membership, for the membership test; by default the true vectors, if they are known.
        second: a second leak, whose rows are linked with the audited ones.
        kinds: count kinds of data among the recovered words; needs the extra ``kinds``.
        halvings: number of halvings of the leaked rows, and of the public texts, for the leak by the number of rows;
            each needs a fit.
        fit: aligns (vectors, public vectors, seed=seed) for these, such as a function that keeps fits; if the corpus
            has views, they are passed as ``views``.
        documents: largest number of rows that are attacked.
        seed: random seed.
        on_step: called with a dict before each part of the attack, as by :func:`interlingua.align`; from the first
            defense on with the ``share`` of the audit that is done and ``total_seconds_left``.

    Raises:
        InputError: no fit, and as :func:`interlingua.leakage.input_checks.check_inputs`.
    """
    alignments = check_members(alignments, "alignments", Alignment, "fits, as interlingua.align returns them,")
    if not alignments:
        raise InputError("An audit needs at least one fit; give two, from different seeds.")
    check_instance(second, "second", (SecondLeak, type(None)), "a SecondLeak")
    defenses = None if defenses is None else check_choice(defenses, "defenses", SUITES)
    check_callable(fit, "fit", "a function")
    check_callable(on_step, "on_step", "a function of one dict")
    kinds, halvings = check_flag(kinds, "kinds"), check_count(halvings, "halvings")
    documents, seed = check_count(documents, "documents", minimum=2), check_count(seed, "seed")
    of_texts = {"defenses": defenses, "kinds": kinds, "halvings": halvings}
    rows = check_inputs(
        vectors, corpus, labels=labels, truth=truth, records=records, decoder=decoder, options=of_texts, fitted=True,
        documents=documents, seed=seed,
    )  # fmt: skip
    truth = truth or GroundTruth()
    chosen = choose_fits(alignments, rows, corpus)
    ranked, usable, omitted = chosen.ranked, chosen.used, [*chosen.omitted]
    alignment, has_usable_fit = (usable or ranked)[0], bool(usable)
    picked = attacked_rows(len(rows), documents, seed)
    known = truth.take(picked)
    words_compared = words_to_compare(corpus, truth.texts, None if second is None else second.texts)
    texts_doubt = order_doubt(rows, truth.texts, words_compared, second=False)
    report = SharesReported(Timed(on_step), defenses, rows.shape[1], (len(rows), len(corpus.vectors)), halvings)
    report({"step": "attack", "work": "translating"})
    translations = [unit_rows(translate(fit, rows[picked])) for fit in usable or ranked]
    near = nearest_fits(corpus, translations, seed)
    unlike = [fit for position, fit in enumerate(usable or ranked) if position not in near]
    if unlike:
        was, its = ("was", "its") if len(unlike) == 1 else ("were", "their")
        omitted.append(
            f"{len(unlike)} of {len(translations)} fits {was} not used, because {its} translations are far less "
            f"similar to the public {corpus.contents} than those of another fit."
        )
        translations = [translations[position] for position in near]
        usable = [usable[position] for position in near] if usable else usable
        alignment = (usable or ranked)[0]
    translated = np.asarray(np.mean(translations, axis=0), np.float32)
    rotated = meaningless(translated, seed)
    resamples = Resamples(len(picked), seed)
    words, predictions, null = None, [Extraction()] * len(picked), [Extraction()] * len(picked)
    if corpus.has_texts:
        if decoder is None:
            report({"step": "attack", "work": "fitting the keyword decoder"})
            corpus = corpus.align_stand_in(seed)
            decoder = corpus.fit_decoder(seed)
        report({"step": "attack", "work": f"reading words of {count_of(len(picked))}"})
        predictions = predict(decoder, translations)
        report({"step": "attack", "work": "reading words of the control"})
        null = predict(decoder, [rotated])
        words = word_findings(decoder, corpus, predictions, null, known.texts, resamples, seed)
        empty = sum(not text.strip() for text in known.texts or ())
        if empty:
            omitted.append(
                f"The true text of {count_of(empty)} of {len(picked):,} is empty; the measured figures of words leave "
                "them out."
            )
    report({"step": "attack", "work": f"searching the nearest public {corpus.contents}"})
    retrieval, retrieved = similarities(corpus, translated, rotated, resamples, seed)
    if words is not None and not retrieval.is_near:
        words = words.without_errors()
    label_findings, order, identities = None, None, None
    if not corpus.has_texts:
        report({"step": "attack", "work": "recognizing identities"})
        identities = _identities(labels, translated, known, seed)
    elif labels is not None:
        report({"step": "attack", "work": "inferring labels"})
        label_findings, order = _infer_labels(labels, translated, known.labels, seed)
    if known.vectors is not None:
        report({"step": "attack", "work": "re-identifying rows"})
    reidentified = None if known.vectors is None else reidentification(translated, known.vectors, seed=seed)
    works = has_usable_fit and retrieval.is_near
    doubts = {
        "texts": texts_doubt,
        "labels": label_doubt(rows, labels, truth, identities or label_findings, works=works),
        "vectors": vector_doubt(rows, truth.vectors),
    }
    doubts = {name: sentence for name, sentence in doubts.items() if sentence}
    trusted = truth.without(list(doubts))
    if "texts" in doubts and (kinds or defenses or halvings):
        omitted.append(
            "Words of each kind, and words read with fewer rows or with a defense, are not compared with the true "
            "texts, which are probably in another order than the vectors."
        )
    scores: tuple[DefenseScore, ...] = ()
    if defenses and not has_usable_fit:
        omitted.append("Defenses were not evaluated, because no fit of the vectors worked.")
    if defenses and has_usable_fit and decoder is not None:
        scores = defense_scores(
            defenses, np.asarray(rows, np.float32), corpus, decoder, labels=labels, truth=trusted,
            translate=lambda x: translate(alignment, x), fit_seconds=alignment.seconds, seed=seed, on_step=report,
        )  # fmt: skip
    report({"step": "attack", "work": "testing membership and links"})
    tested, controls = None, ""
    if has_usable_fit:
        tested, controls, lacking = membership_of(records, known, lambda: translate_all(usable, rows), corpus, seed)
        omitted += lacking
    elif records is not None:
        omitted.append("Membership was not tested, because no fit of the vectors worked.")
    linked, links_doubt = None, ""
    if second is not None:
        doubtful = texts_doubt or order_doubt(second.vectors, second.texts, words_compared, second=True)
        linked, links_doubt, lacking = links_with(
            second, translated, known.texts, corpus, has_usable_fit=has_usable_fit, doubtful=doubtful, seed=seed
        )
        omitted += lacking
    points: tuple[RowPoint, ...] = ()
    if halvings:
        points = leak_by_rows(
            rows, corpus, halvings=halvings, truth=GroundTruth(trusted.texts), decoder=decoder, fit=fit, seed=seed,
            on_step=report,
        )  # fmt: skip
        omitted.extend(points_left_out(len(rows), len(corpus.texts), halvings))
    frequent: tuple[FrequentWord, ...] = ()
    found_kinds: tuple[KindFinding, ...] = ()
    if decoder is not None:
        shares = dict(zip(decoder.vocabulary.words, decoder.vocabulary.shares.tolist(), strict=True))
        frequent = tuple(
            FrequentWord(word, count, shares[word]) for word, count in most_frequent(predictions, _FREQUENT)
        )
    counts_kinds = has_usable_fit or trusted.texts is not None
    if kinds and not counts_kinds:
        omitted.append("Kinds of words were not counted, because no fit of the vectors worked.")
    if kinds and counts_kinds and decoder is not None:
        report({"step": "attack", "work": "counting kinds of words"})
        found_kinds = kinds_of_words(
            predictions, null, decoder.vocabulary.words, corpus.texts, texts=trusted.take(picked).texts, seed=seed
        )
    return Audit(
        alignment=alignment,
        verdicts=tuple(str(fit.verdict.status) for fit in ranked),
        agreement=_agreement(translations),
        model=identify(rows) if len(rows) >= MIN_ROWS else None,
        rows=len(picked),
        leaked=len(rows),
        public=len(corpus.texts),
        word_findings=words,
        retrieval=retrieval,
        label_findings=label_findings,
        reidentified=reidentified,
        leak=headline(has_usable_fit, len(picked), words, retrieval, label_findings, reidentified, identities),
        defenses=scores,
        documents=sample_documents(picked, predictions, retrieved, labels, order, decoder, known.texts),
        frequent=frequent,
        kinds=found_kinds,
        membership=tested,
        membership_controls=controls,
        linkage=linked,
        points=points,
        identities=identities,
        omitted=tuple(omitted),
        foreign=chosen.foreign,
        unordered=doubts,
        links_doubt=links_doubt,
        unlike=tuple(fit in unlike for fit in ranked) if unlike else (),
        public_model=identify(corpus.vectors) if len(corpus.vectors) >= MIN_ROWS else None,
    )


def _identities(
    labels: Labels | None, translated: FloatArray, known: GroundTruth, seed: int
) -> IdentityFindings | None:
    """Return how well rows without texts are recognized in a gallery of identities, if their identities are known."""
    if labels is None or known.labels is None:
        return None
    own = [row[0] if row else "" for row in offered(known.labels, labels.names)]
    return identity_findings(translated, labels.vectors, labels.names, own, seed=seed)


def _infer_labels(
    labels: Labels, translated: FloatArray, true_labels: Sequence[Sequence[str]] | None, seed: int
) -> tuple[LabelFindings, npt.NDArray[np.int64]]:
    mean = collection_mean(translated)
    order = np.argsort(-label_scores(translated, labels.vectors, mean=mean), axis=1, kind="stable")
    counts = Counter(order[:, 0].tolist())
    shares = {labels.names[i]: count / len(order) for i, count in counts.most_common()}
    measured = None
    if true_labels is not None:
        kept = offered(true_labels, labels.names)
        with_label = np.array([bool(row) for row in kept])
        truth = truth_matrix([row for row in kept if row], labels.names)
        measured = infer_attributes(translated[with_label], labels.vectors, truth, labels.names, mean=mean, seed=seed)
    return LabelFindings(shares, measured), order


def _agreement(translations: Sequence[FloatArray]) -> float | None:
    if len(translations) < 2:
        return None
    first, second = (rows - rows.mean(axis=0) for rows in translations[:2])
    return agreement(first, second)
