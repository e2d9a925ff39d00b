"""A small recurrent text decoder, trained on public texts in the known space.

It writes in the style of the public texts, so most of what it writes about a private text is invented. Only words that
a calibrated keyword decoder asserts count as recovered.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_callable, check_count, check_number, check_text
from interlingua.core.arrays import FloatArray, require, unit_rows
from interlingua.core.backend import resolve_device
from interlingua.leakage._checks import check_corpus
from interlingua.leakage.centering import subtract_mean
from interlingua.leakage.inversion._files import read_decoder, write_decoder
from interlingua.leakage.inversion.extraction import Extraction, Inverter

__all__ = ["TextDecoder", "tokenize"]

_PIECE = re.compile(r"\w+|[^\w\s]")
_FORMAT = "interlingua-decoder-1"
_BEGIN, _END, _OTHER = 0, 1, 2
_SPECIAL = ("<begin>", "<end>", "<other>")


@dataclass(frozen=True, eq=False)
class TextDecoder:
    """A recurrent decoder from vectors to texts, with beam search.

    Attributes:
        words: the vocabulary; the first three tokens are begin, end and unknown word.
        mean: mean of the unit rows of the corpus [d].
        weights: weights of the network, by name.
        length: largest number of words in a text.
        keywords: the decoder that predicts the keywords of an extraction; without one there are none.
        beams: width of the beam.
    """

    words: tuple[str, ...]
    mean: FloatArray
    weights: dict[str, npt.NDArray[np.float32]]
    length: int
    keywords: Inverter | None = None
    beams: int = 4
    name: str = "decoder"

    @classmethod
    def fit(
        cls,
        vectors: npt.ArrayLike,
        texts: Sequence[str],
        *,
        keywords: Inverter | None = None,
        translation_cosine: float = 1.0,
        size: int = 6_000,
        hidden: int = 384,
        length: int = 24,
        epochs: int = 8,
        batch: int = 128,
        lr: float = 2e-3,
        seed: int = 0,
        device: str = "cpu",
        report: Callable[[dict[str, float]], None] = lambda step: None,
    ) -> TextDecoder:
        """Train on a public corpus.

        Args:
            vectors: the corpus in the known space [n, d].
            texts: the n texts of the corpus.
            keywords: decoder that predicts the keywords of an extraction.
            translation_cosine: expected cosine between translations and true vectors. Gaussian noise is added to the
                training vectors so that they have this cosine with the originals.
            size: size of the vocabulary.
            hidden: units of the recurrent layer.
            length: largest number of words in a text.
            epochs: passes over the corpus.
            batch: texts per step.
            lr: initial learning rate, annealed to zero along a cosine.
            seed: seed of weights, order and noise.
            device: device of the training.
            report: called after each epoch with the mean loss in nats per word.

        Raises:
            InputError: not one text per vector, too few of them, or a translation_cosine outside (0, 1].
            MissingExtraError: torch is not installed.
        """
        rows, texts = check_corpus(vectors, texts, min_rows=50)
        translation_cosine = check_number(translation_cosine, "translation_cosine", above=0, maximum=1)
        lr, seed = check_number(lr, "lr", above=0), check_count(seed, "seed")
        sizes = {"size": size, "hidden": hidden, "length": length, "epochs": epochs, "batch": batch}
        size, hidden, length, epochs, batch = (check_count(value, name, minimum=1) for name, value in sizes.items())
        _check_keywords(keywords)
        check_callable(report, "report", "a function of the losses of an epoch")
        require("torch", "neural")
        device = resolve_device(check_text(device, "device"))
        from interlingua.leakage.inversion._decoder_net import train

        pieces = [tokenize(text)[:length] for text in texts]
        counts = Counter(piece for text in pieces for piece in text)
        words = (*_SPECIAL, *(word for word, _ in counts.most_common(size)))
        index = {word: i for i, word in enumerate(words)}
        tokens = np.full((len(pieces), length + 2), _END, np.int64)
        tokens[:, 0] = _BEGIN
        for row, text in zip(tokens, pieces, strict=True):
            row[1 : 1 + len(text)] = [index.get(piece, _OTHER) for piece in text]
        mean = rows.mean(axis=0)
        centered = unit_rows(rows - mean)
        # Noise of this standard deviation leaves unit vectors at that mean cosine.
        noise = float(np.sqrt((1 / translation_cosine**2 - 1) / rows.shape[1]))
        weights = train(
            centered, tokens, len(words), hidden=hidden, noise=noise, epochs=epochs, batch=batch, lr=lr, seed=seed,
            device=device, report=report,
        )  # fmt: skip
        return cls(words, mean, weights, length, keywords)

    def invert(self, vectors: npt.ArrayLike, *, mean: npt.ArrayLike | None = None) -> list[Extraction]:
        """Return a text for every vector, with the predicted keywords; arguments as `Inverter.invert` takes them.

        Raises:
            InputError: another width than the corpus had.
            MissingExtraError: torch is not installed.
        """
        require("torch", "neural")
        from interlingua.leakage.inversion._decoder_net import write

        centered = unit_rows(subtract_mean(vectors, mean, self.mean))
        written = write(self.weights, centered, self.length, self.beams, (_BEGIN, _END, _OTHER))
        predicted = (
            [Extraction()] * len(centered) if self.keywords is None else self.keywords.invert(vectors, mean=mean)
        )
        texts = (" ".join(self.words[i] for i in text) for text in written)
        return [replace(extraction, text=text) for extraction, text in zip(predicted, texts, strict=True)]

    def save(self, path: str | Path) -> Path:
        """Write the decoder, without its keyword decoder, as one .safetensors and return its path."""
        values = {"words": json.dumps(self.words), "length": str(self.length)}
        return write_decoder(path, _FORMAT, {**self.weights, "mean": self.mean}, values)

    @classmethod
    def load(cls, path: str | Path, *, keywords: Inverter | None = None) -> TextDecoder:
        """Read a decoder.

        Raises:
            InputError: the file is not a decoder.
        """
        _check_keywords(keywords)
        values, weights = read_decoder(path, _FORMAT, {"mean"}, title="text decoder", writer="TextDecoder.save")
        mean = weights.pop("mean")
        return cls(tuple(json.loads(values["words"])), mean, weights, int(values["length"]), keywords)


def tokenize(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, in lower case."""
    return _PIECE.findall(check_text(text, "text").lower())


def _check_keywords(keywords: object) -> None:
    if keywords is not None:
        check_callable(keywords, "keywords", "a decoder such as a KeywordDecoder", "invert")
