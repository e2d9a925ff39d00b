"""Both kinds of maps as torch modules with parameters; imported on use, because it imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from interlingua.core.networks import NORM_EPSILON, Network, NetworkMap, blocks
from interlingua.export._parts import Folded

# A zero row stays zero instead of becoming NaN, as in the ONNX form.
_SHORTEST = 1e-30


class AffineModule(nn.Module):
    """``norm_out * unit(linear(unit(x)))``, where the two ``unit`` may be left out."""

    def __init__(self, folded: Folded) -> None:
        super().__init__()
        d_out, d_in = folded.weight.shape
        self.linear = _linear({"weight": folded.weight, "bias": folded.bias}, "", d_in, d_out)
        self.unit_in, self.unit_out, self.norm_out = folded.unit_in, folded.unit_out, folded.norm_out

    def forward(self, vectors: Tensor) -> Tensor:
        """Return rows [..., d_in] as rows [..., d_out]."""
        rows = self.linear(_unit(vectors) if self.unit_in else vectors)
        return self.norm_out * _unit(rows) if self.unit_out else rows


class NetworkModule(nn.Module):
    """One direction of a trained network: adapter, backbone, adapter, and rows of the target's typical length."""

    def __init__(self, mapping: NetworkMap) -> None:
        super().__init__()
        net = mapping.network
        entry, leaving = (net.names.index(name) for name in (mapping.source, mapping.target))
        self.input_adapter = _Adapter(net, f"input_adapters.{entry}")
        self.backbone = _MLP(net, "backbone", net.depths[1])
        self.output_adapter = _Adapter(net, f"output_adapters.{leaving}")
        self.backbone_gate = _parameter(net.tensors["backbone_gate"]) if net.gated else None
        self.norm_out = float(net.norms[leaving]) if net.norms else 1.0

    def forward(self, vectors: Tensor) -> Tensor:
        """Return rows [..., d_in] as rows [..., d_out]."""
        z = self.input_adapter(_unit(vectors))
        latents = self.backbone(z)
        if self.backbone_gate is not None:
            latents = z + self.backbone_gate * latents
        return self.norm_out * _unit(self.output_adapter(latents))


class _Adapter(nn.Module):
    def __init__(self, net: Network, name: str) -> None:
        super().__init__()
        self.branch = _MLP(net, f"{name}.branch" if net.gated else name, net.depths[0])
        self.skip = _linear_of(net, f"{name}.skip") if net.gated else None
        self.gate = _parameter(net.tensors[f"{name}.gate"]) if net.gated else None

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.branch(x)
        if self.skip is None or self.gate is None:
            return out
        gated: Tensor = self.skip(x) + self.gate * out
        return gated


class _MLP(nn.Module):
    """Blocks of layers, each beside a skip over the columns that its two ends share."""

    def __init__(self, net: Network, name: str, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(*_layers(net, f"{name}.blocks.{number}", layers))
            for number, layers in enumerate(blocks(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            out = block(x)
            wider = out.shape[-1] - x.shape[-1]
            # A negative padding cuts columns off.
            x = out + functional.pad(x, (0, wider))
        return x


def _layers(net: Network, name: str, layers: tuple[str, ...]) -> list[nn.Module]:
    made: list[nn.Module] = []
    for position, layer in enumerate(layers):
        key = f"{name}.{position}"
        if layer == "linear":
            made.append(_linear_of(net, key))
        elif layer == "silu":
            made.append(nn.SiLU())
        elif layer == "norm":
            made.append(_norm(net, key))
    return made


def _norm(net: Network, name: str) -> nn.Module:
    parts = {part: net.tensors[f"{name}.{part}"] for part in ("weight", "bias")}
    width = len(parts["bias"])
    layer: nn.Module
    if net.norm == "batch":
        layer = nn.BatchNorm1d(width, eps=NORM_EPSILON)
        parts |= {part: net.tensors[f"{name}.{part}"] for part in ("running_mean", "running_var")}
    else:
        layer = nn.LayerNorm(width, eps=NORM_EPSILON)
    layer.load_state_dict({part: _tensor(values) for part, values in parts.items()}, strict=False)
    return layer


def _linear_of(net: Network, name: str) -> nn.Linear:
    d_out, d_in = net.tensors[f"{name}.weight"].shape
    return _linear(net.tensors, f"{name}.", d_in, d_out)


def _linear(tensors: Mapping[str, npt.NDArray[Any]], prefix: str, d_in: int, d_out: int) -> nn.Linear:
    # Without initial values, which would be drawn from the caller's random generator.
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, d_in, d_out)  # type: ignore[no-untyped-call]
    layer.load_state_dict({part: _tensor(tensors[f"{prefix}{part}"]) for part in ("weight", "bias")})
    return layer


def _parameter(values: npt.NDArray[Any]) -> nn.Parameter:
    return nn.Parameter(_tensor(values))


def _tensor(values: npt.NDArray[Any]) -> Tensor:
    # A copy, so that training the module does not change the translator.
    return torch.tensor(values, dtype=torch.float32)


def _unit(x: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / norms.clamp_min(_SHORTEST)
