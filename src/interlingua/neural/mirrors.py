"""Mirrored copies of a network: what a cold start cannot reach by small steps, it tries.

Networks that keep the geometry turn, but never turn over. A start that has one direction the wrong way round stays so,
however long it trains; a mirrored copy of it can still turn into place. Which copy does is seen without pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from interlingua.core.arrays import FloatArray
from interlingua.neural.batches import Batches
from interlingua.neural.nets import Gated, Generator

# Directions along which rows spread less than this share of the most decide nothing.
_LEAST_SPREAD = 0.1
_ROWS = 2000


def copies(batches: Batches, spaces: int, most: int) -> Iterator[Callable[[Generator], None]]:
    """Yield what makes each copy of a network, first the one that is not mirrored.

    Args:
        batches: has the rows of all spaces.
        spaces: how many there are; the first stays as it is.
        most: directions a space.
    """
    yield lambda generator: None
    for space in range(1, spaces):
        rows = batches.sample(space, _ROWS)
        for axis in directions(rows, most):
            yield partial(mirror, space=space, direction=axis, rows=rows)


def directions(rows: FloatArray, most: int) -> FloatArray:
    """Return the principal directions [k, d] along which rows [n, d] spread, at most so many, widest first."""
    _, spreads, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    return np.asarray(axes[: min(most, int((spreads >= _LEAST_SPREAD * spreads[0]).sum()))])


@torch.no_grad()
def mirror(generator: Generator, space: int, direction: FloatArray, rows: FloatArray) -> None:
    """Let the linear skips of a space see and tell it mirrored.

    Args:
        generator: gated; its branches stay as they are and learn anew.
        space: the number of the space.
        direction: unit vector [d] that is turned round.
        rows: unit rows [n, d] of the space; what is mirrored stays around their mean.
    """
    entry, exit_ = (nets[space] for nets in (generator.entries, generator.exits))
    if not isinstance(entry, Gated) or not isinstance(exit_, Gated):
        raise TypeError("only gated networks can be mirrored")
    x, axis = torch.as_tensor(rows).to(entry.gate.device), torch.as_tensor(direction).to(entry.gate.device)
    along = x.mean(dim=0) @ axis
    # Rows leave before they are brought to length: as much longer or shorter as they are, the mirror lies farther off.
    training = generator.training
    generator.eval()
    length = torch.linalg.vector_norm(exit_(generator.encode(x, space)), dim=1).mean()
    generator.train(training)
    told, seen = exit_.skip, entry.skip
    seen.bias.add_(seen.weight @ axis, alpha=2 * float(along))
    seen.weight.sub_(2 * torch.outer(seen.weight @ axis, axis))
    told.bias.add_(axis, alpha=2 * float(along * length - axis @ told.bias))
    told.weight.sub_(2 * torch.outer(axis, axis @ told.weight))
