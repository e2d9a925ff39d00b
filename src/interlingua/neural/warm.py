"""A warm start: networks that are a linear alignment exactly at step 0.

One of the spaces is the latent space. Each adapter is a linear skip beside a net whose gate is closed, so at first
``decode(encode(x, j), k)`` is the alignment's map of j into the latent space and out of it into k.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import nn

from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap
from interlingua.neural.nets import Gated, Generator


def latent_space(names: Iterable[str], maps: Mapping[str, tuple[AffineMap, AffineMap]]) -> str:
    """Return the space whose vectors are the latents: the one that an alignment has no maps for.

    Raises:
        InputError: there is not just one.
    """
    left = [name for name in names if name not in maps]
    if len(left) != 1:
        raise InputError(
            f"The alignment leaves out {', '.join(left) or 'no space'}; just one is needed without maps, the latent "
            "space, and for all others the maps into it and out of it."
        )
    return left[0]


def open_with(generator: Generator, maps: Mapping[str, tuple[AffineMap, AffineMap]]) -> None:
    """Set the linear skips of a gated generator to an alignment.

    Args:
        generator: its latent width must be that of the latent space.
        maps: for every space but the latent space the maps into it and out of it.

    Raises:
        InputError: a map is of other widths.
    """
    for number, name in enumerate(generator.names):
        entry, exit_ = generator.entries[number], generator.exits[number]
        if name not in maps:
            identity = np.eye(generator.latent, dtype=np.float32), np.zeros(generator.latent, np.float32)
            _set(entry, identity)
            _set(exit_, identity)
        else:
            _set(entry, folded(maps[name][0]))
            _set(exit_, folded(maps[name][1]))


def folded(affine: AffineMap) -> tuple[np.ndarray, np.ndarray]:
    """Return matrix [d_in, d_out] and offset [d_out] of a map of unit rows, before its rows are brought to length."""
    matrix = np.asarray(affine.matrix, np.float64)
    offset = np.asarray(affine.mean_out, np.float64) - np.asarray(affine.mean_in, np.float64) @ matrix
    return matrix.astype(np.float32), offset.astype(np.float32)


def _set(module: nn.Module, values: tuple[np.ndarray, np.ndarray]) -> None:
    matrix, offset = values
    if not isinstance(module, Gated) or module.skip.weight.shape != matrix.T.shape:
        raise InputError(f"The alignment's map has shape {matrix.shape}; the networks were built for another.")
    with torch.no_grad():
        module.skip.weight.copy_(torch.as_tensor(np.ascontiguousarray(matrix.T)))
        module.skip.bias.copy_(torch.as_tensor(offset))
