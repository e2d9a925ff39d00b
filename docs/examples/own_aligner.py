"""A method of one's own: match the principal axes of two spaces, oriented by their skewness."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

import interlingua as il
from interlingua.aligners import Fit, OnStep, Problem
from interlingua.aligners.frames import affine_maps
from interlingua.core.arguments import Bounds


@dataclass(frozen=True)
class SkewedAxes:
    """Principal axes. The fields are the settings of the method, and the card of the alignment holds their values.

    Attributes:
        axes: number of principal axes that are matched.
    """

    axes: int = 8
    name: ClassVar[str] = "skewed-axes"
    bounds: ClassVar[Bounds] = {"axes": {"minimum": 1}}  # also: above, maximum, below

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep) -> Fit:
        """Match the axes of both sides in the order of their variance."""
        x, y = problem.frames  # centered unit rows of both sides, with mean and radius
        k = min(self.axes, problem.source.d, problem.target.d)
        matrix = self._oriented(x.rows, k) @ self._oriented(y.rows, k).T
        step = {"step": "axes", "matched": k}
        on_step(step)
        return Fit(*affine_maps(x, y, matrix), trace=(step,))

    @staticmethod
    def _oriented(rows: np.ndarray, k: int) -> np.ndarray:
        axes = np.linalg.svd(rows, full_matrices=False)[2][:k].T
        return axes * np.where(((rows @ axes) ** 3).sum(axis=0) < 0, -1, 1).astype(np.float32)


if __name__ == "__main__":
    data = Path("demo/data")
    source, target = (np.load(data / f"{side}.npy")[:800] for side in ("source", "target"))
    alignment = il.align(source, target, method=SkewedAxes(axes=16))
    print(alignment.method, alignment.settings, alignment.verdict.status)
