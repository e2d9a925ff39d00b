"""Maps, profiles and calibrations as named tensors and plain values, which a saved translator consists of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.calibration import SCORE_KINDS, ScoreCalibration
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap, VectorMap
from interlingua.core.networks import Network, NetworkMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.structure import MAX_AXES

__all__ = [
    "AFFINE",
    "NETWORK",
    "OtherFormatError",
    "Tensors",
    "affine_settings",
    "affine_tensors",
    "calibration_card",
    "calibration_tensors",
    "network_tensors",
    "profile_tensors",
    "restore_calibration",
    "restore_maps",
    "restore_profiles",
]

Tensors = dict[str, npt.NDArray[Any]]

# The kinds of maps that a card can name.
AFFINE, NETWORK = "affine", "network"
_SIDES = ("source", "target")
_PARTS = ("mean_in", "matrix", "mean_out")
_SETTINGS = ("unit_in", "unit_out", "norm_out")
_PROFILE_PARTS = ("mean", "basis", "shares", "spread", "limits")
# Only of spaces that look reduced by PCA; files of earlier versions have none.
_CLUSTERS = "clusters"
_QUANTILES = "calibration.quantiles"


class OtherFormatError(Exception):
    """A folder has a format or a kind of maps that this version does not read."""


def affine_tensors(forward: VectorMap, backward: VectorMap) -> Tensors:
    """Return the tensors of two linear maps.

    Raises:
        InputError: a map of another kind.
    """
    return {
        f"{direction}.{part}": np.ascontiguousarray(getattr(mapping, part), np.float32)
        for direction, mapping in _affine(forward, backward).items()
        for part in _PARTS
    }


def affine_settings(forward: VectorMap, backward: VectorMap) -> dict[str, Any]:
    """Return the other values of two linear maps.

    Raises:
        InputError: a map of another kind.
    """
    return {
        direction: {"unit_in": m.unit_in, "unit_out": m.unit_out, "norm_out": float(m.norm_out)}
        for direction, m in _affine(forward, backward).items()
    }


def network_tensors(network: Network) -> Tensors:
    """Return the tensors of a network."""
    return {f"{NETWORK}.{name}": np.ascontiguousarray(t, np.float32) for name, t in network.tensors.items()}


def profile_tensors(profiles: tuple[SpaceProfile, SpaceProfile]) -> Tensors:
    """Return the tensors of the profiles of source and target."""
    sides = dict(zip(_SIDES, profiles, strict=True))
    tensors = {
        f"{side}.{part}": np.ascontiguousarray(getattr(profile, part), np.float32)
        for side, profile in sides.items()
        for part in _PROFILE_PARTS
    }
    clusters = {side: profile.clusters for side, profile in sides.items() if len(profile.clusters)}
    return tensors | {f"{side}.{_CLUSTERS}": np.ascontiguousarray(c, np.float32) for side, c in clusters.items()}


def calibration_tensors(calibration: ScoreCalibration) -> Tensors:
    """Return the tensors of a calibration."""
    return {_QUANTILES: np.ascontiguousarray(calibration.quantiles, np.float32)}


def calibration_card(calibration: ScoreCalibration) -> dict[str, Any]:
    """Return the other values of a calibration."""
    return {"rows": list(calibration.rows), "paired": calibration.paired}


def restore_maps(kind: str, settings: Mapping[str, Any], tensors: Mapping[str, Any]) -> tuple[VectorMap, VectorMap]:
    """Return the maps of both directions.

    Raises:
        OtherFormatError: maps of another kind.
        LookupError, TypeError, AttributeError, ValueError: the values are damaged.
    """
    if kind == AFFINE:
        return _restored_affine(settings, tensors)
    if kind == NETWORK:
        prefix = f"{NETWORK}."
        parts = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        network = Network.restore(settings, parts)
        source, target = settings["ends"]
        return NetworkMap(network, source, target), NetworkMap(network, target, source)
    if not isinstance(kind, str):
        raise TypeError("the kind of the maps is not a text")
    raise OtherFormatError


def restore_profiles(
    tensors: Mapping[str, Any], forward: VectorMap, backward: VectorMap
) -> tuple[SpaceProfile, SpaceProfile]:
    """Return the profiles of source and target, of the widths of these maps.

    Raises:
        LookupError, ValueError: a tensor is missing or of another shape.
    """
    none = np.zeros((0, 0), np.float32)
    source, target = (
        SpaceProfile(
            **{part: tensors[f"{side}.{part}"] for part in _PROFILE_PARTS},
            clusters=tensors.get(f"{side}.{_CLUSTERS}", none),
        )
        for side in _SIDES
    )
    widths = (forward.d_in, forward.d_out)
    if not (
        widths == (backward.d_out, backward.d_in)
        and (source.mean.shape, target.mean.shape) == tuple((width,) for width in widths)
        and all(
            p.basis.shape == (*p.mean.shape, *p.shares.shape)
            and p.spread.shape == p.mean.shape
            and p.limits.shape == (4,)
            and (p.clusters.shape == (0, 0) or _fits(p))
            for p in (source, target)
        )
    ):
        raise ValueError("the tensors disagree on the widths")
    return source, target


def _fits(profile: SpaceProfile) -> bool:
    """Return whether the clusters of a profile have a value for each of the axes that they are compared along."""
    return profile.clusters.ndim == 2 and profile.clusters.shape[1] == min(len(profile.shares), MAX_AXES) + 1  # noqa: PLR2004


def restore_calibration(about: Mapping[str, Any] | None, tensors: Mapping[str, Any]) -> ScoreCalibration | None:
    """Return the calibration, or None for a card that has none.

    Raises:
        LookupError, TypeError, ValueError: the values are damaged.
    """
    if about is None:
        return None
    quantiles, (n, m) = tensors[_QUANTILES], about["rows"]
    if quantiles.ndim != 2 or len(quantiles) != len(SCORE_KINDS) or quantiles.shape[1] < 2:
        raise ValueError("the calibration of scores has the wrong shape")
    return ScoreCalibration(quantiles, (int(n), int(m)), bool(about["paired"]))


def _affine(forward: VectorMap, backward: VectorMap) -> dict[str, AffineMap]:
    maps = {}
    for direction, mapping in (("forward", forward), ("backward", backward)):
        if not isinstance(mapping, AffineMap):
            raise InputError(
                f"the {direction} map is {type(mapping).__name__}; only AffineMap and networks can be saved and "
                "identified. Return AffineMap objects, as interlingua.aligners.frames.affine_maps makes them."
            )
        maps[direction] = mapping
    return maps


def _restored_affine(settings: Mapping[str, Any], tensors: Mapping[str, Any]) -> tuple[VectorMap, VectorMap]:
    maps = []
    for direction in ("forward", "backward"):
        parts = {part: tensors[f"{direction}.{part}"] for part in _PARTS}
        if (*parts["mean_in"].shape, *parts["mean_out"].shape) != parts["matrix"].shape:
            raise ValueError("the tensors disagree on the widths")
        values = settings[direction]
        missing = [name for name in _SETTINGS if name not in values]
        if missing:
            # The default of a new map would change the translations without a word.
            raise KeyError(f"{direction}.{missing[0]}")
        maps.append(AffineMap(**parts, **values))
    return maps[0], maps[1]
