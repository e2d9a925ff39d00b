"""A translator as a live torch module, for training and for use inside other models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlingua.core.arrays import require
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap
from interlingua.core.networks import NetworkMap
from interlingua.core.translator import Translator
from interlingua.export._parts import direction, fold

if TYPE_CHECKING:
    from torch import nn


def to_torch(translator: Translator, *, inverse: bool = False) -> nn.Module:
    """Return one direction as a ``torch.nn.Module`` from rows [..., d_in] to rows [..., d_out], with gradients.

    The module holds copies of all weights as float32 parameters, on the CPU and in evaluation mode; move and train it
    as any other. Its result equals that of `Translator.translate` up to rounding. Networks are returned whole, without
    dropout; with ``norm="batch"`` keep the module in evaluation mode, where rows do not depend on each other.

    Args:
        translator: what to return a module of.
        inverse: the direction from target to source.

    Raises:
        InputError: a map of an unknown kind.
        MissingExtraError: the extra ``torch`` is not installed.

    Example:
        >>> bridge = to_torch(translator)  # doctest: +SKIP
        >>> loss = 1 - torch.cosine_similarity(bridge(encoder(texts)), wanted).mean()  # doctest: +SKIP
    """
    mapping = direction(translator, inverse=inverse)
    if not isinstance(mapping, AffineMap | NetworkMap):
        raise InputError(f"A map of the kind {type(mapping).__name__} has no torch form; wrap the translator itself.")
    require("torch", "torch")
    from interlingua.export._torch import AffineModule, NetworkModule

    module = AffineModule(fold(mapping)) if isinstance(mapping, AffineMap) else NetworkModule(mapping)
    return module.eval()
