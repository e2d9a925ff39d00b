"""Why cold starts on real text fail: two studies of rotations, one JSON line for each case, appended and resumed.

    python benchmarks/cold.py signal|climbs --vectors DIR

``--vectors`` holds CORPUS.ENCODER.npy, the same texts for every encoder, as ``encode.py`` writes them. Source, target
and held-out rows are disjoint texts. Each side is reduced to its own leading principal axes. The truth is the rotation
of the held-out pairs; it is used to score rotations and to place them, and no search sees it. Agreement is the mean
cosine between translations and the truth's.

* ``signal``: how well the direction of descent points at the truth, for discriminators that were trained at a rotation
  and for the optimal transport of a batch, by the distance of this rotation from the truth.
* ``climbs``: rotations alone, without networks, that follow the transport of batches from random rotations, and from
  the principal axes of each side, with random signs that are then improved one after the other; which of them scores
  highest without pairs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from records import append, read_records, seed_range
from scipy.linalg import expm, logm

from interlingua.aligners.frames import polar
from interlingua.core.arrays import unit_rows
from interlingua.evaluation.metrics import match_ranks
from interlingua.neural import losses, nets
from interlingua.neural.presets import ANNEALED

Rows = np.ndarray[Any, Any]
CORPUS, HELD = "beir-queries", 2048
# One encoder on both sides, then two that are close: Model2Vec was distilled from MiniLM.
PAIRS = (("minilm", "minilm"), ("minilm", "model2vec"))
AXES = 32
# Positions on the geodesic from the truth (0) to a random rotation (1).
POSITIONS = (1.0, 0.75, 0.6, 0.35)


class Pair:
    """The rows of two encoders in their leading principal axes, and the rotation of the held-out pairs between them."""

    def __init__(self, folder: Path, encoders: tuple[str, str], axes: int, seed: int) -> None:
        sides = [np.load(folder / f"{CORPUS}.{encoder}.npy").astype(np.float32) for encoder in encoders]
        order = np.random.default_rng(seed).permutation(len(sides[0]))
        half = (len(order) - HELD) // 2
        parts = order[HELD : HELD + half], order[HELD + half : HELD + 2 * half]
        reduced = [coordinates(side[part], side[order[:HELD]], axes) for side, part in zip(sides, parts, strict=True)]
        (self.x, self.x_held), (self.y, self.y_held) = reduced
        self.truth = polar(self.x_held.T @ self.y_held)

    def scores(self, forward: Rows, backward: Rows) -> dict[str, float]:
        """Return how right translations of the held-out rows are, and the label-free similarity of their transport."""
        agreement = (unit_rows(self.x_held @ self.truth) * forward).sum(axis=1).mean()
        tops = (hits(forward, self.y_held), hits(backward, self.x_held))
        return {
            "agreement": float(agreement),
            "top1": min(tops),
            "similarity": similarity(forward, self.y_held),
        }


def coordinates(rows: Rows, held: Rows, axes: int) -> tuple[Rows, Rows]:
    """Return fitted and held-out unit rows in the leading principal axes of the former."""
    mean = unit_rows(rows).mean(axis=0)
    centered, held_centered = (unit_rows(unit_rows(z) - mean) for z in (rows, held))
    basis = np.linalg.svd(centered, full_matrices=False)[2][:axes].T
    return unit_rows(centered @ basis), unit_rows(held_centered @ basis)


def hits(translated: Rows, truth: Rows) -> float:
    """Return the share of translations that are nearest to their own row."""
    return float((match_ranks(translated, truth)[0] == 1).mean())


def similarity(translated: Rows, truth: Rows, rows: int = HELD // 2) -> float:
    """Return the mean cosine under the entropic transport between other texts: no pair takes part."""
    # `interlingua.aligners.refine.transport_similarity` takes fewer iterations and differs in the fourth digit, which
    # the tables show.
    cosines = translated[:rows] @ truth[-rows:].T
    coupling = transport(torch.as_tensor(cosines), 0.05, 15).numpy()
    return float((cosines * coupling).sum())


def transport(cosines: torch.Tensor, temperature: float, rounds: int) -> torch.Tensor:
    """Return the coupling [n, m] of Sinkhorn's iterations, with a sum of 1."""
    coupling = torch.exp((cosines - cosines.max()) / temperature)
    for _ in range(rounds):
        coupling = coupling / coupling.sum(dim=1, keepdim=True)
        coupling = coupling / coupling.sum(dim=0, keepdim=True)
    return coupling / coupling.sum()


def between(truth: Rows, seed: int, position: float) -> Rows:
    """Return the rotation at a position on the geodesic from the truth to a random rotation."""
    random = np.linalg.qr(np.random.default_rng(seed).standard_normal(truth.shape))[0]
    if np.linalg.det(random) * np.linalg.det(truth) < 0:
        random[:, 0] *= -1
    return np.asarray(truth @ np.real(expm(position * np.real(logm(truth.T @ random)))))


def signal(folder: Path, encoders: tuple[str, str], axes: int, position: float, seed: int) -> dict[str, Any]:
    """Return the cosine between the direction of descent at a rotation and the geodesic to the truth."""
    pair = Pair(folder, encoders, axes, seed)
    rotation = between(pair.truth, seed, position)
    geodesic = np.real(logm(rotation.T @ pair.truth))
    translated = unit_rows(pair.x @ rotation.astype(np.float32))
    agreement = (unit_rows(pair.x_held @ rotation) * unit_rows(pair.x_held @ pair.truth)).sum(axis=1).mean()
    record: dict[str, Any] = {"agreement": float(agreement), "discriminator": {}, "accuracy": {}, "transport": {}}
    for noise in (0.5, 0.1):
        record["accuracy"][noise], gradient = descent_of_discriminator(translated, pair.y, seed, noise)
        record["discriminator"][noise] = alignment(pair.x[: len(gradient)].T @ gradient, rotation, geodesic)
    for temperature in (0.3, 0.1, 0.05):
        a, b = (torch.as_tensor(z[:800]) for z in (translated, pair.y))
        pulled = (transport(a @ b.T, temperature, 20) @ b).numpy()
        record["transport"][temperature] = alignment(pair.x[:800].T @ pulled, rotation, geodesic)
    return record


def alignment(descent: Rows, rotation: Rows, geodesic: Rows) -> float:
    """Return the cosine between a descent direction, as a turn of the rotation, and the turn to the truth."""
    turn = rotation.T @ descent
    turn = (turn - turn.T) / 2
    return float((turn * geodesic).sum() / np.linalg.norm(turn) / np.linalg.norm(geodesic))


def descent_of_discriminator(fake: Rows, real: Rows, seed: int, noise: float) -> tuple[float, Rows]:
    """Train a discriminator on 80% of the rows; return how well it ranks the others, and its pull on each of them.

    Ranking is the share of random pairs of a real and a translated row in which the output at the translated one is
    higher; chance is 0.5.
    """
    generator = torch.Generator().manual_seed(seed)
    net = nets.Discriminator(fake.shape[1], ANNEALED.changed(discriminator_width=96))
    nets.build([net], seed)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.999))
    sides, cut = [torch.as_tensor(z) for z in (real, fake)], len(fake) * 4 // 5
    length = noise / np.sqrt(fake.shape[1])
    for _ in range(120):
        drawn = [z[torch.randint(0, cut, (512,), generator=generator)] for z in sides]
        outputs = [net(z + length * torch.randn(z.shape, generator=generator)) for z in drawn]
        loss = losses.discriminator_loss(*outputs, ANNEALED.adversarial_loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    moved = sides[1][cut:].clone().requires_grad_()
    at_real, at_fake = (net(z + length * torch.randn(z.shape, generator=generator)) for z in (sides[0][cut:], moved))
    (gradient,) = torch.autograd.grad(losses.generator_loss(at_real, at_fake, ANNEALED.adversarial_loss), moved)
    pull = np.zeros_like(fake)
    pull[cut:] = -gradient.numpy()
    return float((at_fake > at_real).float().mean()), pull


def climb(pair: Pair, rotation: Rows, temperatures: Rows, rng: np.random.Generator, batch: int = 300) -> Rows:
    """Return the rotation after one step for each temperature: the polar factor of the transport of a batch."""
    for temperature in temperatures:
        a, b = (z[rng.integers(0, len(z), batch)] for z in (pair.x, pair.y))
        coupling = transport(torch.as_tensor(a @ rotation @ b.T), float(temperature), 8).numpy()
        rotation = polar(a.T @ (coupling @ b)).astype(np.float32)
    return rotation


def climbs(folder: Path, encoders: tuple[str, str], axes: int, seed: int) -> dict[str, Any]:
    """Climb from random rotations, and search the signs of the own axes one after the other."""
    pair = Pair(folder, encoders, axes, seed)
    rng = np.random.default_rng(seed)

    def scored(rotation: Rows) -> dict[str, float]:
        both = (unit_rows(z) for z in (pair.x_held @ rotation, pair.y_held @ rotation.T))
        return pair.scores(*both)

    def searched(rotation: Rows) -> float:
        return similarity(unit_rows(pair.x_held @ rotation), pair.y_held, 600)

    ends = []
    for _ in range(8):
        start = np.linalg.qr(rng.standard_normal((axes, axes)))[0].astype(np.float32)
        ends.append(scored(climb(pair, start, np.geomspace(0.3, 0.05, 40), rng)))
    signs = []
    for _ in range(2 if axes <= 24 else 0):
        best = np.diag(rng.choice([-1, 1], axes)).astype(np.float32)
        best_score, passes = searched(best), []
        for number in range(4):
            for axis in rng.permutation(axes):
                moved = best.copy()
                moved[:, axis] *= -1
                # The first pass only reverses axes, as mirrored copies do; later ones also let the rotation move.
                moved = climb(pair, moved, np.geomspace(0.12, 0.05, 10), rng) if number else moved
                if (score := searched(moved)) > best_score:
                    best, best_score = moved, score
            passes.append(scored(best))
        signs.append(passes)
    after = scored(climb(pair, pair.truth.astype(np.float32), np.full(12, 0.05), rng, batch=1000))
    return {"truth": scored(pair.truth), "after_truth": after, "random": ends, "signs": signs}


def main() -> None:
    """Run a suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=("signal", "climbs"))
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--seeds", type=seed_range, default="0:1", help="first:last")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out = Path(__file__).parent / "results" / f"neural-cold-{arguments.suite}.jsonl"
    done = {record["key"] for record in read_records(out)}
    todo: dict[str, Callable[[], dict[str, Any]]]
    if arguments.suite == "signal":
        cells = product(arguments.seeds, PAIRS, (12, AXES), POSITIONS)
        todo = {f"signal/{' -> '.join(p)}/{k}/{t}/{s}": (lambda c=(p, k, t, s): signal(arguments.vectors, *c))
                for s, p, k, t in cells}  # fmt: skip
    else:
        cells = product(arguments.seeds, PAIRS, (24, 64))
        todo = {f"climbs/{' -> '.join(p)}/{k}/{s}": (lambda c=(p, k, s): climbs(arguments.vectors, *c))
                for s, p, k in cells}  # fmt: skip
    for key, work in todo.items():
        if key not in done and arguments.only in key:
            record = {"key": key, **work()}
            append(out, [record])
            sys.stderr.write(f"{key}: {json.dumps(record)[:300]}\n")


if __name__ == "__main__":
    main()
