"""Compute the vectors of the benchmark tables, with the paper's encoders and corpora from a hub or with others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from interlingua.bench.folder import Vectors, label_names
from interlingua.core.arguments import Bounds, check_count, check_flag, check_instance, check_settings, check_text
from interlingua.core.arrays import require, unit_rows
from interlingua.core.atomic import atomic_file
from interlingua.core.errors import InputError
from interlingua.encoders import Encode, sentence_encoder
from interlingua.io import read_labels, read_texts
from interlingua.leakage.attributes import embed_labels

__all__ = ["DATASETS", "MODELS", "Dataset", "VectorBuilder", "hub_texts"]

# The paper's Table 1.
MODELS: Mapping[str, str] = {
    "gtr": "sentence-transformers/gtr-t5-base",
    "clip": "sentence-transformers/clip-ViT-B-32",
    "e5": "intfloat/e5-base-v2",
    "gte": "thenlper/gte-base",
    "stella": "infgrad/stella-base-en-v2",
    "granite": "ibm-granite/granite-embedding-278m-multilingual",
    "qwen": "Qwen/Qwen3-Embedding-4B",
}
_MAX_TOKENS = 64


@dataclass(frozen=True)
class Dataset:
    """A corpus on the hub.

    Attributes:
        name: name of the data set.
        split: name of the split.
        config: name of the configuration, if the data set has several.
        text: field that holds the text.
        label: field that holds the labels, if there is one.
    """

    name: str
    split: str
    config: str | None = None
    text: str = "text"
    label: str | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)


# MIMIC-III requires a signed data use agreement: the user provides its notes as a file.
DATASETS: Mapping[str, Dataset] = {
    "nq": Dataset("jxm/nq_corpus_dpr", "train"),
    "tweets": Dataset("cardiffnlp/tweet_topic_multilingual", "test", "en", label="label_name"),
    "enron": Dataset("rishi-jha/filtered_enron", "train"),
}


@dataclass(frozen=True)
class VectorBuilder:
    """Computes the missing files of a folder.

    Attributes:
        vectors: the folder.
        models: further encoders by name: a name on the hub or a folder, optionally with `@` and a revision.
        files: further corpora by name: a file of texts, with labels in the column ``label``.
        limit: most texts of a corpus.
        batch: texts encoded at a time.
        device: device of the encoders; by default sentence-transformers chooses it.
    """

    vectors: Vectors
    models: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    limit: int = 100_000
    batch: int = 256
    device: str | None = None

    bounds: ClassVar[Bounds] = dict.fromkeys(("limit", "batch"), {"minimum": 1})

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)
        check_instance(self.vectors, "vectors", Vectors, "a folder as Vectors(path)")
        for name in ("models", "files"):
            check_instance(getattr(self, name), name, Mapping, "a mapping")

    def make(self, corpus: str, encoder: str, *, labels: bool = False) -> None:
        """Write the texts, vectors and label vectors of a corpus that do not exist yet.

        Texts are truncated to 64 tokens, as in the paper. Vectors are scaled to unit length and stored as float16.

        Raises:
            InputError: the encoder or corpus is unknown, or it has no labels.
            MissingExtraError: sentence-transformers or datasets is not installed.
        """
        missing = [self.vectors.vectors_path(corpus, encoder)]
        missing += [self.vectors.labels_path(corpus, encoder)] if check_flag(labels, "labels") else []
        if all(path.exists() for path in missing):
            return
        require("sentence_transformers", "bench")
        self.vectors.path.mkdir(parents=True, exist_ok=True)
        self._make_texts(corpus)
        encode = self._encoder(encoder)
        if not missing[0].exists():
            rows = unit_rows(np.asarray(encode(self.vectors.texts(corpus)), np.float32))
            _save(missing[0], rows.astype(np.float16))
        if labels and not missing[1].exists():
            names = label_names(self.vectors.labels(corpus))
            readable = [name.replace("_", " ") for name in names]
            _save(missing[1], embed_labels(encode, readable))

    def _make_texts(self, corpus: str) -> None:
        path = self.vectors.texts_path(corpus)
        if path.exists():
            return
        with atomic_file(path) as fresh, fresh.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in islice(self._records(corpus), self.limit))

    def _records(self, corpus: str) -> Iterator[dict[str, Any]]:
        if corpus in self.files:
            path = self.files[corpus]
            texts = read_texts(path)
            try:
                labels: Any = [{"label": list(own)} for own in read_labels(path)] if path.suffix != ".txt" else None
            except InputError:  # a corpus need not have labels
                labels = None
            yield from ({"text": text, **more} for text, more in zip(texts, labels or [{}] * len(texts), strict=True))
            return
        yield from _hub_records(corpus, f"Give a file of its texts under the name {corpus} with {{files=...}}.")

    def _encoder(self, name: str) -> Encode:
        model = self.models.get(name) or MODELS.get(name)
        if model is None:
            raise InputError(
                f"There is no encoder {name!r}; choose from {', '.join(MODELS)}.",
                f"Define it under the name {name} with {{models=...}}.",
            )
        model, _, revision = model.partition("@")
        return sentence_encoder(
            model, revision=revision or None, device=self.device, max_tokens=_MAX_TOKENS, batch=self.batch
        )


def hub_texts(corpus: str, limit: int) -> list[str]:
    """Return the first texts of a corpus of the benchmark tables, read from the hub.

    Args:
        corpus: a name in `DATASETS`.
        limit: most texts.

    Raises:
        InputError: there is no such corpus, or it cannot be loaded.
        MissingExtraError: datasets is not installed.
    """
    limit = check_count(limit, "limit", minimum=1)
    records = _hub_records(check_text(corpus, "corpus"), "Give a file of texts instead.")
    return [str(row["text"]) for row in islice(records, limit)]


def _hub_records(corpus: str, remedy: str) -> Iterator[dict[str, Any]]:
    """Yield texts and labels of a corpus of the hub; ``remedy`` is appended to error messages."""
    if corpus not in DATASETS:
        raise InputError(f"There is no corpus {corpus!r}; choose from {', '.join(DATASETS)}.", remedy)
    dataset = DATASETS[corpus]
    module = require("datasets", "bench")
    try:
        loaded = module.load_dataset(dataset.name, dataset.config, split=dataset.split, streaming=True)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"The corpus {corpus} ({dataset.name}) cannot be loaded ({reason}).", remedy) from error
    for row in loaded:
        if dataset.text not in row:
            raise InputError(f"{dataset.name} has no field {dataset.text!r}; it has {', '.join(sorted(row))}.")
        yield {"text": row[dataset.text], **({"label": list(row[dataset.label])} if dataset.label else {})}


def _save(path: Path, rows: Any) -> None:
    with atomic_file(path) as fresh, fresh.open("wb") as stream:
        np.save(stream, rows)
