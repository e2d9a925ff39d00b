"""Inputs of an audit: vectors, public texts, labels, the auditor's encoder, and the truth where it is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.cli.options import check_effect
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.core.arrays import FloatArray
    from interlingua.encoders import Encode, OnTexts
    from interlingua.leakage.inputs import GroundTruth, Labels, PublicCorpus

__all__ = [
    "AuditInputs",
    "demo_inputs",
    "read_inputs",
    "check_options",
]

# Package names are short, so that a word in up to a tenth of them is still informative.
_DEMO_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class AuditInputs:
    """Inputs of an audit.

    Attributes:
        vectors: the audited vectors [n, d].
        corpus: public texts in the auditor's space.
        labels: labels to infer.
        truth: true contents of the audited rows.
        vectors_name: name of the vectors in reports.
        corpus_name: name of the public texts in reports.
        encoder_name: name of the auditor's encoder in reports.
    """

    vectors: FloatArray
    corpus: PublicCorpus
    labels: Labels | None
    truth: GroundTruth
    vectors_name: str
    corpus_name: str
    encoder_name: str


def check_options(*, demo: bool, options: Mapping[str, object]) -> None:
    """Refuse options that others make ignored.

    Args:
        demo: whether the demo's data are audited, which have vectors, texts and labels of their own.
        options: values of the options that name inputs; None for those that were not given.

    Raises:
        InputError: an option would have no effect.
    """
    if demo:
        check_effect(options, "has no effect with --demo: --demo has its own vectors, texts and labels.")
        return

    def check_absent(name: str, reason: str) -> None:
        check_effect({name: options[name]}, reason)

    if options["--labels"] is None:
        check_absent("--label-vectors", "has no effect without --labels.")
        if options["--label-column"] is None:
            check_absent("--truth-labels", "has no effect without --labels or --label-column.")
    else:
        check_absent("--label-column", "and --labels exclude each other: both name the labels.")
    if options["--corpus-vectors"] and (options["--labels"] is None or options["--label-vectors"]):
        check_absent("--encoder", "has no effect: the vectors of all texts and labels are given.")
    texts = [Path(str(options[name])) for name in ("--corpus", "--truth") if options[name] is not None]
    if texts and all(path.suffix == ".txt" for path in texts):
        check_absent("--text-column", "has no effect: a .txt file has no columns.")


def read_inputs(
    vectors: Path | None,
    corpus: Path | None,
    *,
    column: str | None,
    text_column: str,
    corpus_vectors: Path | None,
    encoder: str | None,
    stand_in: Path | None,
    labels: Path | None,
    label_vectors: Path | None,
    label_column: str | None,
    truth: Path | None,
    truth_labels: Path | None,
    truth_vectors: Path | None,
    on_texts: OnTexts,
) -> AuditInputs:
    """Read the inputs that the options of the same names give; texts without vectors are embedded with the encoder.

    ``on_texts`` is called with the number of texts that are embedded, and of all.

    Raises:
        InputError: the vectors or the public texts were not given, or a file cannot be used.
        MissingExtraError: an encoder was named and the extra ``encoder`` is not installed.
    """
    from interlingua import io
    from interlingua.encoders import sentence_encoder

    if vectors is None or corpus is None:
        raise InputError("An audit needs VECTORS and --corpus FILE of public texts; --demo audits the demo's data.")
    rows = io.open_vectors(vectors, column=column).vectors()
    encode = None if encoder is None else sentence_encoder(encoder)
    public = _read_corpus(corpus, text_column, corpus_vectors, encode, stand_in, on_texts)
    of_corpus = None if label_column is None else io.read_labels(corpus, label_column)
    return AuditInputs(
        vectors=rows,
        corpus=public,
        labels=_read_labels(labels, label_vectors, encode, public, of_corpus),
        truth=_read_truth(truth, text_column, truth_labels, label_column or "label", truth_vectors),
        vectors_name=vectors.name,
        corpus_name=corpus.name,
        encoder_name=encoder or "auditor's own encoder (vectors were given)",
    )


def _read_corpus(
    texts: Path, column: str, vectors: Path | None, encode: Encode | None, stand_in: Path | None, on_texts: OnTexts
) -> PublicCorpus:
    """Read the public texts, and read or compute their vectors.

    Raises:
        InputError: neither vectors nor an encoder, or not one vector per text.
    """
    from interlingua.io import read_texts
    from interlingua.leakage.inputs import PublicCorpus

    public = read_texts(texts, column)
    if vectors is not None:
        rows = _vectors(vectors)
    elif encode is not None:
        from interlingua.encoders import embed_texts

        rows = np.asarray(embed_texts(encode, public, on_texts), np.float32)
    else:
        raise InputError("The public texts need vectors: give --corpus-vectors FILE, or --encoder NAME to make them.")
    if len(rows) != len(public):
        raise InputError(f"{texts} has {len(public)} texts and there are {len(rows)} vectors; one each is needed.")
    return PublicCorpus(rows, public, None if stand_in is None else _vectors(stand_in))


def _read_labels(
    names: Path | None, vectors: Path | None, encode: Encode | None, corpus: PublicCorpus, of_corpus: Any
) -> Labels | None:
    """Return the labels to infer, from a file of names or from the labels of the public texts.

    Args:
        names: label names, one per row.
        vectors: vectors of the names, in the same order.
        encode: embeds the names if there are no vectors.
        corpus: the public texts.
        of_corpus: labels of each public text, if it has any.

    Raises:
        InputError: names without vectors and without an encoder, or not one vector per name.
    """
    from interlingua.io import read_texts
    from interlingua.leakage.attributes import embed_labels
    from interlingua.leakage.inputs import Labels

    if names is None:
        return None if of_corpus is None else Labels.of_corpus(corpus.vectors, of_corpus)
    labels = tuple(read_texts(names, "label"))
    if vectors is None and encode is None:
        raise InputError("--labels needs vectors: give --label-vectors FILE, or --encoder NAME to make them.")
    if vectors is None and encode is not None:
        return Labels(labels, embed_labels(encode, labels))
    rows = _vectors(vectors)  # type: ignore[arg-type]
    if len(rows) != len(labels):
        raise InputError(f"{names} names {len(labels)} labels and there are {len(rows)} vectors; one each is needed.")
    return Labels(labels, rows)


def _read_truth(
    texts: Path | None, column: str, labels: Path | None, label_column: str, vectors: Path | None
) -> GroundTruth:
    """Read the true contents of the audited rows.

    Raises:
        InputError: a file that cannot be used.
    """
    from interlingua.io import read_labels, read_texts
    from interlingua.leakage.inputs import GroundTruth

    return GroundTruth(
        None if texts is None else read_texts(texts, column),
        None if labels is None else read_labels(labels, label_column),
        None if vectors is None else _vectors(vectors),
    )


def demo_inputs(folder: Path, card: dict[str, Any]) -> AuditInputs:
    """Return the demo's data: package names are the texts, archive sections the labels.

    Raises:
        InputError: the folder has no names of rows.
    """
    from interlingua.leakage.inputs import GroundTruth, Labels, PublicCorpus
    from interlingua.leakage.inversion.words import Vocabulary

    missing = [name for name in ("names.json", "sections.json") if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder} lacks {', '.join(missing)}; an audit of it needs names and sections of its rows.")
    source, target = (_vectors(folder / f"{side}.npy") for side in ("source", "target"))
    names, sections = (json.loads((folder / name).read_text("utf-8")) for name in ("names.json", "sections.json"))
    texts = {side: [name.replace("-", " ") for name in names[side]] for side in ("source", "target")}
    sections_of = {side: _named(sections["names"], sections[side]) for side in ("source", "target")}
    corpus = PublicCorpus(target, texts["target"], vocabulary=Vocabulary.of(texts["target"], max_share=_DEMO_SHARE))
    encoders = card.get("encoders", {})
    return AuditInputs(
        vectors=source,
        corpus=corpus,
        labels=Labels.of_corpus(target, sections_of["target"]),
        truth=GroundTruth(texts["source"], sections_of["source"]),
        vectors_name="the demo's vectors",
        corpus_name="names of other Debian packages",
        encoder_name=str(encoders.get("target", {}).get("title", "the demo's target encoder")),
    )


def _named(names: Sequence[str], rows: Sequence[int]) -> list[tuple[str, ...]]:
    return [(names[row],) for row in rows]


def _vectors(path: Path) -> FloatArray:
    from interlingua.io import open_vectors

    return np.asarray(open_vectors(path).vectors(), np.float32)
