"""`align_spaces`: three encoders of other texts meet in one latent space, and each two have their own verdict."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interlingua as il
from interlingua.core.errors import InputError
from interlingua.core.translator import NeuralTranslator
from interlingua.evaluation.metrics import match_ranks
from planted import Rows, encode, topics

WIDTHS = {"wide": 48, "narrow": 32, "middle": 40}
TINY: dict[str, Any] = {
    "width": 24, "discriminator_width": 16, "discriminator_depth": 3, "batch": 64,
    "warmup": 5, "check_every": 10, "save_every": 10, "log_every": 5,
}  # fmt: skip
Together = dict[tuple[str, str], il.Alignment]


@pytest.fixture(scope="module")
def spaces() -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Rows of disjoint texts to fit on, and the same 400 others seen by all three encoders."""
    rng = np.random.default_rng(0)
    n, held = 1500, 400
    content = topics(3 * n + held, 32, rng)
    seen = {name: encode(content, d, rng) for name, d in WIDTHS.items()}
    parts = {name: z[i * n : (i + 1) * n] for i, (name, z) in enumerate(seen.items())}
    return parts, {name: z[3 * n :] for name, z in seen.items()}


@pytest.fixture(scope="module")
def together(spaces: tuple[dict[str, Rows], dict[str, Rows]]) -> Together:
    return il.align_spaces(spaces[0], steps=20, **TINY)


@pytest.mark.slow
def test_there_is_an_alignment_for_every_two_spaces(together: Together) -> None:
    assert list(together) == [("wide", "narrow"), ("wide", "middle"), ("narrow", "middle")]
    for (a, b), alignment in together.items():
        assert (alignment.source["name"], alignment.target["name"]) == (a, b)
        assert alignment.verdict.status == "aligned", alignment.verdict.reasons


@pytest.mark.slow
def test_every_direction_finds_its_texts(
    together: Together, spaces: tuple[dict[str, Rows], dict[str, Rows]], tmp_path: Path
) -> None:
    translator = il.load(together["wide", "middle"].translator().save(tmp_path / "t"))
    assert isinstance(translator, NeuralTranslator)
    for a, b in permutations(WIDTHS, 2):
        found = translator.between(spaces[1][a], a, b)
        assert (match_ranks(found, spaces[1][b])[0] == 1).mean() > 0.9
        if (a, b) in together:
            assert np.array_equal(found, together[a, b].translator().translate(spaces[1][a]))


def test_two_spaces_come_out_as_from_align(spaces: tuple[dict[str, Rows], dict[str, Rows]]) -> None:
    x, y = spaces[0]["wide"][:300], spaces[0]["narrow"][:300]
    settings: dict[str, Any] = {"start": "cold", "steps": 10, **TINY}
    one = il.align(x, y, method="adversarial", **settings)
    two = il.align_spaces({"a": x, "b": y}, **settings)["a", "b"]
    assert np.array_equal(one.forward(x), two.forward(x))
    assert one.verdict == two.verdict


@pytest.mark.slow
def test_a_space_of_something_else_fails_and_does_not_take_the_others_along(
    spaces: tuple[dict[str, Rows], dict[str, Rows]],
) -> None:
    noise = np.random.default_rng(1).standard_normal((1500, 36)).astype(np.float32)
    together = il.align_spaces(
        {"wide": spaces[0]["wide"], "narrow": spaces[0]["narrow"], "noise": noise}, steps=20, **TINY
    )
    assert {pair: str(a.verdict.status) for pair, a in together.items()} == {
        ("wide", "narrow"): "aligned",
        ("wide", "noise"): "failed",
        ("narrow", "noise"): "failed",
    }


@pytest.mark.parametrize(
    ("keep", "rows", "settings", "message"),
    [
        (1, 1500, {}, "At least 2 spaces are needed, as {name: vectors}, but only one was given"),
        (2, 1500, {"method": "linear"}, "align_spaces has no method to choose; it trains the networks of adversarial"),
        (3, 50, {}, "wide has 50 rows; without pairs at least 100 are needed.* or leave this space out"),
        (3, 150, {"max_rows": 5}, "max_rows draws 5 of the 150 rows of wide; without pairs at least 100 are needed"),
        (3, 1500, {"preset": "huge"}, "preset is 'huge'"),
        (3, 1500, {"seed": -1}, "seed is -1"),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_work(
    keep: int, rows: int, settings: dict[str, Any], message: str, spaces: tuple[dict[str, Rows], dict[str, Rows]]
) -> None:
    with pytest.raises(InputError, match=message):
        il.align_spaces({name: z[:rows] for name, z in list(spaces[0].items())[:keep]}, **settings)


def test_rows_that_are_left_out_of_a_space_are_counted_in_the_trace(
    spaces: tuple[dict[str, Rows], dict[str, Rows]],
) -> None:
    x, y = spaces[0]["wide"][:300].copy(), spaces[0]["narrow"][:300]
    x[5] = np.nan
    fit = il.align_spaces({"a": x, "b": y}, skip_bad=True, start="cold", steps=2, **TINY)["a", "b"]
    steps = [step for step in fit.trace if step["step"] == "unusable rows"]
    assert steps == [{"step": "unusable rows", "side": "a", "rows": 1, "of": 300}]
