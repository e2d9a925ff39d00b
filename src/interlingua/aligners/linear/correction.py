"""The correction after the non-orthogonal stage: a rotation and a shift inside the target space, without pairs.

The rotation was refined on neighbors of rotated rows. Translations by the finished map have nearer neighbors, because
the stage shortens noisy directions and the offset levels hubs. The correction therefore compares every translation
``t`` with the mean ``n`` of its mutual neighbors among the target rows. With the weighted ridge regression M of the
centered changes ``n - t`` on the centered translations, and with their center c and the mean change s, a translation
becomes ``c + h s + (t - c) polar(I + M)``. A rotation shortens no direction, unlike the regression itself, which raises
the cosine more and lowers retrieval. The share h of the shift is below 1, because the offset that levels hubs is moved
back toward the mean. All of this is one affine map again. The combination is a method of this package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from interlingua.aligners.base import OnStep, ignore_step, report_parts
from interlingua.aligners.frames import polar
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import parallel_map, to_device, to_numpy
from interlingua.core.maps import AffineMap
from interlingua.core.neighbors import mutual_neighbors, nearest

__all__ = ["MIN_ROWS", "Correction", "correct_maps"]

# Fewer rows a side than this have not been measured, and neighbors would be far away.
MIN_ROWS = 4_000
# From this number of rows on, neighbors are near enough for a second round and for a larger share of the shift.
_MANY_ROWS = 8_000
_NEIGHBORS = 5
# Parts of the shift that are tried, largest first: a shift that makes hubs of the rows near the mean is too large.
_SHARES = (1.0, 0.5, 0.0)
# Of the mean variance of translations: directions in which neighbors determine little are rotated little.
_RIDGE = 1.0
# Most rows per side and round. More take longer and changed little.
_BATCH = 8_000
# The rows that decide whether a correction is kept take no part in it: one of this many, and at most this number.
_ONE_OF, _MOST = 5, 2_000
# The share of mutual neighbors may fall by this: about the standard error of the change between 2,000 rows.
_LOSS = 0.01


@dataclass(frozen=True)
class Correction:
    """How maps are corrected.

    Attributes:
        rounds: rotations, each with new neighbors.
        shift: the largest share of the mean change that is added after the last of them.
        batch: most rows per side and round.
    """

    rounds: int
    shift: float
    batch: int = _BATCH

    @classmethod
    def for_rows(cls, rows: int) -> Correction:
        """Return the correction for this number of rows of the smaller side."""
        return cls(2, 0.5) if rows >= _MANY_ROWS else cls(1, 0.25)

    def apply(
        self,
        mapping: AffineMap,
        x: FloatArray,
        y: FloatArray,
        *,
        rng: np.random.Generator,
        device: str = "cpu",
        on_part: Callable[[], None] = lambda: None,
    ) -> tuple[AffineMap, ...]:
        """Return the corrected map with the whole share of the shift, with half of it, and without shift.

        Args:
            mapping: from source to target, which brings its rows to unit norm.
            x: [n_source, d_source], unit rows.
            y: [n_target, d_target], unit rows.
            rng: draws the rows of each round.
            device: where neighbors are computed.
            on_part: called after each round.
        """
        change = np.zeros(mapping.d_out, np.float32)
        for _ in range(self.rounds):
            a, b = (z if len(z) <= self.batch else z[rng.choice(len(z), self.batch, replace=False)] for z in (x, y))
            mapping, change = _rotated(mapping, a, b, device)
            on_part()
        shares = (np.float32(part * self.shift) for part in _SHARES)
        return tuple(replace(mapping, mean_out=mapping.mean_out + share * change) for share in shares)


def correct_maps(
    maps: tuple[AffineMap, AffineMap],
    rows: tuple[FloatArray, FloatArray],
    *,
    rng: np.random.Generator,
    device: str = "cpu",
    on_part: OnStep = ignore_step,
) -> tuple[tuple[AffineMap, AffineMap], dict[str, Any]]:
    """Correct the map of each direction where rows that take no part in the correction keep their mutual neighbors.

    Of some translations, the nearest target row has another translation as its own nearest; errors of a map, and hubs,
    cause this. The share of the other translations may fall by at most 0.01. The largest shift that passes is taken.

    Args:
        maps: from source to target, and from target to source.
        rows: [n_source, d_source] and [n_target, d_target], at least `MIN_ROWS` each.
        rng: draws the rows of the test and of each round.
        device: where neighbors are computed.
        on_part: called before and after each part: the rounds and the test of each direction.

    Returns:
        The maps, and the step of the trace: the share of the shift in each direction, or None for an unchanged map.
    """
    correction = Correction.for_rows(min(map(len, rows)))
    held, rest = [], []
    for side in map(unit_rows, rows):
        first, second = np.split(rng.permutation(len(side)), [min(_MOST, len(side) // _ONE_OF)])
        held.append(side[first])
        rest.append(side[second])
    report_part = report_parts("correcting", len(maps) * (correction.rounds + 1), on_part)
    found, shifts = [], list[float | None]()
    for mapping, step in zip(maps, (1, -1), strict=True):
        (x, y), (held_x, held_y) = rest[::step], held[::step]
        candidates = mapping, *correction.apply(mapping, x, y, rng=rng, device=device, on_part=report_part)
        before, *after = parallel_map(lambda each, a=held_x, b=held_y: _mutual_share(each, a, b), candidates)
        report_part()
        chosen = next((number for number, share in enumerate(after) if share >= before - _LOSS), None)
        found.append(mapping if chosen is None else candidates[1 + chosen])
        shifts.append(None if chosen is None else _SHARES[chosen] * correction.shift)
    return (found[0], found[1]), {"step": "correction", "forward": shifts[0], "backward": shifts[1]}


def _rotated(mapping: AffineMap, x: FloatArray, y: FloatArray, device: str) -> tuple[AffineMap, FloatArray]:
    """Return the map followed by one rotation of its unit translations around their center, and the mean change.

    Translations are rotated before they are brought to unit norm. For the result to be affine, the center and the
    change are scaled by the typical norm instead of that of each row.
    """
    raw = x @ mapping.matrix + mapping.offset
    rows = unit_rows(raw)
    coupling = mutual_neighbors(to_device(rows, device), to_device(y, device), _NEIGHBORS)
    sums, weights = (to_numpy(coupling @ to_device(z, device)) for z in (y, np.ones((len(y), 1), np.float32)))
    used = weights[:, 0] > 0
    rows, weights = rows[used], weights[used]
    center, change = rows.mean(axis=0), sums[used] / weights - rows
    mean_change = change.mean(axis=0)
    centered = rows - center
    gram = (centered * weights).T @ centered
    penalty = _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram), dtype=np.float32)
    regression = np.linalg.solve(gram + penalty, (centered * weights).T @ (change - mean_change))
    turn = polar(np.eye(len(gram), dtype=np.float32) + regression)
    norm = np.sqrt(np.einsum("ij,ij->", raw, raw, dtype=np.float64) / len(raw)).astype(np.float32)
    mean_out = (mapping.mean_out - norm * center) @ turn + norm * center
    rotated = replace(mapping, matrix=np.asarray(mapping.matrix @ turn), mean_out=np.asarray(mean_out, np.float32))
    return rotated, np.asarray(norm * mean_change, np.float32)


def _mutual_share(mapping: AffineMap, x: FloatArray, y: FloatArray) -> float:
    """Return the share of rows [n, d_source] that are mutual neighbors of a row of y [m, d_target] when translated."""
    translated = unit_rows(mapping(x))
    of_rows = nearest(translated, y, 1, metric="dot").indices[:, 0]
    of_y = nearest(y, translated, 1, metric="dot").indices[:, 0]
    return float((of_y[of_rows] == np.arange(len(translated))).mean())
