"""What an auditor brings: public text, labels, an encoder of their own, and the truth where somebody knows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.arrays import require
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.core.arrays import FloatArray
    from interlingua.leakage.audit import Labels, PublicCorpus, Truth

Encode = Callable[[list[str]], Any]
# Names of packages are short: what one in ten of them holds still tells something.
_DEMO_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything an audit looks at besides the fit, and what its parts are called."""

    vectors: FloatArray
    corpus: PublicCorpus
    labels: Labels | None
    truth: Truth
    names: tuple[str, str, str]


def sentence_encoder(name: str) -> Encode:
    """Return the encoder of a sentence-transformers model, a folder or a name on the Hub; no code of it is run.

    Raises:
        InputError: it cannot be loaded.
        MissingExtraError: the extra ``encoder`` is not installed.
    """
    module = require("sentence_transformers", "encoder")
    try:
        model = module.SentenceTransformer(name, device="cpu", trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(f"--encoder {name} cannot be loaded ({str(error).splitlines()[0][:200]}).") from error

    def encode(texts: list[str]) -> Any:
        return model.encode(texts, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)

    return encode


def read_corpus(
    texts: Path, column: str, vectors: Path | None, encode: Encode | None, stand_in: Path | None
) -> PublicCorpus:
    """Read the public texts, and their vectors or embed them.

    Raises:
        InputError: neither vectors nor an encoder, or not one vector a text.
    """
    from interlingua.io import read_texts
    from interlingua.leakage.audit import PublicCorpus

    said = read_texts(texts, column)
    if vectors is not None:
        rows = _vectors(vectors)
    elif encode is not None:
        rows = np.asarray(encode(said), np.float32)
    else:
        raise InputError("The public text needs vectors: give --corpus-vectors FILE, or --encoder NAME to make them.")
    if len(rows) != len(said):
        raise InputError(f"{texts} has {len(said)} texts and there are {len(rows)} vectors; one each is needed.")
    return PublicCorpus(rows, said, None if stand_in is None else _vectors(stand_in))


def read_labels(
    names: Path | None, vectors: Path | None, encode: Encode | None, corpus: PublicCorpus, carried: Any
) -> Labels | None:
    """Return the labels to look for: named in a file with vectors or an encoder, or carried by the public texts.

    Args:
        names: label names, one a row.
        vectors: their vectors in the same order.
        encode: embeds the names otherwise.
        corpus: the public text.
        carried: the labels of every public text, if it has any.

    Raises:
        InputError: names without vectors and without an encoder, or not one vector a name.
    """
    from interlingua.io import read_texts
    from interlingua.leakage.attributes import embed_labels
    from interlingua.leakage.audit import Labels

    if names is None:
        return None if carried is None else Labels.of_corpus(corpus.vectors, carried)
    said = tuple(read_texts(names, "label"))
    if vectors is None and encode is None:
        raise InputError("--labels needs vectors: give --label-vectors FILE, or --encoder NAME to make them.")
    if vectors is None and encode is not None:
        return Labels(said, embed_labels(encode, said))
    rows = _vectors(vectors)  # type: ignore[arg-type]
    if len(rows) != len(said):
        raise InputError(f"{names} names {len(said)} labels and there are {len(rows)} vectors; one each is needed.")
    return Labels(said, rows)


def read_truth(texts: Path | None, column: str, labels: Path | None, label_column: str, vectors: Path | None) -> Truth:
    """Read what the audited rows really are.

    Raises:
        InputError: a file that cannot be used.
    """
    from interlingua.io import read_labels, read_texts
    from interlingua.leakage.audit import Truth

    return Truth(
        None if texts is None else read_texts(texts, column),
        None if labels is None else read_labels(labels, label_column),
        None if vectors is None else _vectors(vectors),
    )


def demo_evidence(folder: Path, card: dict[str, Any]) -> Evidence:
    """Return the shipped demo as evidence: package names are the texts, archive sections the labels.

    Raises:
        InputError: the folder has no names of rows.
    """
    from interlingua.leakage.audit import Labels, PublicCorpus, Truth
    from interlingua.leakage.inversion.words import Vocabulary

    missing = [name for name in ("names.json", "sections.json") if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder} lacks {', '.join(missing)}; an audit of it needs names and sections of its rows.")
    source, target = (_vectors(folder / f"{side}.npy") for side in ("source", "target"))
    names, sections = (json.loads((folder / name).read_text("utf-8")) for name in ("names.json", "sections.json"))
    texts = {side: [name.replace("-", " ") for name in names[side]] for side in ("source", "target")}
    marks = {side: _named(sections["names"], sections[side]) for side in ("source", "target")}
    corpus = PublicCorpus(target, texts["target"], vocabulary=Vocabulary.of(texts["target"], most=_DEMO_SHARE))
    encoders = card.get("encoders", {})
    return Evidence(
        vectors=source,
        corpus=corpus,
        labels=Labels.of_corpus(target, marks["target"]),
        truth=Truth(texts["source"], marks["source"]),
        names=(
            "the demo's vectors",
            "names of other Debian packages",
            str(encoders.get("target", {}).get("title", "the demo's target encoder")),
        ),
    )


def _named(names: Sequence[str], rows: Sequence[int]) -> list[tuple[str, ...]]:
    return [(names[row],) for row in rows]


def _vectors(path: Path) -> FloatArray:
    from interlingua.io import open_vectors

    return np.asarray(open_vectors(path).vectors(), np.float32)
