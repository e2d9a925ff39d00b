"""Zero-shot attribute inference: labels of a vector by its cosine to label texts in the known space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_callable, check_count, check_flag, check_texts
from interlingua.core.arrays import FloatArray, as_array, check_matrix, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.encoders import Encode
from interlingua.evaluation import Interval
from interlingua.evaluation.bootstrap import JsonRecord, Resamples, interval
from interlingua.leakage._checks import check_label_rows, check_members, check_one_each
from interlingua.leakage.centering import collection_mean, subtract_mean

__all__ = ["AttributeInference", "AttributeScores", "embed_labels", "infer_attributes", "label_scores", "truth_matrix"]

_TEMPLATES = ("{label}", "This text is about {label}.")
_SHUFFLES = 10


@dataclass(frozen=True)
class AttributeScores(JsonRecord):
    """How well labels are inferred from one set of vectors.

    Attributes:
        top_k: share of documents with a true label among the first k (arXiv 2505.12540, section 5.4), by k.
        recall: share of a document's true labels that are among the first k, mean over documents, by k.
        macro_auc: mean over labels of the area under the ROC curve; 0.5 is chance, for any frequency of the labels.
        auc: area under the ROC curve by label.
    """

    top_k: Mapping[int, Interval]
    recall: Mapping[int, Interval]
    macro_auc: Interval
    auc: Mapping[str, Interval]

    @property
    def top1(self) -> Interval:
        """Share of documents whose first label is true."""
        return self.top_k[1]


@dataclass(frozen=True)
class AttributeInference:
    """Attribute inference with its controls.

    Attributes:
        labels: names, in the order of the label vectors.
        counts: number of documents with each label.
        n: number of documents.
        translated: scores of the vectors in question.
        majority: control: always the most frequent labels.
        shuffled: control: the same vectors for the wrong documents.
        naive: scores of the vectors before translation, where given.
        ideal: scores of the true vectors of the known space, where given.
        of_ideal: top-1 of ``translated`` over top-1 of ``ideal``, on the same resamples; None without ``ideal``.
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    n: int
    translated: AttributeScores
    majority: AttributeScores
    shuffled: AttributeScores
    naive: AttributeScores | None
    ideal: AttributeScores | None
    of_ideal: Interval | None

    def scores(self) -> dict[str, AttributeScores]:
        """Return the scores that were measured, by the name of the attribute."""
        names = ("translated", "majority", "shuffled", "naive", "ideal")
        return {name: scores for name in names if (scores := getattr(self, name)) is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "n": self.n,
            "counts": dict(zip(self.labels, self.counts, strict=True)),
            "of_ideal": None if self.of_ideal is None else self.of_ideal.to_list(),
            "scores": {name: scores.to_dict() for name, scores in self.scores().items()},
        }


def embed_labels(encode: Encode, labels: Sequence[str], templates: Sequence[str] = _TEMPLATES) -> FloatArray:
    """Return the vectors of labels in the known space [t, l, d], one layer for each template.

    Args:
        encode: the known encoder, texts to vectors [n, d].
        labels: names or sentences.
        templates: sentences with the placeholder ``{label}``; the cosines of all templates are averaged.

    Raises:
        InputError: no labels, or a template without the placeholder.
    """
    labels, templates = check_texts(labels, "labels"), check_texts(templates, "templates")
    check_callable(encode, "encode", "a function from texts to vectors")
    if not labels or not templates:
        raise InputError("Attribute inference needs at least one label and one template; give them.")
    for template in templates:
        if "{label}" not in template:
            raise InputError(f"The template {template!r} has no {{label}} in it; add that placeholder.")
    texts = [template.replace("{label}", label) for template in templates for label in labels]
    vectors = check_matrix(encode(texts), "the vectors of the labels").astype(np.float32)
    return vectors.reshape(len(templates), len(labels), -1)


def label_scores(
    vectors: npt.ArrayLike, label_vectors: npt.ArrayLike, *, mean: npt.ArrayLike | None = None
) -> FloatArray:
    """Return the cosine of every document with every label [n, l], averaged over templates.

    Args:
        vectors: documents in the known space [n, d]; rows do not depend on each other.
        label_vectors: [l, d], or [t, l, d] as :func:`embed_labels` returns them.
        mean: mean of the unit rows of the collection the documents belong to [d], from
            :func:`~interlingua.leakage.centering.collection_mean`. With it, documents are centered by it and labels
            by their own mean. Documents and label sentences lie in different parts of the space, so that without
            centering a few labels are near every document.

    Raises:
        InputError: the widths differ, or a matrix cannot be used.
    """
    layers = as_array(label_vectors, "the labels")
    layers = layers[None] if layers.ndim == 2 else layers
    if layers.ndim != 3 or not len(layers):
        raise InputError(f"the labels have shape {layers.shape}; [l, d] or [t, l, d] is needed.")
    documents = check_matrix(vectors, "the documents")
    width = documents.shape[1]
    directions = unit_rows(subtract_mean(documents, mean, np.zeros(width, np.float32)))
    total = np.zeros((len(documents), layers.shape[1]), np.float32)
    for layer in layers:
        labels = unit_rows(check_matrix(layer, "the labels", width=width).astype(np.float32))
        if mean is not None and len(labels) > 1:
            labels = unit_rows(labels - labels.mean(axis=0))
        total += directions @ labels.T
    return np.asarray(total / len(layers), np.float32)


def infer_attributes(
    vectors: npt.ArrayLike,
    label_vectors: npt.ArrayLike,
    truth: npt.ArrayLike,
    names: Sequence[str],
    *,
    naive: npt.ArrayLike | None = None,
    ideal: npt.ArrayLike | None = None,
    ks: Sequence[int] = (1, 3),
    centered: bool = True,
    mean: npt.ArrayLike | None = None,
    seed: int = 0,
) -> AttributeInference:
    """Infer labels and measure them against the majority, a shuffled control, and naive and ideal vectors.

    Args:
        vectors: documents in the known space, such as translations [n, d].
        label_vectors: [l, d], or [t, l, d] with one layer for each template.
        truth: true labels of each document, boolean [n, l]; one or more per document.
        names: the names of the labels.
        naive: the documents before translation [n, d_source]; truncated or padded with zeros to d.
        ideal: the true vectors of the documents in the known space [n, d].
        ks: the k of the top-k figures; 1 is always added.
        centered: subtract the mean of a collection from its documents, and the mean label from the labels. Naive and
            ideal vectors are centered by their own means.
        mean: mean of the collection that ``vectors`` were taken from [d]; by default the mean of ``vectors``.
        seed: seed of the shuffles and the resamples.

    Raises:
        InputError: shapes that do not match, or a document without a true label.
    """
    centered, seed = check_flag(centered, "centered"), check_count(seed, "seed")
    truth, names = as_array(truth, "truth"), check_texts(names, "names")
    if centered and mean is None:
        mean = collection_mean(vectors)
    scores = label_scores(vectors, label_vectors, mean=mean if centered else None)
    if truth.shape != scores.shape or truth.dtype != bool or len(names) != scores.shape[1]:
        raise InputError(
            f"truth is {truth.dtype} {truth.shape} and names has {count_of(len(names), 'text')}; for "
            f"{count_of(scores.shape[0], 'document')} and {count_of(scores.shape[1], 'label')} a boolean matrix "
            f"{scores.shape} and as many names are needed."
        )
    if not truth.any(axis=1).all():
        raise InputError(f"Document {int((~truth.any(axis=1)).argmax())} has no true label; remove such documents.")
    counts = {check_count(k, "a k of ks", minimum=1) for k in check_members(ks, "ks", object, "integers")}
    ks = tuple(k for k in sorted({1, *counts}) if k <= len(names))
    rng = np.random.default_rng(seed)
    resamples = Resamples(len(truth), seed)
    shuffles = [scores[_derangement(len(scores), rng)] for _ in range(_SHUFFLES)]
    candidates = {
        "translated": [scores],
        "majority": [np.broadcast_to(truth.mean(axis=0, dtype=np.float32), truth.shape)],
        "shuffled": shuffles,
    }
    for name, rows in (("naive", naive), ("ideal", ideal)):
        if rows is not None:
            matrix = check_matrix(rows, f"the {name} vectors")
            check_one_each(len(matrix), f"{name} vector", len(truth), "document")
            fitted = _fit_width(matrix, np.shape(label_vectors)[-1])
            own_mean = collection_mean(fitted) if centered else None
            candidates[name] = [label_scores(fitted, label_vectors, mean=own_mean)]
    hits = {name: _hits(scores, truth, ks) for name, scores in candidates.items()}
    measured = {name: _measure(scores, hits[name], truth, names, ks, resamples) for name, scores in candidates.items()}
    return AttributeInference(
        labels=tuple(names),
        counts=tuple(truth.sum(axis=0).tolist()),
        n=len(truth),
        translated=measured["translated"],
        majority=measured["majority"],
        shuffled=measured["shuffled"],
        naive=measured.get("naive"),
        ideal=measured.get("ideal"),
        of_ideal=resamples.ratio(hits["translated"][0][0], hits["ideal"][0][0]) if "ideal" in hits else None,
    )


def truth_matrix(labels: Sequence[Sequence[str] | str], names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which of the names each document has [n, l].

    Raises:
        InputError: a document has a label that is not among the names.
    """
    columns = {name: column for column, name in enumerate(check_texts(names, "names"))}
    rows = check_label_rows(labels)
    matrix = np.zeros((len(rows), len(columns)), bool)
    for row, row_labels in enumerate(rows):
        for label in row_labels:
            if label not in columns:
                raise InputError(f"Document {row} has the label {label!r}, which is not among the {len(names)} names.")
            matrix[row, columns[label]] = True
    return matrix


def _fit_width(rows: npt.NDArray[Any], width: int) -> FloatArray:
    fitted = np.zeros((len(rows), width), np.float32)
    fitted[:, : rows.shape[1]] = rows[:, :width]
    # A zero row after truncation gets an arbitrary direction.
    fitted[~fitted.any(axis=1), 0] = 1
    return fitted


def _derangement(n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return a random permutation of n documents without fixed points: one cycle through all of them."""
    order = rng.permutation(n)
    moved = np.empty(n, np.int64)
    moved[order] = np.roll(order, 1)
    return moved


def _hits(
    scores: Sequence[FloatArray], truth: npt.NDArray[np.bool_], ks: Sequence[int]
) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Return (hit, recall) of every document [n] for every k, averaged over repetitions."""
    rows = np.arange(len(truth))[:, None]
    ranked = np.stack([truth[rows, np.argsort(-s, axis=1, kind="stable")] for s in scores])
    return [
        (
            ranked[:, :, :k].any(axis=2).mean(axis=0, dtype=np.float64),
            (ranked[:, :, :k].sum(axis=2) / truth.sum(axis=1)).mean(axis=0, dtype=np.float64),
        )
        for k in ks
    ]


def _measure(
    scores: Sequence[FloatArray],
    hits: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]],
    truth: npt.NDArray[np.bool_],
    names: Sequence[str],
    ks: Sequence[int],
    resamples: Resamples,
) -> AttributeScores:
    areas = {}
    for column, name in enumerate(names):
        if 0 < truth[:, column].sum() < len(truth):
            areas[name] = np.mean([resamples.auc(s[:, column], truth[:, column]) for s in scores], axis=0)
    # A resample may lack a rare label; its mean is then over the others.
    table = np.stack(list(areas.values())) if areas else np.full((1, 1 + resamples.draws), np.nan)
    with np.errstate(invalid="ignore"):
        macro = np.nan_to_num(table).sum(axis=0) / np.isfinite(table).sum(axis=0)
    return AttributeScores(
        top_k={k: resamples.mean(hit, share=True) for k, (hit, _) in zip(ks, hits, strict=True)},
        recall={k: resamples.mean(recall, share=True) for k, (_, recall) in zip(ks, hits, strict=True)},
        macro_auc=interval(macro),
        auc={name: interval(area) for name, area in areas.items()},
    )
