"""The stage after the rotation: nearer to the true vectors, harmless where nothing can be gained."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from interlingua.aligners.frames import Frame, affine_map, polar
from interlingua.aligners.linear.nonorthogonal import hub_leveled_mean, nonorthogonal_map, radius_factor
from interlingua.core.statistics import agreement
from planted import encode, rotation, topics

Array = npt.NDArray[Any]


def test_between_equal_spectra_nothing_but_the_ridge_changes(rng: np.random.Generator) -> None:
    """Both transport and ridge are functions of the covariance, which a rotation of an isotropic cloud leaves alone."""
    x = Frame.of(rng.standard_normal((4000, 8))).rows
    turn = rotation(8, 8, rng)
    y = Frame.of(rng.standard_normal((4000, 8))).rows
    found = nonorthogonal_map(turn, x, y)
    assert agreement(x @ found, x @ turn) > 0.999


@pytest.mark.parametrize("widths", [(10, 10), (14, 10), (10, 14)])
def test_shapes_and_finiteness_at_any_widths(widths: tuple[int, int], rng: np.random.Generator) -> None:
    content = topics(600, 9, rng)
    x, y = (Frame.of(encode(content, width, rng)).rows for width in widths)
    found = nonorthogonal_map(polar(x.T @ y), x[:300], y[300:])
    assert found.shape == widths
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_spreads_that_differ_are_brought_together(rng: np.random.Generator) -> None:
    """The target stretches what the source has: a rotation cannot follow, half the Gaussian transport can."""
    base = rng.standard_normal((4000, 12))
    stretch = np.geomspace(0.25, 4, 12)
    x, y = Frame.of(base).rows, Frame.of(base * stretch).rows
    turn = np.eye(12, dtype=np.float32)
    found = nonorthogonal_map(turn, x[:2000], y[2000:])
    assert agreement(x @ found, y) > agreement(x @ turn, y) + 0.03


def test_a_wider_target_is_filled_in_from_its_own_correlations(rng: np.random.Generator) -> None:
    """Coordinates the source lacks are linear in those it has, up to noise; the target alone tells how."""
    base = rng.standard_normal((4000, 8))
    wide = np.hstack([base, base @ rng.standard_normal((8, 8)) / np.sqrt(8)])
    x, y = Frame.of(base).rows, Frame.of(wide).rows
    reach = np.eye(8, 16, dtype=np.float32)
    found = nonorthogonal_map(reach, x[:2000], y[2000:])
    assert agreement(x @ found, y) > agreement(x @ reach, y) + 0.1


def test_a_rotated_source_gives_the_rotated_map(rng: np.random.Generator) -> None:
    content = topics(800, 10, rng)
    x, y = (Frame.of(encode(content, width, rng)).rows for width in (14, 12))
    matrix, turn = polar(x.T @ y), rotation(14, 14, rng)
    assert x @ turn @ nonorthogonal_map(turn.T @ matrix, x @ turn, y) == pytest.approx(
        x @ nonorthogonal_map(matrix, x, y), abs=1e-3
    )


def test_a_level_offset_keeps_the_mean_along_itself_and_levels_the_rows(rng: np.random.Generator) -> None:
    rows = 2 + rng.standard_normal((3000, 10)) * np.geomspace(3, 0.3, 10)
    frame = Frame.of(rows)
    level = hub_leveled_mean(frame)
    assert level @ frame.mean == pytest.approx(frame.mean @ frame.mean, rel=1e-4)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    spreads = [float((units @ o).std() / (units @ o).mean()) for o in (level, frame.mean)]
    assert spreads[0] < spreads[1]


def test_a_space_around_the_origin_has_an_offset_near_nothing(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((500, 6))
    frame = Frame.of(np.concatenate([rows, -rows]))
    assert np.abs(hub_leveled_mean(frame)).max() < 1e-3


def test_offset_and_reach_are_where_mapped_rows_centre_and_how_far_out_they_lie(rng: np.random.Generator) -> None:
    source, target = (Frame.of(rng.standard_normal((200, 5)) + 1) for _ in range(2))
    offset = np.arange(5, dtype=np.float32)
    plain = affine_map(source, target, np.eye(5))
    moved = affine_map(source, target, np.eye(5), offset=offset, radius_factor=1.5)
    assert np.array_equal(plain.mean_out, target.mean)
    assert np.array_equal(moved.mean_out, offset)
    assert moved.matrix == pytest.approx(1.5 * plain.matrix)


def test_translations_lie_farther_out_only_where_nothing_has_to_be_filled_in(rng: np.random.Generator) -> None:
    wide, narrow = (Frame.of(rng.standard_normal((50, d))) for d in (6, 4))
    assert radius_factor(wide, narrow) == radius_factor(narrow, narrow) > radius_factor(narrow, wide) == 1
