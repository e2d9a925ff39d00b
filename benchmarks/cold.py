"""Where cold starts on real text fail: short runs of small networks, one JSON line for each, appended and resumed.

    python benchmarks/cold.py signal|climbs|variants|basin --vectors DIR

``--vectors`` holds CORPUS.ENCODER.npy, the same texts for every encoder, as ``encode.py`` writes them. Source, target
and held-out rows are disjoint texts. Each side is reduced to its own leading principal axes unless a variant says
otherwise. The truth is the rotation of the held-out pairs; it is used to score runs and to place their starts, and
training never sees it. Agreement is the mean cosine between translations and the truth's.

* ``signal``: how well the direction of descent points at the truth, for discriminators that were trained at a rotation
  and for the optimal transport of a batch, by the distance of this rotation from the truth.
* ``climbs``: rotations alone, without networks, that follow the transport of batches from random rotations, and from
  the own axes of both sides with the best of all reversed axes; which of them scores highest without pairs.
* ``variants``: runs from random networks, each with one change, with their curves.
* ``basin``: runs that start at rotations of a known agreement with the truth.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.linalg import expm, logm
from sklearn.cluster import KMeans

from interlingua.aligners.frames import polar
from interlingua.core.arrays import unit_rows
from interlingua.core.maps import AffineMap
from interlingua.core.networks import Network
from interlingua.neural import losses, nets
from interlingua.neural.aligner import SIDES
from interlingua.neural.batches import Batches
from interlingua.neural.presets import ANNEALED, SMALL
from interlingua.neural.settings import Settings
from interlingua.neural.terms import LossTerm, StepOutputs
from interlingua.neural.trainer import Trainer

Rows = np.ndarray[Any, Any]
CORPUS, HELD, STEPS, CHECKS = "beir-queries", 2048, 300, 6
# One encoder on both sides, then two that are close: Model2Vec was distilled from MiniLM.
PAIRS = (("minilm", "minilm"), ("minilm", "model2vec"))
AXES = 32
# Positions on the geodesic from the truth (0) to a random rotation (1).
POSITIONS = (1.0, 0.75, 0.6, 0.35)
CLUSTERS, TILT_EVERY = 24, 50
SHORT: dict[str, Any] = {"steps": STEPS, "check_every": STEPS // CHECKS, "log_every": STEPS, "mirrors": 0}
TRANSPORT: dict[str, Any] = {"adversarial": 0.0, "latent_adversarial": 0.0, "instance_noise": 0.0}


@dataclass(frozen=True)
class Run:
    """One run: a pair of encoders, a variant and its changes."""

    suite: str
    pair: tuple[str, str]
    name: str
    seed: int
    changes: dict[str, Any] = field(default_factory=dict)
    base: Settings = ANNEALED
    axes: int | None = AXES
    whiten: float = 0.0
    tilts: bool = False
    transport: bool = False
    position: float | None = None
    identity: bool = False

    @property
    def key(self) -> str:
        """Return the identifier of this run in the records."""
        return f"{self.suite}/{' -> '.join(self.pair)}/{self.name}/{self.position or ''}/{self.seed}"


def runs(suite: str, seeds: range) -> Iterator[Run]:
    """Yield the runs of a suite."""
    for seed, pair in product(seeds, PAIRS[::-1]):
        if suite == "basin":
            for position in POSITIONS[1:]:
                yield Run(suite, pair, "discriminators", seed, position=position)
                yield Run(suite, pair, "transport", seed, TRANSPORT, transport=True, position=position)
            continue
        pull: dict[str, Any] = {"changes": TRANSPORT, "transport": True}
        yield Run(suite, pair, "annealed", seed)
        yield Run(suite, pair, "transport", seed, **pull)
        yield Run(suite, pair, "transport, tilted batches", seed, **pull, tilts=True)
        yield Run(suite, pair, "annealed, whitened", seed, whiten=1.0)
        yield Run(suite, pair, "annealed, discriminators 4 times as fast", seed, {"discriminator_lr": 4e-3})
        yield Run(suite, pair, "annealed, preservation 10 instead of 60", seed, {"vsp": 10.0})
        yield Run(suite, pair, "annealed, tilted batches", seed, tilts=True)
        yield Run(suite, pair, "annealed, batch of 1,024", seed, {"batch": 1024})
        yield Run(suite, pair, "annealed, discriminators 4 times as slow", seed, {"discriminator_lr": 2.5e-4})
        yield Run(suite, pair, "annealed, least squares", seed, {"adversarial_loss": "least-squares"})
        yield Run(suite, pair, "transport, whitened", seed, **pull, whiten=1.0)
        yield Run(suite, pair, "transport, from the own axes of both sides", seed, **pull, identity=True)
        yield Run(suite, pair, "annealed, full width", seed, axes=None)
        yield Run(suite, pair, "released losses, full width", seed, base=SMALL, axes=None)


class Tilted(Batches):
    """Batches with other proportions of the clusters of each side, drawn anew every few steps."""

    def __init__(self, vectors: dict[str, Rows], size: int, seed: int) -> None:
        super().__init__(vectors, size, seed)
        self._clusters = [
            KMeans(CLUSTERS, n_init=1, max_iter=20, random_state=seed).fit_predict(unit_rows(rows))
            for rows in vectors.values()
        ]

    def _rows(self, space: int, step: int) -> Rows:
        weights = np.random.default_rng([self._seed, space, 1, step // TILT_EVERY]).exponential(size=CLUSTERS)
        odds = weights[self._clusters[space]]
        rng = np.random.default_rng([self._seed, space, 2, step])
        return unit_rows(self._vectors[space][rng.choice(len(odds), self._size, p=odds / odds.sum())])


class Pair:
    """The rows of two encoders in the coordinates of a run, and the rotation of the held-out pairs between them."""

    def __init__(self, folder: Path, run: Run) -> None:
        sides = [np.load(folder / f"{CORPUS}.{encoder}.npy").astype(np.float32) for encoder in run.pair]
        order = np.random.default_rng(run.seed).permutation(len(sides[0]))
        half = (len(order) - HELD) // 2
        parts = order[HELD : HELD + half], order[HELD + half : HELD + 2 * half]
        reduced = [
            coordinates(side[part], side[order[:HELD]], run.axes, run.whiten)
            for side, part in zip(sides, parts, strict=True)
        ]
        (self.x, self.x_held), (self.y, self.y_held) = reduced
        self.truth = polar(self.x_held.T @ self.y_held)
        self.similarity_of_truth = similarity(unit_rows(self.x_held @ self.truth), self.y_held)

    def scores(self, forward: Rows, backward: Rows) -> dict[str, float]:
        """Return how right translations of the held-out rows are, and the label-free similarity of their transport."""
        agreement = (unit_rows(self.x_held @ self.truth) * forward).sum(axis=1).mean()
        tops = (hits(forward, self.y_held), hits(backward, self.x_held))
        return {
            "agreement": float(agreement),
            "top1": min(tops),
            "similarity": similarity(forward, self.y_held),
        }


def coordinates(rows: Rows, held: Rows, axes: int | None, whiten: float) -> tuple[Rows, Rows]:
    """Return fitted and held-out unit rows in the leading principal axes of the former, or as they are."""
    if axes is None:
        return unit_rows(rows), unit_rows(held)
    mean = unit_rows(rows).mean(axis=0)
    centered, held_centered = (unit_rows(unit_rows(z) - mean) for z in (rows, held))
    _, spreads, directions = np.linalg.svd(centered, full_matrices=False)
    basis = directions[:axes].T * (spreads[:axes] / spreads[0]) ** -whiten
    return unit_rows(centered @ basis), unit_rows(held_centered @ basis)


def hits(translated: Rows, truth: Rows) -> float:
    """Return the share of translations that are nearest to their own row."""
    return float(((translated @ truth.T).argmax(axis=1) == np.arange(len(truth))).mean())


def similarity(translated: Rows, truth: Rows, rows: int = HELD // 2) -> float:
    """Return the mean cosine under the entropic transport between other texts: no pair takes part."""
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


def transport_term(steps: int) -> LossTerm:
    """Return a loss term: the distance of translations under the transport of the batch, with a falling temperature."""
    taken = iter(range(10 * steps))

    def compute(step: StepOutputs) -> torch.Tensor:
        temperature = 0.3 * (0.05 / 0.3) ** min(1.0, next(taken) / (0.6 * steps))
        values = []
        for (_, k), translated in step.translations.items():
            cosines = translated @ step.rows[k].T
            coupling = transport(cosines.detach(), temperature, 5)
            values.append(1 - (coupling * cosines).sum())
        return torch.stack(values).mean()

    return LossTerm("transport", compute, weight=20.0)


def train(run: Run, folder: Path) -> dict[str, Any]:
    """Train from random networks, or from a rotation, and return the curve."""
    pair = Pair(folder, run)
    sides = dict(zip(SIDES, (pair.x, pair.y), strict=True))
    settings = run.base.changed(**SHORT | ({"latent": run.axes} if run.axes else {}) | run.changes)
    began, curve = time.process_time(), []

    def record(network: Network) -> dict[str, float]:
        forward = unit_rows(network.translate(pair.x_held, *SIDES))
        curve.append(pair.scores(forward, unit_rows(network.translate(pair.y_held, *SIDES[::-1]))))
        return {"score": 0.0}

    maps = None
    if run.identity or run.position is not None:
        start = np.eye(AXES) if run.identity else between(pair.truth, run.seed, run.position or 0.0)
        zero = np.zeros(AXES, np.float32)
        both = (np.asarray(m, np.float32) for m in (start, start.T))
        maps = {SIDES[0]: tuple(AffineMap(zero, np.ascontiguousarray(m), zero) for m in both)}
    trainer = Trainer.prepare(
        sides, settings, seed=run.seed, selection=record, maps=maps,
        extra_terms=[transport_term(settings.steps)] if run.transport else [],
    )  # fmt: skip
    if run.tilts:
        trainer._batches = Tilted(sides, settings.batch, run.seed)
    trainer.run()
    return {
        "key": run.key, "n": [len(pair.x), len(pair.y)], "d": [pair.x.shape[1], pair.y.shape[1]], "pool": HELD,
        "steps": settings.steps, "every": settings.check_every, "similarity_of_truth": pair.similarity_of_truth,
        "curve": curve,
        "processor_seconds": time.process_time() - began,
    }  # fmt: skip


def between(truth: Rows, seed: int, position: float) -> Rows:
    """Return the rotation at a position on the geodesic from the truth to a random rotation."""
    random = np.linalg.qr(np.random.default_rng(seed).standard_normal(truth.shape))[0]
    if np.linalg.det(random) * np.linalg.det(truth) < 0:
        random[:, 0] *= -1
    return np.asarray(truth @ np.real(expm(position * np.real(logm(truth.T @ random)))))


def signal(folder: Path, encoders: tuple[str, str], axes: int, position: float, seed: int) -> dict[str, Any]:
    """Return the cosine between the direction of descent at a rotation and the geodesic to the truth."""
    pair = Pair(folder, Run("signal", encoders, "", seed, axes=axes))
    rotation = between(pair.truth, seed, position)
    geodesic = np.real(logm(rotation.T @ pair.truth))
    translated = unit_rows(pair.x @ rotation.astype(np.float32))
    agreement = (unit_rows(pair.x_held @ rotation) * unit_rows(pair.x_held @ pair.truth)).sum(axis=1).mean()
    record: dict[str, Any] = {"agreement": float(agreement), "discriminator": {}, "accuracy": {}, "transport": {}}
    for noise in (0.5, 0.1):
        accuracy, gradient = descent_of_discriminator(translated, pair.y, seed, noise)
        record["accuracy"][noise] = accuracy
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
    """Train a discriminator on 80 % of the rows; return its accuracy on the others, and its pull on each of them."""
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
    pair = Pair(folder, Run("climbs", encoders, "", seed, axes=axes))
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
    parser.add_argument("suite", choices=("signal", "climbs", "variants", "basin"))
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--seeds", default="0:1", help="first:last")
    parser.add_argument("--only", default="", help="only runs whose key contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out = Path(__file__).parent / "results" / f"neural-cold-{arguments.suite}.jsonl"
    done = {json.loads(line)["key"] for line in out.read_text().splitlines()} if out.exists() else set()
    seeds = range(*map(int, arguments.seeds.split(":")))
    todo: dict[str, Callable[[], dict[str, Any]]]
    if arguments.suite == "signal":
        cells = product(seeds, PAIRS, (12, AXES), POSITIONS)
        todo = {f"signal/{' -> '.join(p)}/{k}/{t}/{s}": (lambda c=(p, k, t, s): signal(arguments.vectors, *c))
                for s, p, k, t in cells}  # fmt: skip
    elif arguments.suite == "climbs":
        cells = product(seeds, PAIRS, (24, 64))
        todo = {f"climbs/{' -> '.join(p)}/{k}/{s}": (lambda c=(p, k, s): climbs(arguments.vectors, *c))
                for s, p, k in cells}  # fmt: skip
    else:
        todo = {run.key: (lambda run=run: train(run, arguments.vectors)) for run in runs(arguments.suite, seeds)}
    for key, work in todo.items():
        if key not in done and arguments.only in key:
            record = {"key": key, **work()}
            with out.open("a") as stream:
                stream.write(json.dumps(record) + "\n")
            sys.stderr.write(f"{key}: {json.dumps(record.get('curve', [record])[-1])[:300]}\n")


if __name__ == "__main__":
    main()
