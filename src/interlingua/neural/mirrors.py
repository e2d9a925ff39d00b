"""Mirrored copies of a network: reflections that gradient descent cannot reach.

Networks that preserve geometry can rotate a space but not reflect it. A start with one principal direction reversed
stays so however long it trains, whereas a reflected copy can still rotate into place. The copies are compared by the
label-free selection score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interlingua.core.arrays import FloatArray
from interlingua.neural.batches import Batches
from interlingua.neural.nets import Gated, Generator

__all__ = ["Comparison", "copies", "mirror", "principal_directions"]

# Directions with a smaller spread than this fraction of the largest are not tried.
_MIN_SPREAD = 0.1
_ROWS = 2000


@dataclass(eq=False)
class Comparison:
    """The comparison of the copies of one network, as far as it has come; a checkpoint keeps it.

    Attributes:
        begin: the state of the network that the copies are made of; empty once the comparison is finished.
        best: the state of the best copy after its steps; empty once the comparison is finished.
        terms: the last loss terms of that copy.
        reports: one for each copy that is done, with its ``score``.
        leader: number of the best copy.
    """

    begin: dict[str, Any]
    best: dict[str, Any] = field(default_factory=dict)
    terms: dict[str, Tensor] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    leader: int = 0

    def add(self, report: Mapping[str, Any], state: Mapping[str, Any], terms: Mapping[str, Tensor]) -> None:
        """Add a copy after its steps: what is reported of it, its state, and its last terms."""
        self.reports.append(dict(report))
        if len(self.reports) == 1 or report["score"] > self.reports[self.leader]["score"]:
            self.leader, self.best, self.terms = len(self.reports) - 1, deepcopy(dict(state)), dict(terms)

    def finish(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return the best copy's state and terms, and drop everything but the reports."""
        best, terms = self.best, self.terms
        self.begin, self.best, self.terms = {}, {}, {}
        return best, terms

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return dict(vars(self))


def copies(batches: Batches, spaces: int, most: int) -> Iterator[Callable[[Generator], None]]:
    """Yield one function for each copy, which turns a network into that copy; the first leaves it unchanged.

    Args:
        batches: samples rows of each space.
        spaces: number of spaces; the first is never reflected.
        most: directions in each space.
    """
    yield lambda generator: None
    for space in range(1, spaces):
        rows = batches.sample(space, _ROWS)
        for direction in principal_directions(rows, most):
            yield partial(mirror, space=space, direction=direction, rows=rows)


def principal_directions(rows: FloatArray, most: int) -> FloatArray:
    """Return at most ``most`` principal directions [k, d] of rows [n, d], by falling variance."""
    _, spreads, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    return np.asarray(axes[: min(most, int((spreads >= _MIN_SPREAD * spreads[0]).sum()))])


@torch.no_grad()
def mirror(generator: Generator, space: int, direction: FloatArray, rows: FloatArray) -> None:
    """Reflect a space's linear skips across the hyperplane through its mean (a Householder reflection).

    Args:
        generator: gated; its nonlinear branches stay as they are and adapt in training.
        space: number of the space.
        direction: unit normal [d] of the hyperplane.
        rows: unit rows [n, d] of the space, for its mean.

    Raises:
        TypeError: the generator is not gated.
    """
    adapters = generator.input_adapters[space], generator.output_adapters[space]
    if not isinstance(adapters[0], Gated) or not isinstance(adapters[1], Gated):
        raise TypeError("only gated networks can be mirrored")
    in_skip, out_skip = adapters[0].skip, adapters[1].skip
    device = in_skip.weight.device
    x, axis = torch.as_tensor(rows).to(device), torch.as_tensor(direction).to(device)
    offset = x.mean(dim=0) @ axis
    # Outputs are normalized after the skip: scale the reflection's offset by their mean length.
    training = generator.training
    generator.eval()
    length = torch.linalg.vector_norm(adapters[1](generator.encode(x, space)), dim=1).mean()
    generator.train(training)
    in_skip.bias.add_(in_skip.weight @ axis, alpha=2 * float(offset))
    in_skip.weight.sub_(2 * torch.outer(in_skip.weight @ axis, axis))
    out_skip.bias.add_(axis, alpha=2 * float(offset * length - axis @ out_skip.bias))
    out_skip.weight.sub_(2 * torch.outer(axis, axis @ out_skip.weight))
