"""Coarse maps: orthogonal maps between the leading principal coordinates of both sides.

Rotations are searched for, refitted and judged in these coordinates: a step costs little, and the directions left out
hold mostly noise. The schedules that a search, its null and its verdict share are in this module. A soft coupling (high
temperature) and small batches escape poor optima; a sharp one and large batches come closer to a good optimum. The
numbers were set with the `beir` seeds 0 to 19 of benchmarks/notes/fits.md in view, and are the same for all data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from interlingua.aligners.frames import polar, principal_axes
from interlingua.aligners.refine import transport_similarity, wasserstein_procrustes
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import Array, parallel_map, to_device, to_numpy

__all__ = ["COARSE_WIDTH", "CoarseSpaces", "Schedule", "anneal", "refine_coarse", "refit", "settle"]

COARSE_WIDTH = 64
# Directions with less than this share of the largest variance are rounding errors.
_RANK_FLOOR = 1e-6


@dataclass(frozen=True)
class Schedule:
    """Steps of a refinement.

    Attributes:
        temperatures: of the coupling, one per step.
        batch: most rows per side and step.
        share: most rows per side and step, as a share of the rows of the smaller side. Below 1, batches differ from
            each other even where there are few rows.
    """

    temperatures: Sequence[float]
    batch: int
    share: float = 1.0


_ANNEALING = Schedule(np.geomspace(0.08, 0.03, 60).tolist(), batch=400, share=0.5)
_SETTLING = Schedule((0.06,) * 100, batch=400, share=0.5), Schedule((0.04,) * 20, batch=1000)
# Refits of the verdict and the null take fewer steps: they start from a refined map.
_REFITTING = Schedule((0.06,) * 50, batch=300, share=0.5), Schedule((0.04,) * 15, batch=800)
# Maps are scored by a coupling as sharp as the last of the annealing.
_SCORE_TEMPERATURE, _SCORED_ROWS = 0.03, 1500


@dataclass(frozen=True, eq=False)
class CoarseSpaces:
    """Both sides in their leading principal coordinates.

    Attributes:
        principal: [d_source, d_source] and [d_target, d_target], all principal axes as columns, largest first.
        rows: [n, w_source] and [n, w_target], unit rows on the device.
        ranks: how many directions each side varies in.
        device: of the rows; ``"cpu"`` for numpy.
        labels: codes [n, c] of the categories of the rows on the device, which refinements read; None without labels.
    """

    principal: tuple[FloatArray, FloatArray]
    rows: tuple[Array, Array]
    ranks: tuple[int, int]
    device: str = "cpu"
    labels: tuple[Array, Array] | None = None

    @classmethod
    def of(cls, x: FloatArray, y: FloatArray, *, width: int = COARSE_WIDTH, device: str = "cpu") -> CoarseSpaces:
        """Reduce centered unit rows [n_source, d_source] and [n_target, d_target] to at most ``width`` columns."""
        (first, first_variances), (second, second_variances) = parallel_map(principal_axes, (x, y))
        ranks = tuple(int((v > _RANK_FLOOR * v[0]).sum()) for v in (first_variances, second_variances))
        return cls((first, second), _reduce_rows(x, y, first, second, width, device), (ranks[0], ranks[1]), device)

    def at_width(self, x: FloatArray, y: FloatArray, width: int) -> CoarseSpaces:
        """Return the same rows x and y in another number of coordinates."""
        return replace(self, rows=_reduce_rows(x, y, *self.principal, width, self.device))

    @property
    def axes(self) -> tuple[FloatArray, FloatArray]:
        """The leading principal axes, [d_source, w_source] and [d_target, w_target]."""
        first, second = (axes[:, : rows.shape[1]] for axes, rows in zip(self.principal, self.rows, strict=True))
        return first, second

    @property
    def n(self) -> int:
        """Rows of the smaller side."""
        return min(int(rows.shape[0]) for rows in self.rows)

    def reduce(self, matrix: FloatArray) -> FloatArray:
        """Return the coarse map [w_source, w_target] nearest to a map [d_source, d_target]."""
        return polar(self.axes[0].T @ matrix @ self.axes[1])

    def lift(self, matrix: FloatArray) -> FloatArray:
        """Return the map [d_source, d_target] of rank at most w that equals a coarse map."""
        return self.axes[0] @ matrix @ self.axes[1].T

    def similarity(self, maps: Array, *, rows: int = _SCORED_ROWS) -> FloatArray:
        """Return the transport similarity of each coarse map [r, w_source, w_target] on the same rows."""
        return transport_similarity(*self.rows, to_device(maps, self.device), temperature=_SCORE_TEMPERATURE, rows=rows)


def refine_coarse(
    spaces: CoarseSpaces,
    maps: FloatArray,
    schedule: Schedule,
    *,
    rng: np.random.Generator,
    prior: FloatArray | None = None,
) -> FloatArray:
    """Refine maps [r, w_source, w_target] by the steps of a schedule.

    See :func:`interlingua.aligners.refine.wasserstein_procrustes`.

    Args:
        spaces: the rows.
        maps: where to start.
        schedule: temperatures and batch size.
        rng: draws the batches.
        prior: [w_source, w_target], cross-covariance of known pairs.
    """
    moved = wasserstein_procrustes(
        *spaces.rows,
        to_device(np.ascontiguousarray(maps), spaces.device),
        temperatures=schedule.temperatures,
        batch=min(schedule.batch, int(schedule.share * spaces.n)),
        rng=rng,
        prior=None if prior is None else to_device(prior, spaces.device),
        labels=spaces.labels,
    )
    return np.asarray(to_numpy(moved))


def anneal(
    spaces: CoarseSpaces, maps: FloatArray, rng: np.random.Generator, prior: FloatArray | None = None
) -> FloatArray:
    """Refine rough coarse maps [r, w_source, w_target] on small batches, from soft couplings to sharp ones."""
    return refine_coarse(spaces, maps, _ANNEALING, rng=rng, prior=prior)


def settle(
    spaces: CoarseSpaces, maps: FloatArray, rng: np.random.Generator, prior: FloatArray | None = None
) -> FloatArray:
    """Refine annealed coarse maps [r, w_source, w_target]: soft steps on small batches, then sharper ones on larger."""
    for schedule in _SETTLING:
        maps = refine_coarse(spaces, maps, schedule, rng=rng, prior=prior)
    return maps


def refit(spaces: CoarseSpaces, maps: FloatArray, rows: tuple[Array, Array], rng: np.random.Generator) -> FloatArray:
    """Refine coarse maps again, on some of the rows only.

    The agreement of refits on disjoint samples is evidence for a map. Known pairs take no part, because a refit that
    keeps to them would confirm the pairs and not the map.

    Args:
        spaces: where the rows come from.
        maps: [r, w_in, w_out].
        rows: [n_in, w_in] and [n_out, w_out], a sample of each side; in either direction.
        rng: draws the batches.
    """
    sample = replace(spaces, rows=rows, labels=None)
    for schedule in _REFITTING:
        maps = refine_coarse(sample, maps, schedule, rng=rng)
    return maps


def _reduce_rows(
    x: FloatArray, y: FloatArray, first: FloatArray, second: FloatArray, width: int, device: str
) -> tuple[Array, Array]:
    """Return the unit rows of both sides along the leading ``width`` of their principal axes, on the device."""
    return to_device(unit_rows(x @ first[:, :width]), device), to_device(unit_rows(y @ second[:, :width]), device)
