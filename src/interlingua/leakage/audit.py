"""One audit: what the vectors of an unknown model give away to somebody with public text and an encoder of their own.

The fits see no pair, no text and no label of the audited rows. Several of them, with seeds of their own, are asked
together: where one has put a group of texts in the wrong place another often has not, and a claim is believed as far as
they agree. Without a ground truth the figures are estimates, from probabilities calibrated on public text; with one
they are measured, and the estimates stand beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.alignment import Alignment, Status
from interlingua.core.arrays import FloatArray, check_matrix, row_blocks, unit_rows
from interlingua.core.errors import InputError
from interlingua.evaluation.bootstrap import Resamples
from interlingua.leakage.attributes import infer_attributes, label_scores, truth_matrix
from interlingua.leakage.centering import collection_mean
from interlingua.leakage.defenses import DefenseScore, Rotation, measure, suite
from interlingua.leakage.findings import Audit, Document, Leak, Retrieval, Topics, Words
from interlingua.leakage.inversion import CorpusRetrieval, Extraction, KeywordDecoder
from interlingua.leakage.inversion.keywords import claims as claims_of
from interlingua.leakage.inversion.scores import LEVEL, Reidentification, reidentification, score_keywords
from interlingua.leakage.inversion.words import Vocabulary

DOCUMENTS = 2_000
_BLOCK = 512
_EXAMPLES = 8


@dataclass(frozen=True, eq=False)
class PublicCorpus:
    """What the auditor brings: vectors [m, d] under an encoder of their own, and the m public texts.

    Attributes:
        vectors: [m, d].
        texts: m texts.
        stand_in: the same texts under any other encoder [m, e], to calibrate with; see :meth:`KeywordDecoder.fit`.
        vocabulary: the words to look for; by default the frequent content words of the texts.
    """

    vectors: FloatArray
    texts: Sequence[str]
    stand_in: FloatArray | None = None
    vocabulary: Vocabulary | None = None


@dataclass(frozen=True, eq=False)
class Labels:
    """Attributes to look for: their names, and their vectors [l, d] or [t, l, d] in the auditor's space."""

    names: tuple[str, ...]
    vectors: FloatArray

    @classmethod
    def of_corpus(cls, vectors: npt.ArrayLike, labels: Sequence[Sequence[str]], *, fewest: int = 5) -> Labels:
        """Make label vectors of a labeled corpus: the mean of the rows [m, d] that carry a label.

        Args:
            vectors: the corpus.
            labels: of every row.
            fewest: rows that a label must have.

        Raises:
            InputError: not one set of labels a row, or no label on enough rows.
        """
        rows = check_matrix(vectors, "the corpus").astype(np.float32)
        if len(labels) != len(rows):
            raise InputError(
                f"The corpus has {len(rows)} vectors and {len(labels)} rows of labels; one each is needed."
            )
        counts = Counter(name for carried in labels for name in set(carried))
        names = tuple(sorted(name for name, count in counts.items() if count >= fewest))
        if not names:
            raise InputError(f"No label is on {fewest} rows of the corpus; give a corpus with more rows of each.")
        kept = [tuple(name for name in carried if name in set(names)) for carried in labels]
        carries = truth_matrix(kept, names).astype(np.float32)
        return cls(names, np.asarray(carries.T @ rows / carries.sum(axis=0)[:, None], np.float32))


@dataclass(frozen=True, eq=False)
class Truth:
    """What the audited rows really are, where somebody knows: it measures and takes no part in the attack.

    Attributes:
        texts: n texts, or nothing.
        labels: the labels of each of n rows, or nothing.
        vectors: the same rows in the auditor's space [n, d], or nothing.
    """

    texts: Sequence[str] | None = None
    labels: Sequence[Sequence[str]] | None = None
    vectors: FloatArray | None = None


def audit(
    alignments: Sequence[Alignment],
    vectors: npt.ArrayLike,
    corpus: PublicCorpus,
    *,
    labels: Labels | None = None,
    truth: Truth | None = None,
    defenses: str | None = None,
    documents: int = DOCUMENTS,
    seed: int = 0,
) -> Audit:
    """Measure what unpaired fits let an attacker read.

    Args:
        alignments: from the audited vectors to the corpus, fitted without pairs, best with two seeds. Failed ones
            count only where all failed.
        vectors: the audited rows [n, d_unknown].
        corpus: public texts in the auditor's space.
        labels: attributes to look for.
        truth: what the rows really are, if known.
        defenses: ``quick`` or ``full`` also tries defenses; None tries none, and so does a failed fit.
        documents: most rows that words, labels and neighbors are looked for in.
        seed: of every draw.

    Raises:
        InputError: no fit, or shapes that do not go together.
    """
    if not alignments:
        raise InputError("An audit needs at least one fit; give two, from different seeds.")
    ranked = sorted(alignments, key=lambda fit: -fit.verdict.score)
    usable = [fit for fit in ranked if fit.verdict.status is not Status.FAILED]
    alignment, worked = (usable or ranked)[0], bool(usable)
    rows = check_matrix(vectors, "the audited vectors")
    truth = truth or Truth()
    for name, given in (("texts", truth.texts), ("labels", truth.labels), ("vectors", truth.vectors)):
        if given is not None and len(given) != len(rows):
            raise InputError(f"There are {len(given)} true {name} for {len(rows)} vectors; one each is needed.")
    picked = np.sort(np.random.default_rng(seed).permutation(len(rows))[:documents])
    sides = [unit_rows(_translate(fit, rows[picked])) for fit in usable or ranked]
    translated = np.asarray(np.mean(sides, axis=0), np.float32)
    mean = collection_mean(translated)
    resamples = Resamples(len(picked), seed)
    # Rotated about its mean, a translation keeps every distance and loses all meaning.
    center = translated.mean(axis=0)
    turned = np.asarray(Rotation().apply(translated - center, seed) + center, np.float32)
    texts = None if truth.texts is None else [truth.texts[i] for i in picked]
    words, claims = _words(corpus, sides, turned, texts, resamples, seed)
    retrieval, near = _retrieval(corpus, translated, turned, resamples, seed)
    topics, order = None, None
    if labels is not None:
        carried = None if truth.labels is None else [truth.labels[i] for i in picked]
        topics, order = _topics(labels, translated, mean, carried, seed)
    known = None if truth.vectors is None else np.asarray(truth.vectors[picked], np.float32)
    reidentified = None if known is None else reidentification(translated, known, seed=seed)
    return Audit(
        alignment=alignment,
        verdicts=tuple(str(fit.verdict.status) for fit in ranked),
        agreement=_agreement(sides),
        rows=len(picked),
        words=words,
        retrieval=retrieval,
        topics=topics,
        reidentified=reidentified,
        leak=_leak(worked, words, topics, reidentified),
        defenses=_defenses(alignment, rows, corpus, truth, defenses, seed) if defenses and worked else (),
        documents=_documents(picked, claims, near, labels, order),
    )


def _words(
    corpus: PublicCorpus,
    sides: Sequence[FloatArray],
    turned: FloatArray,
    texts: Sequence[str] | None,
    resamples: Resamples,
    seed: int,
) -> tuple[Words, list[Extraction]]:
    decoder = KeywordDecoder.fit(
        corpus.vectors, corpus.texts, stand_in=corpus.stand_in, vocabulary=corpus.vocabulary, seed=seed
    )
    claims, control = _claims(decoder, sides), _claims(decoder, [turned])
    asserted = [[keyword.p for keyword in claim.keywords if keyword.p >= LEVEL] for claim in claims]
    said = [p for document in asserted for p in document]
    calibration = "the public text itself, which is optimiztic"
    if corpus.stand_in is not None:
        calibration = f"a second encoder of the public text, at a centered cosine of {decoder.faithfulness:.2f}"
    found = Words(
        expected=resamples.mean([max(document, default=0.0) for document in asserted]),
        control=resamples.mean([_likeliest(claim) for claim in control]),
        asserted=resamples.mean([bool(document) for document in asserted]),
        claimed=float(np.mean(said)) if said else 0.0,
        vocabulary=len(decoder.vocabulary.words),
        calibration=calibration,
        measured=None if texts is None else score_keywords(claims, texts, decoder.vocabulary, seed=seed),
    )
    return found, claims


def _claims(decoder: KeywordDecoder, sides: Sequence[FloatArray]) -> list[Extraction]:
    """Return the likeliest words of every row, by the mean of the probabilities that each fit's translation gives."""
    means = [collection_mean(side) for side in sides]
    found: list[Extraction] = []
    for block in row_blocks(len(sides[0]), _BLOCK):
        pairs = zip(sides, means, strict=True)
        chances = np.mean([decoder.probabilities(side[block], mean=mean) for side, mean in pairs], axis=0)
        found += claims_of(chances, decoder.vocabulary.words)
    return found


def _likeliest(claim: Extraction) -> float:
    return max((keyword.p for keyword in claim.keywords if keyword.p >= LEVEL), default=0.0)


def _retrieval(
    corpus: PublicCorpus, translated: FloatArray, turned: FloatArray, resamples: Resamples, seed: int
) -> tuple[Retrieval, list[Extraction]]:
    method = CorpusRetrieval.of(corpus.vectors, corpus.texts, k=2)
    some = np.random.default_rng(seed).permutation(len(corpus.texts))[: len(translated)]
    near, null = (method.invert(side, mean=collection_mean(side)) for side in (translated, turned))
    own = method.invert(corpus.vectors[some])
    found = Retrieval(
        nearest=resamples.mean([e.neighbors[0].cosine for e in near]),
        control=resamples.mean([e.neighbors[0].cosine for e in null]),
        # The first neighbor of a public text is the text itself.
        public=Resamples(len(some), seed).mean([e.neighbors[1].cosine for e in own]),
    )
    return found, near


def _topics(
    labels: Labels, translated: FloatArray, mean: FloatArray, carried: Sequence[Sequence[str]] | None, seed: int
) -> tuple[Topics, npt.NDArray[np.int64]]:
    order = np.argsort(-label_scores(translated, labels.vectors, mean=mean), axis=1, kind="stable")
    counts = Counter(order[:, 0].tolist())
    shares = {labels.names[i]: count / len(order) for i, count in counts.most_common()}
    measured = None
    if carried is not None:
        known = set(labels.names)
        kept = [[name for name in row if name in known] for row in carried]
        with_label = np.array([bool(row) for row in kept])
        if with_label.sum() > 1:
            truth = truth_matrix([row for row in kept if row], labels.names)
            measured = infer_attributes(
                translated[with_label], labels.vectors, truth, labels.names, mean=mean, seed=seed
            )
    return Topics(shares, measured), order


def _leak(worked: bool, words: Words, topics: Topics | None, reidentified: Reidentification | None) -> Leak:
    found: list[tuple[float, str]] = []
    if words.measured is not None:
        found.append((words.measured.leak_rate.value, words.measured.leak_rate.meaning))
    if reidentified is not None:
        found.append((reidentified.top1.value, reidentified.top1.meaning))
    if topics is not None and topics.measured is not None:
        top, prior = topics.measured.translated.top1.value, topics.measured.majority.top1.value
        what = "share of documents whose label is named right, beyond always naming the most frequent"
        found.append((max(0.0, (top - prior) / (1 - prior)) if prior < 1 else 0.0, what))
    if found:
        return Leak(*max(found), "measured")
    what = f"share of documents with a correct word asserted at p >= {LEVEL}"
    return Leak(words.expected.value, what, "estimated") if worked else Leak(0.0, what, "attack failed")


def _defenses(
    alignment: Alignment,
    rows: npt.NDArray[Any],
    corpus: PublicCorpus,
    truth: Truth,
    which: str,
    seed: int,
) -> tuple[DefenseScore, ...]:
    # Without a truth the attack on unprotected vectors stands for it: a defense must keep at least that from happening.
    goal = _translate(alignment, rows) if truth.vectors is None else truth.vectors
    return tuple(
        measure(defense, rows, corpus.vectors, truth=goal, translate=lambda x: _translate(alignment, x), seed=seed)
        for defense in suite(which, rows.shape[1])
    )


def _translate(alignment: Alignment, rows: npt.NDArray[Any]) -> FloatArray:
    return np.asarray(alignment.forward(np.asarray(rows, np.float32)), np.float32)


def _agreement(sides: Sequence[FloatArray]) -> float | None:
    if len(sides) < 2:
        return None
    first, second = (unit_rows(side - side.mean(axis=0)) for side in sides[:2])
    return float((first * second).sum(axis=1).mean(dtype=np.float64))


def _documents(
    picked: npt.NDArray[np.int64],
    claims: Sequence[Extraction],
    near: Sequence[Extraction],
    labels: Labels | None,
    order: npt.NDArray[np.int64] | None,
) -> tuple[Document, ...]:
    return tuple(
        Document(
            row=int(picked[i]),
            words=tuple((k.word, k.p) for k in claims[i].keywords[:6] if k.p >= LEVEL),
            labels=() if labels is None or order is None else tuple(labels.names[j] for j in order[i, :2]),
            nearest=near[i].neighbors[0].text,
            cosine=near[i].neighbors[0].cosine,
        )
        for i in np.linspace(0, len(picked) - 1, min(_EXAMPLES, len(picked))).astype(int).tolist()
    )
