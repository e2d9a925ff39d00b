"""What labels lose when documents are translated into MiniLM: map, offset, topic proportions and prompt.

    python benchmarks/attribute_losses.py --vectors DIR --labels DIR --data ../shared/data

One JSON line per set of documents and map. The maps are fitted on pairs of another kind of text, or on pairs of other
documents of the same kind, so that they show what the best linear map of such texts keeps; with ``--translators``
fits without pairs that ``calibration.py`` kept are measured too. Each map is scored as the product scores it, and with
one part changed at a time:

- ``uncentered``: neither documents nor labels are centered, which leaves the offset between them;
- ``name`` and ``sentence``: one prompt for the labels in the place of the mean of both;
- ``proportions``: a constant is added to each label so that it is the first of as many documents as in truth. The true
  proportions are no input of an attack; this shows what they would add.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import encode
import numpy as np
from scipy.linalg import orthogonal_procrustes
from scipy.stats import rankdata

from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.translator import load
from interlingua.leakage.attributes import label_scores, truth_matrix
from interlingua.leakage.centering import collection_mean

KNOWN, TEXTS = "minilm", "nq-open"
RESULTS = Path(__file__).resolve().parent / "results" / "leakage-losses.jsonl"
# The penalties of ridge regression, relative to the mean variance, for many pairs and for few.
MANY, FEW = 0.01, 0.3
SHARPNESS, STEPS, STEP = 30.0, 300, 0.02


def main() -> None:
    """Measure every map into MiniLM whose vectors are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--labels", type=Path, help="folder of the label vectors; that of --vectors by default")
    parser.add_argument("--translators", type=Path, default=Path("benchmarks/translators"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    labels = arguments.labels or arguments.vectors
    with arguments.out.open("w", encoding="utf-8") as stream:
        for documents in encode.LABELLED:
            if not (arguments.vectors / f"{documents}.{KNOWN}.npy").exists():
                continue
            lines = (arguments.vectors / f"{documents}.texts.jsonl").read_text("utf-8").splitlines()
            own = encode.labels(arguments.data / "corpora", documents)
            names = sorted(set().union(*own.values()))
            truth = truth_matrix([json.loads(line)["label"] for line in lines], names)
            layers = np.load(labels / f"{documents}.labels.{KNOWN}.npy")
            for victim, name, vectors in maps(documents, arguments.vectors, arguments.translators):
                facts = {"documents": documents, "n": len(truth), "victim": victim, "map": name}
                majority = round(float(truth.mean(axis=0).max()), 3)
                stream.write(json.dumps(facts | {"majority": majority} | scores(vectors, layers, truth)) + "\n")
                stream.flush()


def maps(documents: str, vectors: Path, translators: Path) -> Iterator[tuple[str, str, FloatArray]]:
    """Yield (victim, map, documents in the space of MiniLM)."""

    def rows(corpus: str, encoder: str) -> FloatArray:
        return unit_rows(np.load(vectors / f"{corpus}.{encoder}.npy").astype(np.float32))

    true, public = rows(documents, KNOWN), rows(TEXTS, KNOWN)
    yield KNOWN, "true vectors", true
    for victim in ("use", "wordllama", "model2vec"):
        if not all((vectors / f"{corpus}.{victim}.npy").exists() for corpus in (documents, TEXTS)):
            continue
        x, pairs = rows(documents, victim), rows(TEXTS, victim)
        yield victim, "ridge on pairs of questions", ridge(pairs, public, x, MANY)
        yield victim, "rotation on pairs of questions", rotation(pairs, public, x)
        halves = np.array_split(np.random.default_rng(0).permutation(len(x)), 2)
        mapped = np.empty_like(true)
        for train, rest in (halves, halves[::-1]):
            mapped[rest] = ridge(x[train], true[train], x[rest], FEW)
        yield victim, "ridge on pairs of other documents", mapped
        for folder in sorted(translators.glob(f"{TEXTS}.{victim}.{KNOWN}.*")):
            if folder.is_dir():
                translator = load(folder)
                verdict = translator.card["verdict"]["status"]
                yield victim, f"fit without pairs on questions, {verdict}", unit_rows(translator.forward(x))


def ridge(source: FloatArray, target: FloatArray, rows: FloatArray, penalty: float) -> FloatArray:
    """Return rows mapped by ridge regression on pairs."""
    a, b = source.mean(axis=0), target.mean(axis=0)
    gram = (source - a).T @ (source - a)
    gram += penalty * np.trace(gram) / len(gram) * np.eye(len(gram), dtype=np.float32)
    return unit_rows((rows - a) @ np.linalg.solve(gram, (source - a).T @ (target - b)) + b)


def rotation(source: FloatArray, target: FloatArray, rows: FloatArray) -> FloatArray:
    """Return rows mapped by orthogonal Procrustes on pairs."""
    a, b = source.mean(axis=0), target.mean(axis=0)
    width = max(source.shape[1], target.shape[1])
    x, y, z = (np.pad(side, ((0, 0), (0, width - side.shape[1]))) for side in (source - a, target - b, rows - a))
    return unit_rows((z @ orthogonal_procrustes(x, y)[0])[:, : target.shape[1]] + b)


def scores(vectors: FloatArray, layers: Any, truth: Any) -> dict[str, list[float]]:
    """Return (top-1, mean AUC) as the product scores the labels, and with one part changed."""
    mean = collection_mean(vectors)
    plain = label_scores(vectors, layers, mean=mean)
    return {
        "plain": figures(plain, truth),
        "uncentered": figures(label_scores(vectors, layers), truth),
        "name": figures(label_scores(vectors, layers[0], mean=mean), truth),
        "sentence": figures(label_scores(vectors, layers[1], mean=mean), truth),
        "proportions": figures(plain + proportions(plain, truth.sum(axis=0) / truth.sum()), truth),
    }


def figures(found: FloatArray, truth: Any) -> list[float]:
    """Return the share of documents whose first label is right, and the mean area under the ROC curve."""
    areas = []
    for column, own in zip(found.T, truth.T, strict=True):
        positive = int(own.sum())
        if 0 < positive < len(own):
            above = rankdata(column)[own].sum() - positive * (positive + 1) / 2
            areas.append(above / (positive * (len(own) - positive)))
    first = truth[np.arange(len(truth)), found.argmax(axis=1)]
    return [round(float(first.mean()), 3), round(float(np.mean(areas)), 3)]


def proportions(found: FloatArray, shares: Any) -> FloatArray:
    """Return constants for the labels with which their expected shares are the given ones."""
    constants = np.zeros(found.shape[1])
    for _ in range(STEPS):
        weights = np.exp(SHARPNESS * (found + constants))
        weights /= weights.sum(axis=1, keepdims=True)
        constants -= STEP * (np.log(weights.mean(axis=0) + 1e-9) - np.log(shares + 1e-4))
    return np.asarray(constants, np.float32)


if __name__ == "__main__":
    main()
