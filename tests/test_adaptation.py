"""Domain adaptation of translations: when it improves labels, and when it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.leakage.adaptation import adapt
from interlingua.leakage.attributes import label_scores
from interlingua.leakage.centering import collection_mean

D, L, N = 48, 6, 800


class World:
    """Documents about one of six topics, other texts of their kind, and a map that is off where they lie."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.labels = rng.standard_normal((L, D))
        self.topic = rng.integers(L, size=2 * N)
        # A few directions tell texts of one topic apart, as they do in real spaces.
        spread = 3 * np.arange(1, D + 1) ** -0.5
        place = 3 * rng.standard_normal(D)
        known = self.labels[self.topic] + rng.standard_normal((2 * N, D)) * spread + place
        # The victim's encoder says a little less than the known one.
        secret = np.linalg.qr(rng.standard_normal((D, D)))[0]
        self.victim = unit_rows((known[:N] + 0.5 * rng.standard_normal((N, D))) @ secret)
        self.public = unit_rows(known[N:])
        self.known = unit_rows(known[:N])
        error = np.linalg.qr(np.eye(D) + 0.2 * rng.standard_normal((D, D)))
        wrong = error[0] * np.sign(np.diag(error[1]))
        self.translated = self.victim @ secret.T @ wrong + 0.3 * rng.standard_normal(D) / np.sqrt(D)

    def right(self, vectors: Any) -> float:
        return float(
            (label_scores(vectors, self.labels, mean=collection_mean(vectors)).argmax(axis=1) == self.topic[:N]).mean()
        )


@pytest.fixture(scope="module")
def world() -> World:
    return World(np.random.default_rng(1))


def test_labels_come_out_nearly_as_from_the_true_vectors(world: World) -> None:
    found = adapt(world.victim, world.translated, world.public)
    assert found.shape == world.known.shape
    assert found.dtype == np.float32
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert world.right(found) > world.right(world.translated) + 0.08
    assert world.right(found) > 0.95 * world.right(world.known)


def test_a_wrong_translation_teaches_nothing(world: World) -> None:
    rng = np.random.default_rng(0)
    chance = [
        world.right(adapt(world.victim, world.translated[rng.permutation(N)], world.public)),
        world.right(adapt(world.victim, rng.standard_normal((N, D)), world.public)),
    ]
    assert max(chance) < 1 / L + 0.15


def test_neither_order_matters(world: World) -> None:
    rng = np.random.default_rng(1)
    rows, others = rng.permutation(N), rng.permutation(N)
    first = adapt(world.victim, world.translated, world.public)
    second = adapt(world.victim[rows], world.translated[rows], world.public[others])
    assert second == pytest.approx(first[rows], abs=1e-4)


def test_of_many_public_texts_a_sample_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlingua.leakage.adaptation._MAX_PUBLIC", 300)
    first, again, other = (adapt(world.victim, world.translated, world.public, seed=s) for s in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    assert world.right(first) > world.right(world.translated)


def test_spaces_of_two_widths(world: World) -> None:
    narrow = world.victim[:, :40]
    assert adapt(narrow, world.translated, world.public).shape == (N, D)


def test_what_it_refuses(world: World) -> None:
    with pytest.raises(InputError, match="There are 799 translations for 800 documents; there must be one for each"):
        adapt(world.victim, world.translated[1:], world.public)
    with pytest.raises(InputError, match="There are 99 documents; at least 100 are needed"):
        adapt(world.victim[:99], world.translated[:99], world.public)
    with pytest.raises(InputError, match="There are 50 public texts; at least 100 are needed"):
        adapt(world.victim, world.translated, world.public[:50])
    with pytest.raises(InputError, match="the public texts"):
        adapt(world.victim, world.translated, world.public[:, :20])
