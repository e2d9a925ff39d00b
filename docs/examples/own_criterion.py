"""A criterion of one's own: translations have to vary in the same directions as the rows of the target."""

from pathlib import Path

import numpy as np

import interlingua as il
from interlingua.aligners import Fit, Problem
from interlingua.aligners.criterion import Criterion


def covariance_agreement(problem: Problem, fit: Fit) -> float:
    """Return the cosine between the covariance matrices of translations and of target rows."""
    first, second = (np.cov(rows, rowvar=False) for rows in (fit.forward(problem.rows[0]), problem.rows[1]))
    return float((first * second).sum() / np.linalg.norm(first) / np.linalg.norm(second))


if __name__ == "__main__":
    data = Path("demo/data")
    source, target = (np.load(data / f"eval-{side}.npy") for side in ("source", "target"))
    pairs = np.stack([np.arange(1000)] * 2, axis=1)
    meaning = "Cosine between the covariance matrices of translations and of target rows."
    for threshold in (0.9, 0.999):
        criterion = Criterion("covariance_agreement", meaning, "at_least", threshold, covariance_agreement)
        alignment = il.align(source, target, pairs=pairs, method="ridge", criteria=[criterion])
        print(alignment.verdict.status, alignment.verdict.evidence[-1])
