"""A rotation trained against one discriminator, as published for word embeddings; the predecessor of vec2vec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from interlingua.aligners.base import Fit, OnStep, Problem, check_no_pairs, ignore_step, single_step_fit
from interlingua.aligners.frames import affine_maps, polar
from interlingua.core.arguments import Bounds, check_settings
from interlingua.core.arrays import FloatArray, require
from interlingua.core.backend import default_torch, limit_torch_threads
from interlingua.core.neighbors import csls, mutual_neighbors

__all__ = ["AdversarialRotation"]

# Rows of each side behind the selection score, and behind each refinement.
_SCORED_ROWS, _REFINED_ROWS = 2_000, 20_000
# Slope of the leaky ReLU for negative inputs, as in DCGAN (Radford, Metz and Chintala, ICLR 2016).
_SLOPE = 0.2
_COUNTS = ("epochs", "epoch_rows", "batch", "discriminator_steps", "discriminator_width")


@dataclass(frozen=True)
class AdversarialRotation:
    """One linear map against one discriminator, then rounds of Procrustes on mutual nearest rows.

    After Conneau et al., "Word translation without parallel data" (ICLR 2018), from the paper alone. Its epochs have a
    million rows; the default of ``epoch_rows`` suits a CPU. As in the paper, the map of the epoch with the largest mean
    CSLS similarity of translations is kept, which needs no pairs.

    Attributes:
        epochs: epochs of training.
        epoch_rows: rows of each side in an epoch.
        batch: rows of each side in a step.
        discriminator_steps: discriminator steps for each step of the map.
        discriminator_width: units of the discriminator's two hidden layers.
        input_dropout: dropout rate on the discriminator's input.
        smoothing: label smoothing of the discriminator's targets.
        lr: initial learning rate of map and discriminator (SGD).
        decay: factor on the learning rate after each epoch.
        orthogonality: strength of the orthogonality update after each step of the map (beta in the paper).
        refinements: rounds of Procrustes on mutual nearest neighbors.
    """

    epochs: int = 5
    epoch_rows: int = 100_000
    batch: int = 32
    discriminator_steps: int = 5
    discriminator_width: int = 2_048
    input_dropout: float = 0.1
    smoothing: float = 0.1
    lr: float = 0.1
    decay: float = 0.95
    orthogonality: float = 0.01
    refinements: int = 5

    name: ClassVar[str] = "adversarial-rotation"
    bounds: ClassVar[Bounds] = {
        **dict.fromkeys(_COUNTS, {"minimum": 1}),
        "input_dropout": {"minimum": 0, "below": 1},
        "smoothing": {"minimum": 0, "below": 0.5},
        "lr": {"above": 0},
        "decay": {"above": 0, "maximum": 1},
        "orthogonality": {"minimum": 0, "maximum": 1},
    }

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Raises:
            InputError: pairs were given.
            MissingExtraError: torch is not installed.
        """
        check_no_pairs(problem, self.name)
        frames = problem.frames
        x, y = (frame.rows for frame in frames)
        matrix, scores = self._train(x, y, seed)
        rng = np.random.default_rng(seed)
        for _ in range(self.refinements):
            a, b = (z[rng.permutation(len(z))[:_REFINED_ROWS]] for z in (x, y))
            matrix = polar(a.T @ (mutual_neighbors(a @ matrix, b, 1, keep=0) @ b))
        return single_step_fit(self.name, affine_maps(*frames, matrix), {"csls": scores}, on_step)

    def _train(self, x: FloatArray, y: FloatArray, seed: int) -> tuple[FloatArray, list[float]]:
        torch = require("torch", "neural")
        limit_torch_threads()
        # The layers draw initial values from torch's global generator before ours replace them.
        with default_torch(), torch.random.fork_rng(devices=[]):
            return self._optimize(torch, x, y, seed)

    def _optimize(self, torch: Any, x: FloatArray, y: FloatArray, seed: int) -> tuple[FloatArray, list[float]]:
        nn = torch.nn
        rng = np.random.default_rng(seed)
        draws = torch.Generator().manual_seed(seed)
        width = y.shape[1]
        discriminator = nn.Sequential(
            *(nn.Linear(width, self.discriminator_width), nn.LeakyReLU(_SLOPE)),
            *(nn.Linear(self.discriminator_width, self.discriminator_width), nn.LeakyReLU(_SLOPE)),
            nn.Linear(self.discriminator_width, 1),
        )
        for parameter in discriminator.parameters():
            bound = 1 / np.sqrt(width if parameter.shape[-1] == width else self.discriminator_width)
            nn.init.uniform_(parameter, -bound, bound, generator=draws)
        w = torch.eye(x.shape[1], width).requires_grad_()
        labels = torch.cat([torch.full((self.batch, 1), p) for p in (1 - self.smoothing, self.smoothing)])
        loss = nn.BCEWithLogitsLoss()

        def logits(matrix: Any) -> Any:
            """Return the discriminator's outputs at a batch of translated and real rows, with input dropout."""
            a, b = (torch.from_numpy(z[rng.integers(len(z), size=self.batch)]) for z in (x, y))
            rows = torch.cat([a @ matrix, b])
            kept = torch.rand(rows.shape, generator=draws) >= self.input_dropout
            return discriminator(rows * kept / (1 - self.input_dropout))

        best, scores = (-np.inf, w.detach().numpy().copy()), []
        for epoch in range(self.epochs):
            lr = self.lr * self.decay**epoch
            optimizer, map_optimizer = (torch.optim.SGD(p, lr) for p in (discriminator.parameters(), [w]))
            for _ in range(self.epoch_rows // self.batch):
                for _ in range(self.discriminator_steps):
                    optimizer.zero_grad()
                    loss(logits(w.detach()), labels).backward()
                    optimizer.step()
                map_optimizer.zero_grad()
                loss(logits(w), 1 - labels).backward()
                map_optimizer.step()
                self._orthogonalize(w.data)
            similarity = csls(x[:_SCORED_ROWS] @ w.detach().numpy(), y[:_SCORED_ROWS])
            scores.append(float(similarity.max(axis=1).mean()))
            if scores[-1] > best[0]:
                best = scores[-1], w.detach().numpy().copy()
        return polar(best[1]), scores

    def _orthogonalize(self, w: Any) -> None:
        """Move a map toward a rotation: ``W <- (1 + beta) W - beta W W^T W``."""
        # Rows of a narrow map and columns of a wide one can be orthonormal, not both.
        gram = w @ (w.T @ w) if w.shape[0] >= w.shape[1] else (w @ w.T) @ w
        w.mul_(1 + self.orthogonality).sub_(gram, alpha=self.orthogonality)
