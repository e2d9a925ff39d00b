"""The object users keep: translates rows between two fitted spaces, both ways, and lives in a folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import FloatArray, check_matrix, row_blocks
from interlingua.core.errors import InputError, OutputExistsError, SpaceMismatchWarning
from interlingua.core.hub import download, model_card, upload
from interlingua.core.maps import AffineMap, VectorMap
from interlingua.core.networks import Network, NetworkMap
from interlingua.core.spaces import SpaceProfile

FORMAT = 1
_WEIGHTS = "translator.safetensors"
_CARD = "card.json"
_README = "README.md"
_SIDES = ("source", "target")
_PARTS = ("mean_in", "matrix", "mean_out")
# The look of a batch is judged on this many of its rows, so that the check costs nothing beside the product.
_CHECKED_ROWS = 256


class Translator:
    """Translates vectors of the source space into the target space, and back.

    Args:
        forward: map from source to target.
        backward: map from target to source.
        profiles: how rows of source and target look.
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
        float32. Rows do not depend on each other.

        Raises:
            InputError: another width, NaN, infinity or a zero row.

        Warns:
            SpaceMismatchWarning: most rows do not look like the space that was fitted.
        """
        return self._apply(x, self.forward, self.profiles[0], "source")

    def invert(self, y: Any) -> npt.NDArray[Any]:
        """Return target rows [n, d_target] as source rows [n, d_source]; otherwise as :meth:`translate`."""
        return self._apply(y, self.backward, self.profiles[1], "target")

    def _apply(self, x: Any, mapping: VectorMap, profile: SpaceProfile, side: str) -> npt.NDArray[Any]:
        single = np.ndim(x) == 1
        rows = check_matrix(np.asarray(x)[None] if single else x, f"{side} vectors", width=mapping.d_in)
        _warn_if_foreign(rows, profile, side)
        out = np.empty((len(rows), mapping.d_out), _float_type(rows))
        for block in row_blocks(len(rows)):
            out[block] = mapping(rows[block])
        return out[0] if single else out

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the folder ``path`` with weights, card and model card; nothing is left half written.

        Raises:
            OutputExistsError: ``path`` exists and ``overwrite`` is not set.
            InputError: ``path`` exists and is not a translator's folder, so it is not replaced.
        """
        from safetensors.numpy import save_file

        folder = Path(path)
        check_destination(folder, overwrite=overwrite)
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        try:
            save_file(self._tensors(), fresh / _WEIGHTS)
            card = {"format": FORMAT, **self._map_card(), **self.card}
            (fresh / _CARD).write_text(json.dumps(card, indent=2, sort_keys=True, allow_nan=False) + "\n", "utf-8")
            (fresh / _README).write_text(model_card(card), "utf-8")
            if folder.exists():
                shutil.rmtree(folder)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return folder

    @classmethod
    def load(cls, path: str | Path) -> Translator:
        """Read a translator from the folder that :meth:`save` wrote. Nothing in it is ever executed.

        Raises:
            InputError: the folder, a file or a tensor is missing, or the format is newer than this version reads.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(path)
        if not (folder / _CARD).is_file() or not (folder / _WEIGHTS).is_file():
            raise InputError(
                f"{folder} is not a translator: a folder with {_CARD} and {_WEIGHTS} is needed. "
                "Make one with: interlingua fit SOURCE TARGET --out DIR"
            )
        try:
            card = json.loads((folder / _CARD).read_text("utf-8"))
            tensors: dict[str, Any] = load_file(folder / _WEIGHTS)
            known = card.pop("format") == FORMAT
            restore = _RESTORERS.get(card.pop("kind"))
            if not known or restore is None:
                raise InputError(f"{folder} has another format than {FORMAT}; a newer interlingua wrote it. Upgrade.")
            forward, backward = restore(card.pop("maps"), tensors)
            source, target = (
                SpaceProfile(*(tensors[f"{side}.{part}"] for part in ("mean", "basis", "low", "high")))
                for side in _SIDES
            )
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, SafetensorError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{folder} is damaged ({error}); fit again or restore it from a copy.") from error
        if not _fit_together(forward, backward, source, target):
            raise InputError(f"{folder} is damaged (the tensors disagree on the widths); fit again.")
        return translator_of(forward, backward, (source, target), card)

    def save_pretrained(self, path: str | Path) -> Path:
        """Write the folder as :meth:`save` does; a translator that is there is replaced, as tools of the Hub expect."""
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
        return cls.load(name if Path(name).is_dir() else download(str(name), **options))

    def push_to_hub(self, name: str, **options: Any) -> str:
        """Upload weights, card and model card to ``owner/name`` on the Hugging Face Hub (extra ``hub``).

        Args:
            name: the repository; it is made where it is missing.
            options: ``private``, ``token``, ``revision``, ``message``.

        Returns:
            The address of the commit.

        Raises:
            MissingExtraError: the extra ``hub`` is not installed.
        """
        with tempfile.TemporaryDirectory() as place:
            folder = self.save(Path(place) / "translator")
            card = json.loads((folder / _CARD).read_text("utf-8"))
            (folder / _README).write_text(model_card(card, name=name), "utf-8")
            return upload(folder, name, **options)

    def fingerprint(self) -> str:
        """Return 16 hex digits bound to both maps, as they would be saved."""
        digest = hashlib.sha256(json.dumps(self._map_card(), sort_keys=True).encode())
        for name, tensor in sorted(self._tensors().items()):
            digest.update(f"{name}{tensor.shape}".encode() + tensor.tobytes())
        return digest.hexdigest()[:16]

    def _tensors(self) -> dict[str, npt.NDArray[Any]]:
        tensors = self._map_tensors()
        for side, profile in zip(_SIDES, self.profiles, strict=True):
            for part in ("mean", "basis", "low", "high"):
                tensors[f"{side}.{part}"] = np.ascontiguousarray(getattr(profile, part), np.float32)
        return tensors

    def _map_tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {
            f"{way}.{part}": np.ascontiguousarray(getattr(mapping, part), np.float32)
            for way, mapping in (("forward", self.forward), ("backward", self.backward))
            for part in _PARTS
        }

    def _map_card(self) -> dict[str, Any]:
        maps: dict[str, Any] = {"forward": self.forward, "backward": self.backward}
        settings = {
            way: {"unit_in": m.unit_in, "unit_out": m.unit_out, "norm_out": float(m.norm_out)}
            for way, m in maps.items()
        }
        return {"kind": "affine", "maps": settings}

    def __repr__(self) -> str:
        """Return both widths and the verdict."""
        status = self.card.get("verdict", {}).get("status", "no verdict")
        return f"Translator({self.d_source} -> {self.d_target}, {status})"


class NeuralTranslator(Translator):
    """A translator through a network: every direction between its named spaces, and the latent space they meet in.

    ``translate`` and ``invert`` go between source and target; the network may know more spaces than these two.
    """

    @property
    def network(self) -> Network:
        """The network behind both directions."""
        if not isinstance(self.forward, NetworkMap):
            raise InputError(f"A network is needed here and {type(self.forward).__name__} arrived; use Translator.")
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
        return self._through(x, source, lambda rows: self.network.translate(rows, source, target))

    def encode(self, x: Any, space: str) -> npt.NDArray[Any]:
        """Return latents [n, latent] of rows [n, d] of a named space: equal texts lie close whatever the space.

        Raises:
            InputError: as :meth:`between`.
        """
        return self._through(x, space, lambda rows: self.network.encode(rows, space))

    def decode(self, z: Any, space: str) -> npt.NDArray[Any]:
        """Return rows [n, d] of a named space for latents [n, latent].

        Raises:
            InputError: as :meth:`between`.
        """
        latents = check_matrix(z, "latents", width=self.network.latent)
        return self.network.decode(np.asarray(latents, _float_type(latents)), space)

    def _through(self, x: Any, space: str, function: Callable[[FloatArray], FloatArray]) -> npt.NDArray[Any]:
        if space not in self.network.widths:
            raise InputError(f"There is no space {space!r} in this translator; it knows {', '.join(self.spaces)}.")
        rows = check_matrix(x, f"{space} vectors", width=self.network.widths[space])
        return np.concatenate([function(rows[block]) for block in row_blocks(len(rows))]).astype(_float_type(rows))

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


def check_destination(folder: str | Path, *, overwrite: bool) -> None:
    """Refuse a folder that a translator cannot be written to.

    Raises:
        OutputExistsError: it exists and ``overwrite`` is not set.
        InputError: it exists and holds something else than a translator.
    """
    folder = Path(folder)
    if not folder.exists():
        return
    if not overwrite:
        raise OutputExistsError(f"{folder} exists.", "Choose another name, or replace it with {overwrite}.")
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if not is_empty and not (folder / _CARD).is_file():
        raise InputError(f"{folder} exists and is no translator, so it is not replaced; choose another name.")


def _affine_maps(settings: Mapping[str, Any], tensors: Mapping[str, Any]) -> tuple[VectorMap, VectorMap]:
    forward, backward = (
        AffineMap(**{part: tensors[f"{way}.{part}"] for part in _PARTS}, **settings[way])
        for way in ("forward", "backward")
    )
    if not all(m.mean_in.shape == (m.d_in,) and m.mean_out.shape == (m.d_out,) for m in (forward, backward)):
        raise ValueError("the tensors disagree on the widths")
    return forward, backward


def _network_maps(settings: Mapping[str, Any], tensors: Mapping[str, Any]) -> tuple[VectorMap, VectorMap]:
    prefix = "network."
    network = Network.restore(settings, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    source, target = settings["ends"]
    return NetworkMap(network, source, target), NetworkMap(network, target, source)


# A closed table: a card can only name what stands here.
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


def _float_type(rows: npt.NDArray[Any]) -> np.dtype[Any]:
    return rows.dtype if rows.dtype.kind == "f" else np.dtype(np.float32)


def _warn_if_foreign(rows: npt.NDArray[Any], profile: SpaceProfile, side: str) -> None:
    sample = rows[:: max(1, len(rows) // _CHECKED_ROWS)][:_CHECKED_ROWS]
    share = float(profile.foreign(sample).mean())
    if share > 0.5:
        warnings.warn(
            f"{share:.0%} of the {side} vectors looked at do not look like the {side} space this translator was "
            "fitted on; their translations mean nothing if they are from another model. Check model and direction.",
            SpaceMismatchWarning,
            stacklevel=4,
        )
