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

__all__ = ["initialize", "latent_space"]


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
            zero = np.zeros(generator.latent, np.float32)
            maps_of_space = (AffineMap(zero, np.eye(generator.latent, dtype=np.float32), zero),) * 2
        else:
            maps_of_space = maps[name]
        for adapter, affine in zip((in_adapter, out_adapter), maps_of_space, strict=True):
            _set(adapter, affine)


def _set(module: nn.Module, affine: AffineMap) -> None:
    """Set a linear skip to a map of unit rows, before its outputs are normalized."""
    weight = np.ascontiguousarray(affine.matrix.T, np.float32)
    if not isinstance(module, Gated) or module.skip.weight.shape != weight.shape:
        raise InputError(
            f"The alignment's map has shape {affine.matrix.shape}; the networks were built for another shape."
        )
    with torch.no_grad():
        module.skip.weight.copy_(torch.as_tensor(weight))
        module.skip.bias.copy_(torch.as_tensor(affine.offset))
