"""Trained networks applied with numpy: what a translator needs of the neural method, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_choice, check_count, check_flag, check_number, check_text, shown
from interlingua.core.arrays import LARGEST_NORM, FloatArray, unit_rows
from interlingua.core.errors import InputError

__all__ = ["NORM_EPSILON", "Network", "NetworkMap", "blocks"]

NORM_EPSILON = 1e-5


@dataclass(frozen=True, eq=False)
class Network:
    """All translations between named spaces through one latent space, row by row.

    Attributes:
        widths: name and width of every space, in order.
        depths: blocks of an adapter and of the backbone.
        norm: ``"batch"`` or ``"layer"``.
        gated: whether every adapter has a linear skip beside it.
        tensors: float32 arrays by the names that :class:`interlingua.neural.nets.Generator` gives them.
        norms: the typical length of the rows of each space; 1 for unit vectors.
    """

    widths: Mapping[str, int]
    depths: tuple[int, int]
    norm: str
    gated: bool
    tensors: Mapping[str, npt.NDArray[Any]]
    norms: tuple[float, ...] = field(default=())

    def __repr__(self) -> str:
        """Return the spaces and the latent width."""
        spaces = ", ".join(f"{name}: {width}" for name, width in self.widths.items())
        return f"Network({spaces}; latent {self.latent})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the spaces, in order."""
        return tuple(self.widths)

    @cached_property
    def latent(self) -> int:
        """Width of the latent space."""
        return int(
            self.tensors[
                "output_adapters.0.skip.weight" if self.gated else "output_adapters.0.blocks.0.0.weight"
            ].shape[1]
        )

    def check_space(self, space: Any) -> int:
        """Return the position of a space.

        Raises:
            InputError: there is none of this name.
        """
        if not isinstance(space, str) or space not in self.widths:
            raise InputError(f"There is no space {shown(space)} in this translator; it knows {', '.join(self.names)}.")
        return self.names.index(space)

    def encode(self, x: npt.NDArray[Any], space: str) -> FloatArray:
        """Return latents [n, latent] of rows [n, d] of a space; latents have no fixed length."""
        dtype = np.float64 if x.dtype == np.float64 else np.float32
        rows: FloatArray = unit_rows(np.asarray(x, dtype))
        z = self._adapter(f"input_adapters.{self.check_space(space)}", rows)
        out = self._mlp("backbone", z, self.depths[1])
        return z + self._tensor("backbone_gate", z.dtype) * out if self.gated else out

    def decode(self, z: npt.NDArray[Any], space: str) -> FloatArray:
        """Return rows [n, d] of a space for latents [n, latent]; computed in float32, or float64 for float64."""
        number = self.check_space(space)
        dtype = np.float64 if z.dtype == np.float64 else np.float32
        rows = unit_rows(self._adapter(f"output_adapters.{number}", np.asarray(z, dtype)))
        return np.asarray(rows * np.asarray(self.norms[number], rows.dtype)) if self.norms else rows

    def translate(self, x: npt.NDArray[Any], source: str, target: str) -> FloatArray:
        """Return rows [n, d_source] as rows [n, d_target]."""
        return self.decode(self.encode(x, source), target)

    def settings(self) -> dict[str, Any]:
        """Return everything but the tensors, as plain values for JSON."""
        return {
            "spaces": [[name, width] for name, width in self.widths.items()],
            "depths": list(self.depths),
            "norm": self.norm,
            "gated": self.gated,
            "norms": list(self.norms),
        }

    @classmethod
    def restore(cls, settings: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> Network:
        """Return the network that :meth:`settings` and its tensors describe, checked by one run through it.

        Raises:
            KeyError, TypeError, ValueError: settings or tensors that no network has.
        """
        adapter, backbone = settings["depths"]
        network = cls(
            {check_text(name, "space"): check_count(width, "width", minimum=1) for name, width in settings["spaces"]},
            (check_count(adapter, "depth", minimum=1), check_count(backbone, "depth", minimum=1)),
            check_choice(settings["norm"], "norm", ("batch", "layer")),
            check_flag(settings["gated"], "gated"),
            dict(tensors),
            tuple(check_number(value, "norms", above=0, maximum=LARGEST_NORM) for value in settings["norms"]),
        )
        if len(network.widths) != len(settings["spaces"]) or len(network.norms) not in (0, len(network.widths)):
            raise ValueError("its spaces or norms do not match")
        for name, width in network.widths.items():
            with np.errstate(invalid="ignore", over="ignore"):
                rows = network.decode(network.encode(np.eye(2, width, dtype=np.float32), name), name)
            if not np.isfinite(rows).all():
                raise ValueError(f"it returns NaN or infinity for the space {name}")
        return network

    def _tensor(self, name: str, dtype: Any) -> FloatArray:
        return np.asarray(self.tensors[name], dtype)

    def _linear(self, name: str, x: FloatArray) -> FloatArray:
        return np.asarray(x @ self._tensor(f"{name}.weight", x.dtype).T + self._tensor(f"{name}.bias", x.dtype))

    def _adapter(self, name: str, x: FloatArray) -> FloatArray:
        if not self.gated:
            return self._mlp(name, x, self.depths[0])
        branch = self._mlp(f"{name}.branch", x, self.depths[0])
        return self._linear(f"{name}.skip", x) + self._tensor(f"{name}.gate", x.dtype) * branch

    def _mlp(self, name: str, x: FloatArray, depth: int) -> FloatArray:
        # Imported here because scipy.special is slow to import and linear translators do not need it.
        from scipy.special import expit

        for number, layers in enumerate(blocks(depth)):
            out = x
            for position, layer in enumerate(layers):
                key = f"{name}.blocks.{number}.{position}"
                if layer == "linear":
                    out = self._linear(key, out)
                elif layer == "silu":
                    out = out * expit(out)
                elif layer == "norm":
                    out = self._normalized(key, out)
            shared = min(x.shape[1], out.shape[1])
            out[:, :shared] += x[:, :shared]
            x = out
        return x

    def _normalized(self, name: str, x: FloatArray) -> FloatArray:
        if self.norm == "batch":
            mean, variance = (self._tensor(f"{name}.running_{part}", x.dtype) for part in ("mean", "var"))
        else:
            mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
        scale = self._tensor(f"{name}.weight", x.dtype) / np.sqrt(variance + x.dtype.type(NORM_EPSILON))
        return np.asarray((x - mean) * scale + self._tensor(f"{name}.bias", x.dtype))


@dataclass(frozen=True, eq=False)
class NetworkMap:
    """One direction of a network, as a vector map.

    Attributes:
        network: the network.
        source: name of the space that rows come from.
        target: name of the space they go to.
    """

    network: Network
    source: str
    target: str

    def __repr__(self) -> str:
        """Return the spaces and their widths."""
        return f"NetworkMap({self.source} {self.d_in} -> {self.target} {self.d_out})"

    @property
    def d_in(self) -> int:
        """Width of incoming rows."""
        return self.network.widths[self.source]

    @property
    def d_out(self) -> int:
        """Width of outgoing rows."""
        return self.network.widths[self.target]

    def __call__(self, x: npt.NDArray[Any]) -> FloatArray:
        """Map rows [n, d_in] to [n, d_out]; computed in float32, or in float64 for float64 rows."""
        return self.network.translate(x, self.source, self.target)


def blocks(depth: int) -> Iterator[tuple[str, ...]]:
    """Yield the layers of each block, in the order in which the trained modules have them."""
    yield "linear", "silu"
    for _ in range(depth - 2):
        yield "linear", "silu", "norm", "dropout"
    if depth > 1:
        yield "linear", "dropout", "silu", "linear"
