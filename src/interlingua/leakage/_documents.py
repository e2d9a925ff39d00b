"""What an audit shows of a few rows: words, labels, the nearest public text, and which words are right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import IntArray
from interlingua.leakage.findings import DocumentFindings
from interlingua.leakage.inputs import Labels
from interlingua.leakage.inversion import Extraction, KeywordDecoder
from interlingua.leakage.inversion.scores import LEVEL

__all__ = ["sample_documents", "sampled_rows"]

_EXAMPLES = 8
_WORDS = 6


def sampled_rows(attacked: int) -> list[int]:
    """Return which of the attacked rows are shown, evenly spread."""
    return np.linspace(0, attacked - 1, min(_EXAMPLES, attacked)).astype(int).tolist()  # type: ignore[no-any-return]


def sample_documents(
    picked: IntArray,
    predictions: Sequence[Extraction],
    retrieved: Sequence[Extraction],
    labels: Labels | None,
    order: npt.NDArray[np.int64] | None,
    decoder: KeywordDecoder | None,
    texts: Sequence[str] | None,
) -> tuple[DocumentFindings, ...]:
    """Return what was recovered of a few of the attacked rows, evenly spread.

    Args:
        picked: numbers of the attacked rows [n].
        predictions: words of each row.
        retrieved: nearest public texts of each row.
        labels: labels that were inferred, if any.
        order: numbers of the labels of each row, the most probable first [n, l].
        decoder: predicted the words, if there are any.
        texts: the n true texts, if they are known; a blank one is not.
    """
    known: list[str | None] = [text if text.strip() else None for text in texts or [""] * len(picked)]
    return tuple(
        DocumentFindings(
            row=int(picked[i]),
            words=tuple((k.word, k.p) for k in predictions[i].keywords[:_WORDS] if k.p >= LEVEL),
            labels=() if labels is None or order is None else tuple(labels.names[j] for j in order[i, :2]),
            nearest=retrieved[i].neighbors[0].text,
            cosine=retrieved[i].neighbors[0].cosine,
            text=known[i],
            right=_right(predictions[i], decoder, known[i]),
        )
        for i in sampled_rows(len(picked))
    )


def _right(prediction: Extraction, decoder: KeywordDecoder | None, text: str | None) -> tuple[bool, ...]:
    """Return whether each word that a report shows is in the true text; nothing where that is not known."""
    if decoder is None or text is None:
        return ()
    row = decoder.vocabulary.matrix([text])
    true = {decoder.vocabulary.words[column] for column in row.indices}
    return tuple(k.word in true for k in prediction.keywords[:_WORDS] if k.p >= LEVEL)
