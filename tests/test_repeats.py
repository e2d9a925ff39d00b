"""Copies and near-copies are merged whatever their share, and distinct rows are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from interlingua.aligners.linear.repeats import distinct_rows
from interlingua.core.arrays import unit_rows


def texts(n: int, d: int = 96, seed: int = 0) -> np.ndarray:
    """Return distinct unit rows in a narrow cone, as many encoders give them."""
    rng = np.random.default_rng(seed)
    topics = rng.standard_normal((12, d))
    rows = topics[rng.integers(12, size=n)] + 1.2 * rng.standard_normal((n, d))
    return unit_rows((rows + 8 * np.ones(d) / np.sqrt(d)).astype(np.float32))


def test_distinct_rows_stay_as_they_are_and_in_order() -> None:
    rows = texts(3000)
    found = distinct_rows(rows)
    assert (found.exact, found.near) == (0, 0)
    np.testing.assert_array_equal(found.group, np.arange(3000))
    np.testing.assert_allclose(found.rows, rows, atol=1e-6)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_exact_copies_of_few_texts_are_merged_at_any_share(share: float) -> None:
    rows = texts(2000)
    rng = np.random.default_rng(1)
    copies = rng.random(2000) < share
    rows[copies] = rows[np.flatnonzero(copies)[:20]][rng.integers(20, size=copies.sum())]
    found = distinct_rows(rows)
    assert len(found.rows) == len(np.unique(rows, axis=0))
    assert found.exact == 2000 - len(found.rows)
    np.testing.assert_allclose(found.rows[found.group], rows, atol=1e-6)


def test_noisy_copies_are_merged_with_their_origin_and_averaged() -> None:
    origin = texts(1000)
    rng = np.random.default_rng(2)
    group = rng.permutation(np.repeat(np.arange(1000), 4))
    noise = 0.15 * unit_rows(rng.standard_normal((4000, 96)).astype(np.float32))
    found = distinct_rows(unit_rows(origin[group] + noise * np.linalg.norm(origin - origin.mean(0), axis=1).mean()))
    assert len(found.rows) == 1000
    assert found.near == 3000
    # Rows of one group share an origin, and the other way round.
    assert len(np.unique(np.stack([found.group, group]), axis=1).T) == 1000
    error = np.linalg.norm(found.rows[found.group] - origin[group], axis=1).mean()
    assert error < 0.6 * 0.15 * np.linalg.norm(origin - origin.mean(0), axis=1).mean()


def test_one_boilerplate_text_with_small_edits_becomes_one_row() -> None:
    rows = texts(2500)
    rng = np.random.default_rng(3)
    rows[:1000] = unit_rows(rows[:1] + 0.02 * rng.standard_normal((1000, 96)).astype(np.float32) / np.sqrt(96))
    found = distinct_rows(rows[rng.permutation(2500)])
    assert len(found.rows) == 1501
    assert found.to_dict()["largest_share"] == pytest.approx(0.4)


def test_groups_do_not_grow_by_chains() -> None:
    """Rows along an arc, each close to the next: one group would merge opposite rows."""
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    rows = np.zeros((200, 8), np.float32)
    rows[:, 0], rows[:, 1] = np.cos(angle), np.sin(angle)
    found = distinct_rows(rows, near=0.95)
    for group in range(len(found.rows)):
        members = rows[found.group == group]
        assert (members @ members[0]).min() >= 0.8
    assert len(found.rows) >= 8


def test_above_the_limit_only_exact_copies_are_merged() -> None:
    rows = np.concatenate([texts(300), texts(300)[:50], texts(300)[:50] * np.float32(1.001)])
    found = distinct_rows(rows, max_rows=100)
    assert (found.exact, found.near) == (50, 0)
    assert len(found.rows) == 350


@pytest.mark.parametrize("adjacent", [True, False])
def test_copies_are_merged_whatever_the_order_of_many_rows(adjacent: bool) -> None:
    rng = np.random.default_rng(4)
    origin = np.repeat(texts(5000), 2, axis=0)
    rows = unit_rows(origin + 0.002 * rng.standard_normal(origin.shape).astype(np.float32))
    merged = distinct_rows(rows if adjacent else rows[rng.permutation(len(rows))])
    assert merged.near == 5000


def test_close_rows_of_a_narrow_space_are_no_copies() -> None:
    rows = unit_rows(np.random.default_rng(5).standard_normal((4000, 6)).astype(np.float32))
    assert distinct_rows(rows).near == 0
