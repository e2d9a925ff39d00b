"""Figures of the words that an audit reads: estimated with their errors, and measured where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interlingua.evaluation.bootstrap import Interval, Resamples
from interlingua.leakage._predictions import expected_leak_rate
from interlingua.leakage.calibration import ERRORS
from interlingua.leakage.findings import Estimate, WordFindings
from interlingua.leakage.inputs import PublicCorpus
from interlingua.leakage.inversion import Extraction, KeywordDecoder
from interlingua.leakage.inversion.keywords import held_out_rows
from interlingua.leakage.inversion.scores import LEVEL, score_keywords

__all__ = ["word_findings"]

# Public texts that the ceiling is measured on, at most.
_HELD_OUT = 2_000


def word_findings(
    decoder: KeywordDecoder,
    corpus: PublicCorpus,
    predictions: Sequence[Extraction],
    rotated: Sequence[Extraction],
    texts: Sequence[str] | None,
    resamples: Resamples,
    seed: int,
) -> WordFindings:
    """Return the figures of the words: estimates, their controls, and figures against the true texts if given."""
    shares = dict(zip(decoder.vocabulary.words, decoder.vocabulary.shares.tolist(), strict=True))
    asserted = [[keyword for keyword in document.keywords if keyword.p >= LEVEL] for document in predictions]
    counts = [len(keywords) for keywords in asserted]
    errors = ERRORS.get(decoder.calibrated_with, {})
    return WordFindings(
        leak_rate=Estimate(
            expected_leak_rate(predictions, resamples),
            expected_leak_rate(rotated, resamples),
            errors.get("leak_rate"),
        ),
        precision=Estimate(
            resamples.ratio([sum(keyword.p for keyword in keywords) for keywords in asserted], counts),
            resamples.ratio([sum(shares[keyword.word] for keyword in keywords) for keywords in asserted], counts),
            errors.get("precision"),
        ),
        asserted=resamples.mean([bool(keywords) for keywords in asserted]),
        vocabulary=len(decoder.vocabulary.words),
        calibration=_calibration(decoder, corpus),
        ceiling=_ceiling(decoder, corpus, seed),
        measured=None if texts is None else score_keywords(predictions, texts, decoder.vocabulary, seed=seed),
    )


def _ceiling(decoder: KeywordDecoder, corpus: PublicCorpus, seed: int) -> Interval:
    """Return the share of held-out public texts for which a correct word is asserted from their own vectors."""
    rows = held_out_rows(len(corpus.texts), seed)[:_HELD_OUT]
    read = decoder.invert(np.asarray(corpus.vectors)[rows])
    return score_keywords(read, [corpus.texts[row] for row in rows], decoder.vocabulary, seed=seed).leak_rate.interval


def _calibration(decoder: KeywordDecoder, corpus: PublicCorpus) -> str:
    """Return what the probabilities were calibrated with, in words."""
    if decoder.calibrated_with in ("unpaired", "paired"):
        pairs = "without pairs" if decoder.calibrated_with == "unpaired" else "with pairs"
        cosine = f"{decoder.translation_cosine:.2f}"
        return f"another encoder of the public texts, translated {pairs} at a centered cosine of {cosine}"
    if decoder.calibrated_with == "given":
        return "translations whose texts the caller knows"
    own = "the vectors of the public text itself, which makes probabilities too high for translations"
    if corpus.stand_in_fit is None or corpus.stand_in_translates:
        return own
    return (
        f"{own} (the stand-in was not used, because its own fit without pairs is {corpus.stand_in_fit.verdict.status})"
    )
