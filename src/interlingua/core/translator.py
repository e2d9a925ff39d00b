"""Translators: vectors of one fitted space as vectors of another, in both directions; saved as a folder."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core import summaries
from interlingua.core.arguments import check_flag, check_path, check_text
from interlingua.core.arrays import FloatArray, as_array, check_matrix, row_blocks
from interlingua.core.errors import InputError, SpaceMismatchWarning
from interlingua.core.hub import download, upload
from interlingua.core.maps import AffineMap, VectorMap
from interlingua.core.model_card import model_card
from interlingua.core.networks import Network, NetworkMap
from interlingua.core.spaces import SpaceProfile
from interlingua.core.storage import CARD, FORMAT, README, read_folder, short_digest, write_folder

__all__ = ["NeuralTranslator", "Translator", "load", "translator_of"]

_SIDES = ("source", "target")
_PARTS = ("mean_in", "matrix", "mean_out")
_PROFILE_PARTS = ("mean", "basis", "low", "high")
# Rows of a batch that are compared with the profile of the space; few, so that the check costs next to nothing.
_CHECKED_ROWS = 256


class Translator:
    """Translates vectors of the source space into the target space, and back.

    Args:
        forward: map from source to target.
        backward: map from target to source.
        profiles: statistics of source and target rows, to recognize vectors of other models.
        card: provenance: spaces, verdict, method, seed, settings, versions.
    """

    def __init__(
        self,
        forward: VectorMap,
        backward: VectorMap,
        profiles: tuple[SpaceProfile, SpaceProfile],
        card: Mapping[str, Any],
    ) -> None:
        self.forward = forward
        self.backward = backward
        self.profiles = profiles
        self.card = dict(card)

    @property
    def d_source(self) -> int:
        """Width of source vectors."""
        return self.forward.d_in

    @property
    def d_target(self) -> int:
        """Width of target vectors."""
        return self.forward.d_out

    def translate(self, x: Any) -> npt.NDArray[Any]:
        """Return source rows [n, d_source] as target rows [n, d_target].

        A single vector [d_source] gives a single vector. float16, float32 and float64 keep their dtype, integers give
        float32. Torch tensors are read as NumPy arrays. Rows do not depend on each other.

        Raises:
            InputError: another width, NaN, infinity or a zero row.

        Warns:
            SpaceMismatchWarning: most rows do not look like the space that was fitted.
        """
        return _apply(x, self.forward, (self.d_source, self.d_target), "source", self.profiles[0])

    def invert(self, y: Any) -> npt.NDArray[Any]:
        """Return target rows [n, d_target] as source rows [n, d_source]; otherwise as :meth:`translate`."""
        return _apply(y, self.backward, (self.d_target, self.d_source), "target", self.profiles[1])

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the folder ``path`` with weights, card and model card.

        At every moment the folder holds the previous translator or this one, whole, and never a mixture. Files of other
        names are left alone. A symbolic link to a folder stays one.

        Args:
            path: the folder; missing parents are made.
            overwrite: whether a translator in ``path`` is replaced.

        Raises:
            OutputExistsError: ``path`` exists and ``overwrite`` is not set.
            InputError: ``path`` exists and does not hold a translator, or JSON has no form for a value in the card.
        """
        folder = check_path(path)
        card = {**self.card, "format": FORMAT, **self._map_card()}
        write_folder(folder, self._tensors(), card, overwrite=check_flag(overwrite, "overwrite"))
        return folder

    @classmethod
    def load(cls, path: str | Path) -> Translator:
        """Read a translator from the folder that :meth:`save` wrote. Nothing in it is ever executed.

        Raises:
            InputError: the folder, a file or a tensor is missing, or the format is newer than this version reads.
        """
        folder = check_path(path)
        card, tensors = read_folder(folder)
        try:
            restore = _RESTORERS.get(card.pop("kind")) if card.pop("format") == FORMAT else None
            if restore is None:
                raise _OtherFormatError
            forward, backward = restore(card.pop("maps"), tensors)
            source, target = (SpaceProfile(*(tensors[f"{side}.{part}"] for part in _PROFILE_PARTS)) for side in _SIDES)
            if not _fit_together(forward, backward, source, target):
                raise ValueError("the tensors disagree on the widths")  # noqa: TRY301
        except _OtherFormatError as error:
            message = f"{folder} has another format than {FORMAT}; a newer interlingua wrote it. Upgrade."
            raise InputError(message) from error
        except (ArithmeticError, LookupError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{folder} is damaged ({error}); fit again or restore it from a copy.") from error
        return translator_of(forward, backward, (source, target), card)

    def save_pretrained(self, path: str | Path) -> Path:
        """Write the folder as :meth:`save` does and replace a translator in it, as tools of the Hub expect."""
        return self.save(path, overwrite=True)

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> Translator:
        """Read a translator from a folder, or from the Hugging Face Hub (extra ``hub``).

        Args:
            name: a folder, or ``owner/name`` on the Hub.
            options: ``revision``, ``token``, ``cache_dir``, ``local_files_only``; pin a revision where it matters.

        Raises:
            InputError: as :meth:`load`, or it cannot be fetched.
            MissingExtraError: the extra ``hub`` is not installed.
        """
        folder = check_path(name, "name")
        return cls.load(folder if folder.is_dir() else download(str(name), **options))

    def push_to_hub(self, name: str, **options: Any) -> str:
        """Upload weights, card and model card to ``owner/name`` on the Hugging Face Hub (extra ``hub``).

        Args:
            name: the repository; created if it does not exist.
            options: ``private``, ``token``, ``revision``, ``message``.

        Returns:
            The address of the commit.

        Raises:
            InputError: not a repository name, or no permission to write there.
            OSError: the Hub cannot be reached.
            MissingExtraError: the extra ``hub`` is not installed.
        """
        check_text(name, "name")
        with tempfile.TemporaryDirectory() as parent:
            folder = self.save(Path(parent) / "translator")
            card = json.loads((folder / CARD).read_text("utf-8"))
            (folder / README).write_text(model_card(card, name=name), "utf-8")
            return upload(folder, name, **options)

    def fingerprint(self) -> str:
        """Return 16 hex digits that identify both maps, as they would be saved."""
        return short_digest(json.dumps(self._map_card(), sort_keys=True), self._tensors())

    def _tensors(self) -> dict[str, npt.NDArray[Any]]:
        tensors = self._map_tensors()
        for side, profile in zip(_SIDES, self.profiles, strict=True):
            for part in _PROFILE_PARTS:
                tensors[f"{side}.{part}"] = np.ascontiguousarray(getattr(profile, part), np.float32)
        return tensors

    def _map_tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {
            f"{direction}.{part}": np.ascontiguousarray(getattr(mapping, part), np.float32)
            for direction, mapping in self._affine_maps().items()
            for part in _PARTS
        }

    def _map_card(self) -> dict[str, Any]:
        settings = {
            direction: {"unit_in": m.unit_in, "unit_out": m.unit_out, "norm_out": float(m.norm_out)}
            for direction, m in self._affine_maps().items()
        }
        return {"kind": "affine", "maps": settings}

    def _affine_maps(self) -> dict[str, AffineMap]:
        maps = {}
        for direction, mapping in (("forward", self.forward), ("backward", self.backward)):
            if not isinstance(mapping, AffineMap):
                raise InputError(
                    f"the {direction} map is {type(mapping).__name__}; only AffineMap and networks can be saved and "
                    "identified. Return AffineMap objects, as interlingua.aligners.frames.affine_maps makes them."
                )
            maps[direction] = mapping
        return maps

    def __repr__(self) -> str:
        """Return both widths and the verdict."""
        verdict = self.card.get("verdict")
        status = verdict.get("status", "no verdict") if isinstance(verdict, Mapping) else "no verdict"
        return f"{type(self).__name__}({self.d_source} -> {self.d_target}, {status})"

    def _repr_html_(self) -> str:
        try:
            return summaries.card_html(type(self).__name__, self.card)
        except (AttributeError, KeyError, TypeError, ValueError):  # a card that was written by hand
            return f"<div>{escape(repr(self))}</div>"


class NeuralTranslator(Translator):
    """A translator through a network: every direction between its named spaces, and the latent space they share.

    ``translate`` and ``invert`` go between source and target; the network may have more spaces than these two.
    """

    @property
    def network(self) -> Network:
        """The network behind both directions."""
        if not isinstance(self.forward, NetworkMap):
            raise InputError(
                f"The forward map is of type {type(self.forward).__name__}; a NetworkMap is needed. Use Translator."
            )
        return self.forward.network

    @property
    def ends(self) -> tuple[str, str]:
        """The names of source and target."""
        forward = self.forward
        return (forward.source, forward.target) if isinstance(forward, NetworkMap) else ("source", "target")

    @property
    def spaces(self) -> tuple[str, ...]:
        """The names of all spaces."""
        return self.network.names

    def between(self, x: Any, source: str, target: str) -> npt.NDArray[Any]:
        """Return rows [n, d] of one named space as rows of another, or of itself; otherwise as :meth:`translate`.

        Raises:
            InputError: no such space, another width, NaN, infinity or a zero row.
        """
        widths = self._width(source), self._width(target)
        return _apply(
            x, lambda rows: self.network.translate(rows, source, target), widths, source, self._profile(source)
        )

    def encode(self, x: Any, space: str) -> npt.NDArray[Any]:
        """Return latents [n, latent] of rows [n, d] of a named space; otherwise as :meth:`translate`.

        Latents of the same text are similar, whichever space its vector is from.

        Raises:
            InputError: as :meth:`between`.
        """
        widths = self._width(space), self.network.latent
        return _apply(x, lambda rows: self.network.encode(rows, space), widths, space, self._profile(space))

    def decode(self, z: Any, space: str) -> npt.NDArray[Any]:
        """Return rows [n, d] of a named space for latents [n, latent], or one vector for one latent.

        Raises:
            InputError: as :meth:`between`.
        """
        widths = self.network.latent, self._width(space)
        return _apply(z, lambda rows: self.network.decode(rows, space), widths, "latent", None)

    def _width(self, space: str) -> int:
        self.network.check_space(space)
        return self.network.widths[space]

    def _profile(self, space: str) -> SpaceProfile | None:
        """Return the profile of one of the two ends; a translator has none of its other spaces."""
        return dict(zip(self.ends, self.profiles, strict=True)).get(space)

    def _map_tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {f"network.{name}": np.ascontiguousarray(t, np.float32) for name, t in self.network.tensors.items()}

    def _map_card(self) -> dict[str, Any]:
        return {"kind": "network", "maps": {"ends": list(self.ends), **self.network.settings()}}


def translator_of(
    forward: VectorMap, backward: VectorMap, profiles: tuple[SpaceProfile, SpaceProfile], card: Mapping[str, Any]
) -> Translator:
    """Return the translator that goes with the kind of maps; arguments as :class:`Translator` takes them."""
    kind = NeuralTranslator if isinstance(forward, NetworkMap) else Translator
    return kind(forward, backward, profiles, card)


def load(path: str | Path) -> Translator:
    """Read a saved translator; see :meth:`Translator.load`."""
    return Translator.load(path)


class _OtherFormatError(Exception):
    """A folder has a format or a kind of maps that this version does not read."""


def _affine_maps(settings: Mapping[str, Any], tensors: Mapping[str, Any]) -> tuple[VectorMap, VectorMap]:
    maps = []
    for direction in ("forward", "backward"):
        parts = {part: tensors[f"{direction}.{part}"] for part in _PARTS}
        if (*parts["mean_in"].shape, *parts["mean_out"].shape) != parts["matrix"].shape:
            raise ValueError("the tensors disagree on the widths")
        maps.append(AffineMap(**parts, **settings[direction]))
    return maps[0], maps[1]


def _network_maps(settings: Mapping[str, Any], tensors: Mapping[str, Any]) -> tuple[VectorMap, VectorMap]:
    prefix = "network."
    network = Network.restore(settings, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    source, target = settings["ends"]
    return NetworkMap(network, source, target), NetworkMap(network, target, source)


# A card can name these kinds and no others.
_RESTORERS = {"affine": _affine_maps, "network": _network_maps}


def _fit_together(forward: VectorMap, backward: VectorMap, source: SpaceProfile, target: SpaceProfile) -> bool:
    widths = (forward.d_in, forward.d_out)
    return (
        widths == (backward.d_out, backward.d_in)
        and (source.mean.shape, target.mean.shape) == tuple((width,) for width in widths)
        and all(
            p.basis.ndim == 2 and len(p.basis) == len(p.mean) and p.low.shape == p.high.shape == (2,)
            for p in (source, target)
        )
    )


def _apply(
    x: Any,
    function: Callable[[npt.NDArray[Any]], FloatArray],
    widths: tuple[int, int],
    name: str,
    profile: SpaceProfile | None,
) -> npt.NDArray[Any]:
    """Apply a function of rows [n, widths[0]] to one vector or to blocks of rows; floats keep their dtype."""
    given = as_array(x, f"{name} vectors")
    rows = check_matrix(given[None] if given.ndim == 1 else given, f"{name} vectors", width=widths[0])
    if profile is not None:
        _warn_if_foreign(rows, profile, name)
    out = np.empty((len(rows), widths[1]), rows.dtype if rows.dtype.kind == "f" else np.float32)
    for block in row_blocks(len(rows)):
        out[block] = function(rows[block])
    return out[0] if given.ndim == 1 else out


def _warn_if_foreign(rows: npt.NDArray[Any], profile: SpaceProfile, side: str) -> None:
    sample = rows[:: max(1, len(rows) // _CHECKED_ROWS)][:_CHECKED_ROWS]
    share = float(profile.is_foreign(sample).mean())
    if share > 0.5:
        # Names the line that called the public method, which called `_apply`, which called this function.
        warnings.warn(
            f"{share:.0%} of the {side} vectors in a sample do not look like the space that this translator was fitted "
            "on. If another model made them, their translations are meaningless. Check model and direction.",
            SpaceMismatchWarning,
            stacklevel=4,
        )
