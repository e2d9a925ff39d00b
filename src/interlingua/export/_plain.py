"""One safetensors file with a layout of its own header, for any language that reads safetensors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from interlingua.core.arguments import check_path
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap
from interlingua.core.networks import NetworkMap
from interlingua.core.storage import save_tensors
from interlingua.core.translator import Translator
from interlingua.export._parts import direction, fold, new_file, provenance

_AFFINE = "y = x / |x| if unit_in; y = weight @ y + bias; y = norm_out * y / |y| if unit_out"
_NETWORK = (
    "y = decode(encode(x / |x|, from), to); tensors and settings as interlingua.core.networks.Network documents them"
)


def to_safetensors(translator: Translator, path: str | Path, *, inverse: bool = False) -> Path:
    """Write one direction as one ``.safetensors`` file.

    A linear map has two float32 tensors, ``weight`` [d_out, d_in] and ``bias`` [d_out]; a network has its own, by the
    names that :class:`interlingua.core.networks.Network` gives them. The header (``__metadata__``) says ``layout``
    (``interlingua-affine-1`` or ``interlingua-network-1``), the ``formula``, its settings, and where it comes from.

    Args:
        translator: what to export.
        path: the file to write; it must not exist.
        inverse: export the direction from target to source.

    Returns:
        The path.

    Raises:
        InputError: another extension, or a map of an unknown kind.
        OutputExistsError: the file exists.
    """
    path, mapping = check_path(path), direction(translator, inverse=inverse)
    header = provenance(translator, inverse=inverse)
    if isinstance(mapping, AffineMap):
        folded = fold(mapping)
        tensors = {"weight": folded.weight, "bias": folded.bias}
        flags = {"unit_in": str(int(folded.unit_in)), "unit_out": str(int(folded.unit_out))}
        header |= {"layout": "interlingua-affine-1", "formula": _AFFINE, "norm_out": repr(folded.norm_out), **flags}
    elif isinstance(mapping, NetworkMap):
        tensors = {name: np.ascontiguousarray(t, np.float32) for name, t in mapping.network.tensors.items()}
        header |= {"from_space": mapping.source, "to_space": mapping.target}
        header |= {"layout": "interlingua-network-1", "formula": _NETWORK}
        header["settings"] = json.dumps(mapping.network.settings(), sort_keys=True)
    else:
        raise InputError(f"A map of the kind {type(mapping).__name__} has no plain layout; save the translator itself.")
    with new_file(path, ".safetensors") as fresh:
        save_tensors(fresh, tensors, header, name=path)
    return path
