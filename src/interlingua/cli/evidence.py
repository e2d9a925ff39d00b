"""The inputs of an audit: public text, labels, an encoder, and the ground truth where it is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.cli.options import refuse_without_effect
from interlingua.core.arrays import require
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.core.arrays import FloatArray
    from interlingua.leakage.audit import Labels, PublicCorpus, Truth

Encode = Callable[[list[str]], Any]
# Names of packages are short, so a word in as many as one in ten of them is still informative.
_DEMO_SHARE = 0.1


@dataclass(frozen=True)
class Files:
    """The files and names that an audit was given; each attribute is the option of that name."""

    vectors: Path | None
    column: str | None
    corpus: Path | None
    corpus_vectors: Path | None
    stand_in: Path | None
    encoder: str | None
    text_column: str
    labels: Path | None
    label_vectors: Path | None
    label_column: str | None
    truth: Path | None
    truth_labels: Path | None
    truth_vectors: Path | None

    def options(self) -> dict[str, object]:
        """Return the values of all options that differ from their defaults, by option."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        given = {name: value for name, value in values.items() if value is not None and (name, value) != _TEXT_COLUMN}
        return {"VECTORS" if name == "vectors" else f"--{name.replace('_', '-')}": v for name, v in given.items()}

    def refuse_unused(self) -> None:
        """Refuse options that others make ignored.

        Raises:
            InputError: there is one.
        """
        if self.labels is None:
            refuse_without_effect({"--label-vectors": self.label_vectors}, "has no effect without --labels.")
        else:
            refuse_without_effect(
                {"--label-column": self.label_column}, "and --labels exclude each other: both name the labels."
            )
        if self.labels is None and self.label_column is None:
            refuse_without_effect(
                {"--truth-labels": self.truth_labels}, "has no effect without --labels or --label-column."
            )
        if self.corpus_vectors is not None and (self.labels is None or self.label_vectors is not None):
            refuse_without_effect(
                {"--encoder": self.encoder}, "has no effect: the vectors of all texts and labels are given."
            )
        sources = [path for path in (self.corpus, self.truth) if path is not None]
        if sources and all(path.suffix == ".txt" for path in sources):
            unused = {"--text-column": self.options().get("--text-column")}
            refuse_without_effect(unused, "has no effect: a .txt file has no columns.")


_TEXT_COLUMN = ("text_column", "text")


@dataclass(frozen=True, eq=False)
class Evidence:
    """The inputs of an audit besides the fits, and their names in the report."""

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


def read_evidence(files: Files) -> Evidence:
    """Read the inputs of an audit.

    Raises:
        InputError: a file is missing or cannot be used.
        MissingExtraError: an encoder was named and the extra ``encoder`` is not installed.
    """
    from interlingua.io import open_vectors
    from interlingua.io import read_labels as read_label_column

    if files.vectors is None or files.corpus is None:
        raise InputError("An audit needs VECTORS and --corpus FILE of public texts; --demo shows one on shipped data.")
    audited = open_vectors(files.vectors, column=files.column)
    encode = None if files.encoder is None else sentence_encoder(files.encoder)
    corpus = read_corpus(files.corpus, files.text_column, files.corpus_vectors, encode, files.stand_in)
    labels = None if files.label_column is None else read_label_column(files.corpus, files.label_column)
    return Evidence(
        vectors=audited.vectors(),
        corpus=corpus,
        labels=read_labels(files.labels, files.label_vectors, encode, corpus, labels),
        truth=read_truth(
            files.truth, files.text_column, files.truth_labels, files.label_column or "label", files.truth_vectors
        ),
        names=(files.vectors.name, files.corpus.name, files.encoder or "the auditor's own encoder"),
    )


def read_corpus(
    texts: Path, column: str, vectors: Path | None, encode: Encode | None, stand_in: Path | None
) -> PublicCorpus:
    """Read the public texts, and their vectors or embed them.

    Raises:
        InputError: neither vectors nor an encoder, or not one vector a text.
    """
    from interlingua.io import read_texts
    from interlingua.leakage.audit import PublicCorpus

    lines = read_texts(texts, column)
    if vectors is not None:
        rows = _vectors(vectors)
    elif encode is not None:
        rows = np.asarray(encode(lines), np.float32)
    else:
        raise InputError("The public text needs vectors: give --corpus-vectors FILE, or --encoder NAME to make them.")
    if len(rows) != len(lines):
        raise InputError(f"{texts} has {len(lines)} texts and there are {len(rows)} vectors; one each is needed.")
    return PublicCorpus(rows, lines, None if stand_in is None else _vectors(stand_in))


def read_labels(
    names: Path | None, vectors: Path | None, encode: Encode | None, corpus: PublicCorpus, carried: Any
) -> Labels | None:
    """Return the labels to look for: named in a file with vectors or an encoder, or carried by the public texts.

    Args:
        names: label names, one per row.
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
    lines = tuple(read_texts(names, "label"))
    if vectors is None and encode is None:
        raise InputError("--labels needs vectors: give --label-vectors FILE, or --encoder NAME to make them.")
    if vectors is None and encode is not None:
        return Labels(lines, embed_labels(encode, lines))
    rows = _vectors(vectors)  # type: ignore[arg-type]
    if len(rows) != len(lines):
        raise InputError(f"{names} names {len(lines)} labels and there are {len(rows)} vectors; one each is needed.")
    return Labels(lines, rows)


def read_truth(texts: Path | None, column: str, labels: Path | None, label_column: str, vectors: Path | None) -> Truth:
    """Read the ground truth of the audited rows.

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


def describe_model(vectors: FloatArray) -> str:
    """Return which known model probably produced the vectors, for the report."""
    from interlingua.identification import MIN_ROWS, UNKNOWN, identify

    if len(vectors) < MIN_ROWS:
        return "source model unknown"
    guess = identify(vectors)
    return "source model unknown" if guess.model == UNKNOWN else f"probably {guess.model}"


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
