"""How similar translations are to the public texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interlingua.core.arrays import FloatArray
from interlingua.core.neighbors import nearest
from interlingua.evaluation.bootstrap import Resamples
from interlingua.leakage._predictions import meaningless
from interlingua.leakage.centering import center_by_own_mean, collection_mean
from interlingua.leakage.findings import NEAR, RetrievalFindings
from interlingua.leakage.inputs import PublicCorpus
from interlingua.leakage.inversion import CorpusRetrieval, Extraction

__all__ = ["are_near", "nearest_fits", "similarities"]

# Centered cosine from which on two public rows are copies or nearly so. The nearest row that is no copy is looked for
# among so many neighbors.
_COPY, _NEIGHBORS = 0.98, 10


def similarities(
    corpus: PublicCorpus, translated: FloatArray, rotated: FloatArray, resamples: Resamples, seed: int
) -> tuple[RetrievalFindings, list[Extraction]]:
    """Return how similar translations are to the public texts, and the nearest of these for each row.

    Args:
        corpus: the public texts.
        translated: [n, d].
        rotated: the translations, rotated at random.
        resamples: of the n rows.
        seed: decides which public texts are compared with the others.
    """
    method = CorpusRetrieval.of(corpus.vectors, corpus.texts, k=min(_NEIGHBORS, len(corpus.texts)))
    sample = np.random.default_rng(seed).permutation(len(corpus.texts))[: len(translated)]
    retrieved, null = (
        method.invert(translation, mean=collection_mean(translation)) for translation in (translated, rotated)
    )
    among_public = method.invert(corpus.vectors[sample])
    findings = RetrievalFindings(
        nearest=resamples.mean([e.neighbors[0].cosine for e in retrieved]),
        control=resamples.mean([e.neighbors[0].cosine for e in null]),
        public=Resamples(len(sample), seed).mean([_nearest_other(e) for e in among_public]),
    )
    return findings, retrieved


def are_near(corpus: PublicCorpus, translated: FloatArray, seed: int) -> bool:
    """Return whether translations [n, d] are nearly as similar to the public texts as these are to each other."""
    resamples = Resamples(len(translated), seed)
    return similarities(corpus, translated, meaningless(translated, seed), resamples, seed)[0].is_near


def nearest_fits(corpus: PublicCorpus, translations: Sequence[FloatArray], seed: int) -> list[int]:
    """Return the positions of the fits whose translations are nearly as similar to the public texts as the best.

    The mean of a right translation and of a wrong one is wrong. The limit is that of `RetrievalFindings.is_near`. All
    fits are returned where not even the best is near.

    Args:
        corpus: the public texts.
        translations: of each fit [n, d].
        seed: of the control, the first translations rotated at random.
    """
    if len(translations) == 1:
        return [0]
    public = center_by_own_mean(corpus.vectors)

    def similarity(translated: FloatArray) -> float:
        return float(np.asarray(nearest(center_by_own_mean(translated), public, 1).scores).mean())

    control = similarity(meaningless(translations[0], seed))
    found = np.array([similarity(translated) for translated in translations])
    near = np.flatnonzero(found - control >= NEAR * (found.max() - control)).tolist()
    # Whether the best is near takes longer, and matters only where others would be left out.
    if len(near) < len(found) and not are_near(corpus, translations[int(found.argmax())], seed):
        return list(range(len(found)))
    return near


def _nearest_other(extraction: Extraction) -> float:
    """Return the cosine of a public text with the nearest other one that is no copy, NaN if all of them are copies."""
    return next((near.cosine for near in extraction.neighbors if near.cosine < _COPY), float("nan"))
