"""A warm start: networks that equal a linear alignment exactly at step 0.

One of the spaces is the latent space. Each adapter is a linear skip beside a branch whose gate is 0, so initially
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

__all__ = ["fold", "initialize", "latent_space"]


def latent_space(names: Iterable[str], maps: Mapping[str, tuple[AffineMap, AffineMap]]) -> str:
    """Return the space whose vectors are the latents: the only one without maps.

    Raises:
        InputError: there is none, or more than one.
    """
    without = [name for name in names if name not in maps]
    if len(without) != 1:
        raise InputError(
            f"The alignment leaves out {', '.join(without) or 'no space'}; just one is needed without maps, the latent "
            "space, and for all others the maps into it and out of it."
        )
    return without[0]


def initialize(generator: Generator, maps: Mapping[str, tuple[AffineMap, AffineMap]]) -> None:
    """Set the linear skips of a gated generator to a linear alignment.

    Args:
        generator: its latent width must be that of the latent space.
        maps: for every space but the latent space the maps into it and out of it.

    Raises:
        InputError: a map has other widths than the generator.
    """
    for number, name in enumerate(generator.names):
        in_adapter, out_adapter = generator.input_adapters[number], generator.output_adapters[number]
        if name not in maps:
            identity = np.eye(generator.latent, dtype=np.float32), np.zeros(generator.latent, np.float32)
            _set(in_adapter, identity)
            _set(out_adapter, identity)
        else:
            _set(in_adapter, fold(maps[name][0]))
            _set(out_adapter, fold(maps[name][1]))


def fold(affine: AffineMap) -> tuple[np.ndarray, np.ndarray]:
    """Return matrix [d_in, d_out] and offset [d_out] of a map of unit rows, before its outputs are normalized."""
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
