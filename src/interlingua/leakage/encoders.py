"""Encoders of texts: sentence-transformers models, a folder or a name on the Hub."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from interlingua.core.arguments import check_count, check_text
from interlingua.core.arrays import FloatArray, require
from interlingua.core.errors import InputError

__all__ = ["sentence_encoder"]


def sentence_encoder(
    name: str,
    *,
    revision: str | None = None,
    device: str | None = "cpu",
    max_tokens: int | None = None,
    batch: int = 32,
) -> Callable[[list[str]], FloatArray]:
    """Return a function from texts to unit vectors [n, d]; no code of the model's repository is run.

    Args:
        name: a folder, or a name on the Hub.
        revision: the commit of a name on the Hub; the latest by default.
        device: device of the model; None leaves the choice to sentence-transformers.
        max_tokens: tokens after which texts are truncated, if the model does not truncate them earlier.
        batch: texts encoded at a time.

    Raises:
        InputError: the model cannot be loaded.
        MissingExtraError: sentence-transformers is not installed.
    """
    name, batch = check_text(name, "name"), check_count(batch, "batch", minimum=1)
    revision = None if revision is None else check_text(revision, "revision")
    device = None if device is None else check_text(device, "device")
    max_tokens = None if max_tokens is None else check_count(max_tokens, "max_tokens", minimum=1)
    module = require("sentence_transformers", "encoder")
    try:
        model = module.SentenceTransformer(name, revision=revision, device=device, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"The encoder {name} cannot be loaded ({reason}).") from error
    if max_tokens is not None:
        model.max_seq_length = min(max_tokens, model.max_seq_length or max_tokens)

    def encode(texts: list[str]) -> FloatArray:
        return np.asarray(
            model.encode(
                texts, batch_size=batch, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
            )
        )

    return encode
