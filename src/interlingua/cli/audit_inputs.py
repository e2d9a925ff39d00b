"""Inputs of an audit: vectors, public texts, labels, the auditor's encoder, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from interlingua.cli.addresses import (
    name_of,
    read_label_rows,
    read_plain_vectors,
    read_text_rows,
    read_true_labels,
    read_true_texts,
    read_vectors,
)
from interlingua.cli.collections import file_of
from interlingua.cli.inputs import check_different
from interlingua.cli.options import check_effect
from interlingua.core.arrays import require
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of

if TYPE_CHECKING:
    from interlingua.cli.demo_data import DemoData
    from interlingua.core.arrays import FloatArray
    from interlingua.encoders import Encode, OnTexts
    from interlingua.leakage.inputs import GroundTruth, KnownRecords, Labels, PublicCorpus

__all__ = [
    "NOT_AUTHORIZED",
    "AuditInputs",
    "demo_inputs",
    "check_kinds",
    "check_options",
    "order_doubts",
    "read_inputs",
    "read_records",
    "read_second",
]

NOT_AUTHORIZED = (
    "An audit needs --authorized-by WHO, the person or body that authorized it. The name is written into the report."
)
# Options that name inputs and have no effect without public texts.
_OF_TEXTS = ("--stand-in", "--view-encoder", "--label-column", "--text-column", "--truth", "--second-truth")
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


def check_options(*, demo: bool, options: Mapping[str, object], of_words: Mapping[str, object]) -> None:
    """Refuse options that others make ignored.

    Args:
        demo: whether the demo's data are audited, which have vectors, texts and labels of their own.
        options: values of the options that name inputs; None for those that were not given.
        of_words: values of options of which nothing is left without texts; None for those that were not given.

    Raises:
        InputError: an option would have no effect.
    """
    if demo:
        check_effect(options, "has no effect with --demo: --demo has its own vectors, texts and labels.")
        return

    if options["--corpus"] is None and options["--corpus-vectors"] is not None:
        reason = "needs the public texts: give --corpus FILE, or leave it out for rows without texts."
        check_effect({name: options[name] for name in _OF_TEXTS} | dict(of_words), reason)

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
    if options["--members"] is None:
        check_absent("--nonmembers", "has no effect without --members.")
    if options["--second"] is None:
        check_absent("--second-truth", "has no effect without --second.")
    elif options["--truth"] is None:
        check_absent("--second-truth", "has no effect without --truth: links are measured between equal true texts.")
    texts = [
        Path(str(options[name])) for name in ("--corpus", "--truth", "--second-truth") if options[name] is not None
    ]
    if texts and all(path.suffix.lower() == ".txt" for path in texts):
        check_absent("--text-column", "has no effect: a .txt file has no columns.")


def read_inputs(
    vectors: str | None,
    corpus: str | None,
    *,
    source: tuple[str | None, str | None, float | None],
    text_column: str,
    corpus_vectors: str | None,
    encoder: str | None,
    stand_in: str | None,
    views: Mapping[str, str],
    view_encoders: Mapping[str, str],
    labels: str | None,
    label_vectors: str | None,
    label_column: str | None,
    truth: str | None,
    truth_labels: str | None,
    truth_vectors: str | None,
    on_texts: OnTexts,
) -> AuditInputs:
    """Read the inputs that the options of the same names give; texts without vectors are embedded with the encoder.

    ``views`` holds addresses, and ``view_encoders`` encoders, by the names of their models. ``source`` holds the
    column, the key and the scale of the vectors. ``on_texts`` is called with the number of texts that are embedded,
    and of all.

    Raises:
        InputError: the vectors or the public texts were not given, or a file cannot be used.
        MissingExtraError: an encoder was named and the extra ``encoder`` is not installed.
    """
    from interlingua.encoders import open_encoder, sentence_encoder

    if vectors is None or (corpus is None and corpus_vectors is None):
        raise InputError(
            "An audit needs VECTORS and --corpus FILE of public texts, or --corpus-vectors FILE alone for rows without "
            "texts such as faces; --demo audits the demo's data."
        )
    column, key, scale = source
    rows = read_vectors(vectors, column, key, scale)
    encode = None if encoder is None else sentence_encoder(encoder)
    encoders = {name: open_encoder(model) for name, model in view_encoders.items()}
    public = _read_corpus(corpus, text_column, corpus_vectors, encode, stand_in, on_texts)
    check_different([(vectors, rows), (corpus_vectors or corpus or "", public.vectors)])
    if stand_in is not None and public.stand_in is not None:
        check_different([(corpus_vectors or "the vectors of --corpus", public.vectors), (stand_in, public.stand_in)])
    public = replace(public, views=_read_views(views, public) | _embed_views(encoders, public, on_texts) or None)
    of_corpus = None if label_column is None or corpus is None else read_label_rows(corpus, label_column)
    return AuditInputs(
        vectors=rows,
        corpus=public,
        labels=_read_labels(labels, label_vectors, encode, public, of_corpus),
        truth=_read_truth(truth, text_column, truth_labels, label_column or "label", truth_vectors),
        vectors_name=name_of(vectors),
        corpus_name=name_of(corpus or corpus_vectors or ""),
        encoder_name=encoder or "auditor's own encoder (vectors were given)",
    )


def _read_corpus(
    texts: str | None,
    column: str,
    vectors: str | None,
    encode: Encode | None,
    stand_in: str | None,
    on_texts: OnTexts,
) -> PublicCorpus:
    """Read the public texts, and read or compute their vectors; without texts, read the vectors alone.

    Raises:
        InputError: neither vectors nor an encoder, or not one vector per text.
    """
    from interlingua.leakage.inputs import PublicCorpus

    if texts is None and vectors is not None:
        return PublicCorpus.of_rows(read_plain_vectors(vectors, "--corpus-vectors"))
    texts = cast(str, texts)
    public = read_text_rows(texts, column)
    if vectors is not None:
        rows = read_plain_vectors(vectors, "--corpus-vectors")
    elif encode is not None:
        from interlingua.encoders import embed_texts

        rows = np.asarray(embed_texts(encode, public, on_texts), np.float32)
    elif file_of(texts) is None:
        rows = read_plain_vectors(texts)
    else:
        raise InputError("The public texts need vectors: give --corpus-vectors FILE, or --encoder NAME to make them.")
    if len(rows) != len(public):
        raise InputError(
            f"{texts} has {count_of(len(public), 'text')} for {count_of(len(rows), 'vector')}; "
            "there must be one vector for each text."
        )
    return PublicCorpus(rows, public, None if stand_in is None else read_plain_vectors(stand_in, "--stand-in"))


def _embed_views(encoders: Mapping[str, Encode], corpus: PublicCorpus, on_texts: OnTexts) -> dict[str, FloatArray]:
    """Embed the public texts with further models."""
    from interlingua.encoders import embed_texts

    return {name: embed_texts(encode, corpus.texts, on_texts) for name, encode in encoders.items()}


def _read_views(addresses: Mapping[str, str], corpus: PublicCorpus) -> dict[str, FloatArray]:
    """Read vectors of the public texts by further models.

    Raises:
        InputError: a file that cannot be used, or not one vector per text.
    """
    views = {name: read_plain_vectors(address, "--view") for name, address in addresses.items()}
    for name, rows in views.items():
        if len(rows) != len(corpus.texts):
            public = count_of(len(corpus.texts), "public text" if corpus.has_texts else "public row")
            raise InputError(
                f"--view {addresses[name]} has {count_of(len(rows))} for {public}; there must be one vector for each, "
                "in the same order."
            )
    return views


def _read_labels(
    names: str | None, vectors: str | None, encode: Encode | None, corpus: PublicCorpus, of_corpus: Any
) -> Labels | None:
    """Return the labels to infer, from a file of names or from the labels of the public texts.

    Args:
        names: label names, one per row. For rows without texts they are identities; one that has several rows gets
            their mean vector.
        vectors: vectors of the names, in the same order.
        encode: embeds the names if there are no vectors.
        corpus: the public texts.
        of_corpus: labels of each public text, if it has any.

    Raises:
        InputError: names without vectors and without an encoder, or not one vector per name.
    """
    from interlingua.leakage.attributes import embed_labels
    from interlingua.leakage.inputs import Labels

    if names is None:
        return None if of_corpus is None else Labels.of_corpus(corpus.vectors, of_corpus)
    labels = tuple(read_text_rows(names, "label", "--labels"))
    blank = next((number for number, label in enumerate(labels) if not label.strip()), None)
    if blank is not None:
        raise InputError(f"{names}: the label in row {blank} (counted from 0) is blank; remove it and its vector.")
    if vectors is None and encode is None:
        raise InputError("--labels needs vectors: give --label-vectors FILE, or --encoder NAME to make them.")
    if vectors is None and encode is not None:
        return Labels(labels, embed_labels(encode, labels))
    rows = read_plain_vectors(vectors, "--label-vectors")  # type: ignore[arg-type]
    if len(rows) != len(labels):
        raise InputError(
            f"{names} names {count_of(len(labels), 'label')} for {count_of(len(rows), 'vector')}; "
            "there must be one vector for each label."
        )
    if not corpus.has_texts:
        return Labels.of_corpus(rows, labels, min_documents=1)
    return Labels(labels, rows)


def _read_truth(
    texts: str | None, column: str, labels: str | None, label_column: str, vectors: str | None
) -> GroundTruth:
    """Read the true contents of the audited rows.

    Raises:
        InputError: a file that cannot be used.
    """
    from interlingua.leakage.inputs import GroundTruth

    return GroundTruth(
        None if texts is None else read_true_texts(texts, column),
        None if labels is None else read_true_labels(labels, label_column),
        None if vectors is None else read_plain_vectors(vectors, "--truth-vectors"),
    )


def check_kinds() -> None:
    """Refuse before any work if the packages with the word lists are missing.

    Raises:
        MissingExtraError: the extra ``kinds`` is not installed.
    """
    for package in ("faker", "airportsdata", "simple_icd_10_cm"):
        require(package, "kinds")


def read_records(members: str | None, nonmembers: str | None) -> KnownRecords | None:
    """Read the records of the membership test, if there are any.

    Raises:
        InputError: a file that cannot be used, or sides of different widths.
    """
    from interlingua.leakage.inputs import KnownRecords

    if members is None:
        return None
    others = None if nonmembers is None else read_plain_vectors(nonmembers, "--nonmembers")
    return KnownRecords(read_plain_vectors(members, "--members"), others)


def read_second(vectors: str | None, texts: str | None, column: str) -> tuple[FloatArray, Sequence[str] | None] | None:
    """Read the vectors of a second leak and its true texts, if they are given.

    Raises:
        InputError: a file that cannot be used, or not one text per vector.
    """
    from interlingua.leakage._checks import check_distinct
    from interlingua.leakage.linkage import MIN_ROWS

    if vectors is None:
        return None
    rows = read_plain_vectors(vectors, "--second")
    if len(rows) < MIN_ROWS:
        raise InputError(
            f"{vectors} has {count_of(len(rows))}; at least {MIN_ROWS} are needed to link rows of two leaks."
        )
    check_distinct(rows, vectors)
    true = None if texts is None else read_true_texts(texts, column)
    if true is not None and len(true) != len(rows):
        raise InputError(
            f"{texts} has {count_of(len(true), 'text')} and {vectors} has {count_of(len(rows), 'vector')}; "
            "there must be one text for each vector. An empty text stands for an unknown one."
        )
    return rows, true


def order_doubts(inputs: AuditInputs, second: tuple[FloatArray, Sequence[str] | None] | None) -> list[str]:
    """Return sentences on true texts and true vectors that are probably in another order than the audited vectors.

    Public texts in another order are refused, and true contents are not: the attack does not use them, so that only
    what is measured with them is wrong.
    """
    from interlingua.leakage._doubts import order_doubt, vector_doubt, words_to_compare

    words = words_to_compare(inputs.corpus, inputs.truth.texts, second and second[1])
    sentences = [
        order_doubt(inputs.vectors, inputs.truth.texts, words, second=False),
        vector_doubt(inputs.vectors, inputs.truth.vectors),
    ]
    if second is not None:
        sentences.append(order_doubt(*second, words, second=True))
    return [
        f"{sentence} The report will say that what is measured with them cannot be relied on."
        for sentence in sentences
        if sentence
    ]


def demo_inputs(data: DemoData) -> AuditInputs:
    """Return the demo's data as inputs of an audit: package names are the texts, archive sections the labels.

    Raises:
        InputError: the data has no names or no sections of its rows.
    """
    from interlingua.leakage.inputs import GroundTruth, Labels, PublicCorpus
    from interlingua.leakage.inversion.words import Vocabulary

    names, sections = data.names, data.sections
    if names is None or sections is None:
        lacking = [file for file, found in (("names.json", names), ("sections.json", sections)) if found is None]
        raise InputError(f"The demo's data lacks {', '.join(lacking)}; an audit needs names and sections of its rows.")
    for file, parts in (("names.json", names), ("sections.json", sections)):
        for side in ("source", "target"):
            if side not in parts:
                raise InputError(f"{file} of the demo's data lacks {side!r}; an audit needs names and sections of it.")
    texts = {side: [name.replace("-", " ") for name in names[side]] for side in ("source", "target")}
    labels = {side: [(section,) for section in sections[side]] for side in ("source", "target")}
    public = np.asarray(data.target, np.float32)
    return AuditInputs(
        vectors=np.asarray(data.source, np.float32),
        corpus=PublicCorpus(public, texts["target"], vocabulary=Vocabulary.of(texts["target"], max_share=_DEMO_SHARE)),
        labels=Labels.of_corpus(public, labels["target"]),
        truth=GroundTruth(texts["source"], labels["source"]),
        vectors_name=f"interlingua demo, {data.name}",
        corpus_name="names of other Debian packages" if data.is_public else "names of the target rows",
        encoder_name=data.encoder("target"),
    )
