"""A rotation found against one discriminator, as published for word embeddings: the step before vec2vec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from interlingua.aligners.base import Fit, OnStep, Problem, ignore_step, refuse_pairs, single_step
from interlingua.aligners.frames import affine_maps, polar
from interlingua.aligners.refine import csls, mutual_neighbors
from interlingua.core.arrays import FloatArray, require

_JUDGED = 2_000


@dataclass(frozen=True)
class AdversarialRotation:
    """One linear map against one discriminator, then rounds of Procrustes on mutual nearest rows.

    After Conneau et al., "Word translation without parallel data" (ICLR 2018), from the paper alone. Its epochs have a
    million rows; ``epoch_rows`` makes them fit a CPU. As there, the map of the best epoch is kept by the mean
    CSLS cosine of translations, which needs no pairs.

    Attributes:
        epochs: rounds of training.
        epoch_rows: rows of each side in a round.
        batch: rows a side and step.
        critic_steps: steps of the discriminator for one of the map.
        critic_width: units of its two hidden layers.
        input_dropout: share of its input that it does not see.
        smoothing: of its labels.
        lr: learning rate of both, by plain gradient descent.
        decay: of the learning rate, a round.
        orthogonality: how hard the map is pulled back to a rotation in each step (beta).
        refinements: rounds of Procrustes.
    """

    epochs: int = 5
    epoch_rows: int = 100_000
    batch: int = 32
    critic_steps: int = 5
    critic_width: int = 2_048
    input_dropout: float = 0.1
    smoothing: float = 0.1
    lr: float = 0.1
    decay: float = 0.95
    orthogonality: float = 0.01
    refinements: int = 5

    name: ClassVar[str] = "adversarial-rotation"

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Raises:
            InputError: pairs were given.
            MissingExtraError: torch is not installed.
        """
        refuse_pairs(problem, self.name)
        frames = problem.frames
        x, y = (frame.rows for frame in frames)
        matrix, judged = self._train(x, y, seed)
        rng = np.random.default_rng(seed)
        for _ in range(self.refinements):
            a, b = (z[rng.permutation(len(z))[:20_000]] for z in (x, y))
            matrix = polar(a.T @ (mutual_neighbors(a @ matrix, b, 1) @ b))
        return single_step(self.name, affine_maps(*frames, matrix), {"csls": judged}, on_step)

    def _train(self, x: FloatArray, y: FloatArray, seed: int) -> tuple[FloatArray, list[float]]:
        torch = require("torch", "neural")
        nn = torch.nn
        rng = np.random.default_rng(seed)
        draws = torch.Generator().manual_seed(seed)
        width = y.shape[1]
        critic = nn.Sequential(
            *(nn.Linear(width, self.critic_width), nn.LeakyReLU(0.2)),
            *(nn.Linear(self.critic_width, self.critic_width), nn.LeakyReLU(0.2)),
            nn.Linear(self.critic_width, 1),
        )
        for parameter in critic.parameters():
            reach = 1 / np.sqrt(width if parameter.shape[-1] == width else self.critic_width)
            nn.init.uniform_(parameter, -reach, reach, generator=draws)
        w = torch.eye(x.shape[1], width).requires_grad_()
        labels = torch.cat([torch.full((self.batch, 1), p) for p in (1 - self.smoothing, self.smoothing)])
        loss = nn.BCEWithLogitsLoss()

        def judged(matrix: Any) -> Any:
            """Return what the discriminator says of translated and of real rows, parts of which it does not see."""
            a, b = (torch.from_numpy(z[rng.integers(len(z), size=self.batch)]) for z in (x, y))
            rows = torch.cat([a @ matrix, b])
            seen = torch.rand(rows.shape, generator=draws) >= self.input_dropout
            return critic(rows * seen / (1 - self.input_dropout))

        best, scores = (-np.inf, w.detach().numpy().copy()), []
        for epoch in range(self.epochs):
            lr = self.lr * self.decay**epoch
            critics, maps = (torch.optim.SGD(p, lr) for p in (critic.parameters(), [w]))
            for _ in range(self.epoch_rows // self.batch):
                for _ in range(self.critic_steps):
                    critics.zero_grad()
                    loss(judged(w.detach()), labels).backward()
                    critics.step()
                maps.zero_grad()
                loss(judged(w), 1 - labels).backward()
                maps.step()
                self._pull_back(w.data)
            scores.append(_mean_csls(x, y, w.detach().numpy()))
            if scores[-1] > best[0]:
                best = scores[-1], w.detach().numpy().copy()
        return polar(best[1]), scores

    def _pull_back(self, w: Any) -> None:
        # Rows of a narrow map and columns of a wide one can be orthonormal, not both.
        gram = w @ (w.T @ w) if w.shape[0] >= w.shape[1] else (w @ w.T) @ w
        w.mul_(1 + self.orthogonality).sub_(gram, alpha=self.orthogonality)


def _mean_csls(x: FloatArray, y: FloatArray, matrix: FloatArray) -> float:
    return float(csls(x[:_JUDGED] @ matrix, y[:_JUDGED]).max(axis=1).mean())
