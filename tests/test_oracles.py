from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from interlingua.core.errors import InputError, MissingExtraError
from interlingua.evaluation.oracles import ACROSS_WIDTHS, Oracle, couple, match

pytest.importorskip("ot")


def clouds(n: int, widths: tuple[int, int], noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same skewed content in two frames, with noise on one side."""
    rng = np.random.default_rng(seed)
    content = rng.gamma(0.5, size=(n, min(widths))) * np.geomspace(1, 0.3, min(widths))
    x, y = (content @ np.linalg.qr(rng.standard_normal((d, content.shape[1])))[0].T for d in widths)
    return x.astype("f4"), (y + noise * rng.standard_normal(y.shape)).astype("f4")


@pytest.mark.parametrize("oracle", list(Oracle))
def test_every_oracle_finds_the_rows_of_one_space_again(oracle: Oracle) -> None:
    x, _ = clouds(60, (8, 8), 0)
    y = x + 0.01 * np.random.default_rng(1).standard_normal(x.shape)
    found = match(x, y, oracle)
    assert found.top1 > 0.9
    assert found.mean_rank < 1.5


@pytest.mark.parametrize("oracle", ACROSS_WIDTHS)
def test_gromov_sees_through_a_rotation_into_another_width(oracle: Oracle) -> None:
    found = match(*clouds(80, (6, 9), 0.0), oracle)
    assert found.top1 > 0.8


@pytest.mark.parametrize("oracle", list(Oracle))
def test_couplings_have_uniform_margins(oracle: Oracle) -> None:
    plan = couple(*clouds(40, (5, 5), 0.1), oracle)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 40, atol=1e-3)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 40, atol=1e-3)


def test_the_assignment_is_the_best_one_to_one() -> None:
    x, y = clouds(30, (5, 5), 0.3)
    plan = couple(x, y, Oracle.ASSIGNMENT)
    units = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y)]
    similarity = units[0] @ units[1].T
    best = similarity[linear_sum_assignment(similarity, maximize=True)].sum()
    assert (plan * similarity).sum() * 30 == pytest.approx(best, rel=1e-5)


def test_the_order_of_the_rows_has_no_influence() -> None:
    rng = np.random.default_rng(0)
    found = match(np.ones((200, 4)) + 1e-9, rng.standard_normal((200, 4)), Oracle.SINKHORN)
    assert found.top1 < 0.05
    assert found.mean_rank == pytest.approx(100.5, abs=10)


@pytest.mark.parametrize("oracle", [o for o in Oracle if o not in ACROSS_WIDTHS])
def test_different_widths_need_gromov(oracle: Oracle) -> None:
    message = f"{oracle} compares rows across the spaces, and these are 6 and 9 wide. Use gromov or entropic-gromov"
    with pytest.raises(InputError, match=message):
        couple(*clouds(20, (6, 9), 0), oracle)


def test_what_cannot_be_matched_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = clouds(20, (6, 6), 0)
    with pytest.raises(InputError, match=r"There is no oracle 'magic'; choose from assignment, emd, sinkhorn, gromov"):
        couple(x, y, "magic")
    with pytest.raises(InputError, match=r"There are 20 source and 19 target rows; one each of the same texts"):
        match(x, y[1:], Oracle.EMD)
    with monkeypatch.context() as patched:
        patched.setattr("interlingua.core.memory.available_bytes", lambda: 1_000)
        with pytest.raises(InputError, match="Coupling 20 with 20 rows needs about .* of memory .* Pass fewer rows"):
            couple(x, y, Oracle.ASSIGNMENT)
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(MissingExtraError, match=r"ot is needed and .* pip install 'interlingua\[ot\]'"):
        couple(x, y, Oracle.EMD)
