"""Planted problems: the same texts seen by two encoders that are known exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

Rows = npt.NDArray[np.float32]


def rotation(d_in: int, d_out: int, rng: np.random.Generator) -> Rows:
    """A random matrix [d_in, d_out] with orthonormal rows, or orthonormal columns where it narrows."""
    tall = np.linalg.qr(rng.standard_normal((max(d_in, d_out), min(d_in, d_out))))[0]
    return np.asarray(tall if d_in >= d_out else tall.T, np.float32)


def topics(n: int, k: int, rng: np.random.Generator, *, decay: float = 0.3) -> Rows:
    """Unit rows [n, k]: few topics a text, some topics more frequent than others, some that go together."""
    weights = rng.gamma(0.15, size=(n, k)) * np.geomspace(1, decay, k)
    mixed = weights @ (np.eye(k) + (rng.random((k, k)) < 0.15) * rng.random((k, k)))
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def groups(n: int, k: int, rng: np.random.Generator) -> Rows:
    """Unit rows [n, k] of sixteen groups of unequal shares, skewed inside each; a few hundred are enough for a fit."""
    centers = rng.standard_normal((16, k)) * np.geomspace(1.5, 1, k)
    chosen = rng.choice(16, n, p=rng.dirichlet(np.full(16, 8.0)))
    rows = centers[chosen] + 1.5 * rng.gamma(0.3, size=(n, k))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def around_a_path(n: int, rng: np.random.Generator) -> Rows:
    """Skewed content [n, 6] around a path that swings along each direction faster than along the last."""
    along, j = rng.random((n, 1)), np.arange(1, 6)
    path = np.hstack([0.2 + 1.6 * along, 0.8 * np.cos(np.pi * j * along) / np.sqrt(j)])
    return path + 0.2 * (rng.exponential(size=(n, 6)) - 1) * np.hstack([0.3, 1 / np.sqrt(j)])  # type: ignore[no-any-return]


def encode(content: Rows, d: int, rng: np.random.Generator, *, noise: float = 0.05) -> Rows:
    """Embed content [n, k] in [n, d] isometrically, then add noise of the given length."""
    rows = content @ rotation(content.shape[1], d, rng)
    return np.asarray(rows + noise / np.sqrt(d) * rng.standard_normal(rows.shape), np.float32)


def spaces_with_views(n: int, m: int) -> dict[str, Rows]:
    """Embed n texts as ``source``, and m others by three noisy models as ``target``, ``first`` and ``second``."""
    rng = np.random.default_rng(0)
    content = topics(n + m, 10, rng)
    source = encode(content, 14, rng, noise=0.2)[:n]
    target, first, second = (encode(content, d, rng, noise=0.4)[n:] for d in (12, 16, 9))
    return {"source": source, "target": target, "first": first, "second": second}


def unpaired(widths: Mapping[str, int], rng: np.random.Generator) -> dict[str, Rows]:
    """Embed disjoint rows of one content, 300 in all, in a space of each name and width."""
    content = topics(300, 6, rng)
    return {name: encode(content, d, rng)[k :: len(widths)] for k, (name, d) in enumerate(widths.items())}


def draw_few_null_maps(patch: pytest.MonkeyPatch) -> None:
    """Let the null of a fit rest on few maps, which take most of a short fit, where the verdict is not the claim."""
    patch.setattr("interlingua.aligners.null._COUNT", 2)
    patch.setattr("interlingua.aligners.null._MORE", 1)


@dataclass(frozen=True)
class Problem:
    """Two samples of other texts, and a third that both encoders saw."""

    source: Rows
    target: Rows
    source_eval: Rows
    target_eval: Rows


def problem(n: int, widths: tuple[int, int], k: int, seed: int, *, held_out: int = 500) -> Problem:
    rng = np.random.default_rng(seed)
    content = topics(2 * n + held_out, k, rng)
    source, target = (encode(content, d, rng) for d in widths)
    return Problem(source[:n], target[n : 2 * n], source[2 * n :], target[2 * n :])


def small_problem(n: int = 400, widths: tuple[int, int] = (16, 12), *, seed: int = 3, held_out: int = 300) -> Problem:
    """A problem of groups in ten directions, for what holds for every fit that succeeds."""
    rng = np.random.default_rng(seed)
    content = groups(2 * n + held_out, 10, rng)
    source, target = (encode(content, d, rng, noise=0.005) for d in widths)
    return Problem(source[:n], target[n : 2 * n], source[2 * n :], target[2 * n :])
