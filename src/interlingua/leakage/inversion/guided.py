"""Guided decoding: a language model proposes continuations and the known encoder scores them.

The method is the zero-shot inversion of Zhang, Morris and Shmatikov (arXiv 2504.00147), which vec2vec uses. A beam of
texts grows word by word, and the texts whose encoding is nearest to the vector are kept. Nothing is trained. The text
is fluent whether or not it is true, so only words that a calibrated keyword decoder asserts count as recovered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import Bounds, check_callable, check_path, check_settings, check_text
from interlingua.core.arrays import FloatArray, check_matrix, require, unit_rows
from interlingua.core.backend import resolve_device
from interlingua.core.errors import InputError
from interlingua.encoders import Encode
from interlingua.leakage._checks import check_vector
from interlingua.leakage.centering import subtract_mean
from interlingua.leakage.inversion.extraction import Extraction, Inverter

__all__ = ["GuidedDecoder", "Propose", "causal_lm"]

# From a text and a number k to k pairs (continuation, log-probability), the most probable first.
Propose = Callable[[str, int], Sequence[tuple[str, float]]]

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, eq=False)
class GuidedDecoder:
    """Beam search over texts by the cosine of their encoding with the vector.

    Attributes:
        propose: the language model, see :func:`causal_lm`.
        encode: the known encoder, texts to vectors [n, d].
        mean: mean of the known space [d], subtracted before cosines are taken.
        words: the decoder that predicts keywords, usually a :class:`KeywordDecoder`; asserted words start the prompt.
        beams: texts kept at each step.
        branch: continuations tried for each text.
        steps: largest number of continuations in a text.
        fluency: weight of the mean log-probability beside the cosine.
        prompt: prefix of the text; ``{words}`` is replaced by the asserted words.
    """

    propose: Propose
    encode: Encode
    mean: FloatArray
    words: Inverter | None = None
    beams: int = 6
    branch: int = 12
    steps: int = 24
    fluency: float = 0.02
    prompt: str = "{words}:"
    name: str = "guided"

    bounds: ClassVar[Bounds] = dict.fromkeys(("beams", "branch", "steps"), {"minimum": 1})

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)
        check_callable(self.propose, "propose", "a function from a text and a number to continuations")
        check_callable(self.encode, "encode", "a function from texts to vectors")
        check_vector(self.mean, "mean")
        if self.words is not None:
            check_callable(self.words, "words", "a decoder such as a KeywordDecoder", "invert")

    def invert(self, vectors: npt.ArrayLike, *, mean: npt.ArrayLike | None = None) -> list[Extraction]:
        """Return a text for every vector, with its cosine and the predicted keywords.

        Args:
            vectors: [n, d].
            mean: as :class:`Inverter` takes it. Encodings of texts that were written are always centered by the mean of
                the known space.

        Raises:
            InputError: another width than the known space's, or an encoder that gives one.
        """
        rows = unit_rows(subtract_mean(vectors, mean, self.mean))
        predicted = [Extraction()] * len(rows) if self.words is None else self.words.invert(vectors, mean=mean)
        return [self._write(row, keywords) for row, keywords in zip(rows, predicted, strict=True)]

    def _write(self, row: FloatArray, keywords: Extraction) -> Extraction:
        prompt = self.prompt.format(words=", ".join(keywords.asserted()))
        beam, best = [("", 0.0, 0)], ("", -np.inf)
        for _ in range(self.steps):
            grown: dict[str, tuple[float, int]] = {}
            for text, logp, length in beam:
                for more, p in self.propose(prompt + text, self.branch):
                    grown.setdefault(text + more, (logp + p, length + 1))
            texts = [text for text in grown if text.strip()]
            if not texts:
                break
            encoded = check_matrix(self.encode([text.strip() for text in texts]), "what the encoder returned")
            cosines = unit_rows(subtract_mean(encoded, None, self.mean)) @ row
            scores = [c + self.fluency * grown[t][0] / grown[t][1] for t, c in zip(texts, cosines, strict=True)]
            order = np.argsort(-np.array(scores), kind="stable")[: self.beams]
            beam = [(texts[i], *grown[texts[i]]) for i in order]
            top = int(np.argmax(cosines))
            if cosines[top] > best[1]:
                best = texts[top].strip(), float(cosines[top])
        return replace(keywords, text=best[0], cosine=best[1] if best[0] else None)


def causal_lm(name: str | Path, *, revision: str | None = None, device: str = "cpu") -> Propose:
    """Return a function that proposes continuations with a causal language model.

    Only safetensors are loaded, and no code of the repository is run.

    Args:
        name: a folder, or a name on the Hugging Face Hub.
        revision: the commit; required for a name on the Hub, so that the model cannot change between runs.
        device: device of the model.

    Raises:
        InputError: a name on the Hub without a commit, or a model that cannot be loaded.
        MissingExtraError: transformers or torch is not installed.
    """
    revision = None if revision is None else check_text(revision, "revision")
    if not check_path(name, "name").is_dir() and not _COMMIT.fullmatch(revision or ""):
        raise InputError(
            f"{name} is not a folder, and revision is {revision!r}; a model on the Hub needs its commit, 40 "
            "hexadecimal digits."
        )
    transformers, torch = require("transformers", "encoder"), require("torch", "neural")
    device = resolve_device(check_text(device, "device"))
    safe: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(name), **safe)
        model = transformers.AutoModelForCausalLM.from_pretrained(str(name), use_safetensors=True, **safe)
    except (OSError, ValueError) as error:
        raise InputError(f"The language model {name} cannot be loaded: {str(error).splitlines()[0][:200]}") from error
    model = model.to(device).eval()
    special = set(tokenizer.all_special_ids)

    def propose(text: str, k: int) -> list[tuple[str, float]]:
        ids = tokenizer(text, return_tensors="pt")["input_ids"].to(device)
        if ids.shape[1] == 0:
            begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
            ids = torch.tensor([[begin or 0]], device=device)
        with torch.inference_mode():
            logp = model(ids).logits[0, -1].log_softmax(-1)
        values, tokens = logp.topk(min(k + len(special), len(logp)))
        before = tokenizer.decode(ids[0], skip_special_tokens=True)
        continuations = []
        for value, token in zip(values.tolist(), tokens.tolist(), strict=True):
            # Decoding a token alone may drop its leading space; decoding the whole text keeps it.
            if token not in special:
                whole = tokenizer.decode([*ids[0].tolist(), token], skip_special_tokens=True)
                continuations.append((whole[len(before) :], float(value)))
        return continuations[:k]

    return propose
