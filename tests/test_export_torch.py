"""A translator as a torch module: the same result, gradients, and a translator that training leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from exported import D_SOURCE, D_TARGET, linear, neural, rows
from interlingua.core.errors import InputError
from interlingua.core.translator import Translator
from interlingua.export import to_torch

torch = pytest.importorskip("torch")

MAKERS: dict[str, Callable[[], Translator]] = {
    "unit to unit": linear,
    "raw rows": lambda: linear(unit_in=False),
    "free length": lambda: linear(unit_out=False),
    "typical length": lambda: linear(norm_out=7.5),
    "batch norm": neural,
    "layer norm": lambda: neural(norm="layer"),
    "without skips": lambda: neural(gated=False),
    "shallow": lambda: neural(depths=(1, 2)),
}
EVERY = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@EVERY
@pytest.mark.parametrize("inverse", [False, True])
def test_it_gives_what_translate_gives_in_both_directions(make: Callable[[], Translator], inverse: bool) -> None:
    translator = make()
    x = rows(D_TARGET if inverse else D_SOURCE)
    expected = translator.invert(x) if inverse else translator.translate(x)
    module = to_torch(translator, inverse=inverse)
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(x)), expected, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(module(torch.from_numpy(x[7])[None])[0], expected[7], rtol=2e-5, atol=2e-6)


@EVERY
def test_gradients_reach_the_rows_and_every_parameter(make: Callable[[], Translator]) -> None:
    module = to_torch(make()).double()
    x = torch.from_numpy(rows(D_SOURCE, 4)).double().requires_grad_()
    assert torch.autograd.gradcheck(module, (x,), eps=1e-6, atol=1e-4)
    module(x)[:, 0].sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_training_it_lowers_a_loss_and_leaves_the_translator_alone() -> None:
    translator = linear()
    before = translator.translate(rows(D_SOURCE))
    module = to_torch(translator)
    x = torch.from_numpy(rows(D_SOURCE))
    wanted = torch.nn.functional.normalize(torch.from_numpy(rows(D_TARGET)), dim=1)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    losses = []
    for _ in range(20):
        loss = 1 - torch.cosine_similarity(module(x), wanted).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.05
    assert np.array_equal(translator.translate(rows(D_SOURCE)), before)


def test_making_it_draws_no_random_number_and_zero_rows_stay_finite() -> None:
    state = torch.get_rng_state()
    module = to_torch(neural())
    assert torch.equal(torch.get_rng_state(), state)
    assert not module.training
    zeros = torch.zeros(2, D_SOURCE)
    assert torch.isfinite(module(zeros)).all()
    assert torch.isfinite(to_torch(linear())(zeros)).all()


def test_its_weights_can_be_saved_and_read_again(tmp_path: Any) -> None:
    module = to_torch(neural())
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    fresh = to_torch(neural())
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    x = torch.from_numpy(rows(D_SOURCE, 5))
    assert torch.equal(module(x), fresh(x))


def test_a_map_of_ones_own_is_refused() -> None:
    class Own:
        d_in, d_out = D_SOURCE, D_TARGET

    given = linear()
    translator = Translator(Own(), given.backward, given.profiles, given.card)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="A map of the kind Own has no torch form"):
        to_torch(translator)
