"""The networks: adapters into and out of one latent space for any number of spaces, and the discriminators.

Layers, initial values and parameter counts are those of the released code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from interlingua.neural.settings import Settings

__all__ = ["Discriminator", "Gated", "Generator", "ResidualMLP", "build", "fit_width", "initialize", "unit"]

# Small initial skips: the means and coarse structure that discriminators see first then decide the map.
_SKIP_SCALE = 0.2


class ResidualMLP(nn.Module):
    """Residual blocks of linear layers and SiLU; each block adds its input, zero-padded or cut to the block's width.

    The first block is Linear, SiLU; middle blocks are Linear, SiLU, norm, dropout; the last is Linear, dropout, SiLU,
    Linear. With one block it is Linear, SiLU straight from ``d_in`` to ``d_out``.

    Args:
        depth: number of blocks.
        d_in: width of incoming rows.
        hidden: width of the hidden layers.
        d_out: width of outgoing rows.
        norm: ``"batch"`` or ``"layer"``.
        dropout: fraction of units dropped in training.
    """

    def __init__(self, depth: int, d_in: int, hidden: int, d_out: int, *, norm: str, dropout: float) -> None:
        super().__init__()
        first = [nn.Linear(d_in, hidden if depth > 1 else d_out), nn.SiLU()]
        middle = [
            [nn.Linear(hidden, hidden), nn.SiLU(), _norm(norm, hidden), nn.Dropout(dropout)] for _ in range(depth - 2)
        ]
        last = [nn.Linear(hidden, hidden), nn.Dropout(dropout), nn.SiLU(), nn.Linear(hidden, d_out)]
        blocks = [first, *middle, *([last] if depth > 1 else [])]
        self.blocks = nn.ModuleList(nn.Sequential(*block) for block in blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Return rows [n, d_out] of rows [n, d_in]."""
        for block in self.blocks:
            out = block(x)
            x = out + fit_width(x, out.shape[1])
        return x


class Gated(nn.Module):
    """``skip(x) + gate * branch(x)`` with a gate that starts at 0: initially the linear skip alone, exactly.

    Args:
        skip: the linear map that the module starts as.
        branch: the network that learns the nonlinear residual.
    """

    def __init__(self, skip: nn.Linear, branch: ResidualMLP) -> None:
        super().__init__()
        self.skip = skip
        self.branch = branch
        self.gate = nn.Parameter(torch.zeros(skip.out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Return rows [n, d_out] of rows [n, d_in]."""
        return torch.addcmul(self.skip(x), self.gate, self.branch(x))


class Generator(nn.Module):
    """All translations between named spaces: ``decode(encode(x, j), k)``.

    Args:
        widths: name and width of every space, two or more, in order.
        settings: shapes of the networks.
        gated: put every adapter beside a linear skip, for a warm start; the latent width is then ``latent``.
        latent: width of the latent space; the settings' by default.
    """

    def __init__(
        self, widths: Mapping[str, int], settings: Settings, *, gated: bool = False, latent: int | None = None
    ) -> None:
        super().__init__()
        self.names = tuple(widths)
        self.gated = gated
        self.latent = latent or settings.latent
        s, z = settings, self.latent

        def net(depth: int, d_in: int, d_out: int) -> nn.Module:
            branch = ResidualMLP(depth, d_in, s.width, d_out, norm=s.norm, dropout=s.dropout)
            return Gated(nn.Linear(d_in, d_out), branch) if gated else branch

        self.input_adapters = nn.ModuleList(net(s.adapter_depth, d, z) for d in widths.values())
        self.backbone = ResidualMLP(s.backbone_depth, z, s.width, z, norm=s.norm, dropout=s.dropout)
        self.backbone_gate = nn.Parameter(torch.zeros(z)) if gated else None
        self.output_adapters = nn.ModuleList(net(s.adapter_depth, z, d) for d in widths.values())

    def encode(self, x: Tensor, space: int) -> Tensor:
        """Return raw latents [n, latent] of unit rows [n, d] of the space with that number."""
        z: Tensor = self.input_adapters[space](x)
        if self.backbone_gate is None:
            return torch.as_tensor(self.backbone(z))
        return torch.addcmul(z, self.backbone_gate, self.backbone(z))

    def decode(self, z: Tensor, space: int) -> Tensor:
        """Return unit rows [n, d] of the space with that number for latents [n, latent]."""
        return unit(self.output_adapters[space](z))

    def skips(self) -> Iterator[nn.Parameter]:
        """Yield the parameters of the linear skips."""
        for module in self.modules():
            if isinstance(module, Gated):
                yield from module.skip.parameters()


class Discriminator(nn.Sequential):
    """A discriminator: a plain MLP with layer norms and one output for each row.

    Args:
        d: width of incoming rows.
        settings: its depth and width.
    """

    def __init__(self, d: int, settings: Settings) -> None:
        w = settings.discriminator_width
        middle = [
            layer
            for _ in range(settings.discriminator_depth - 2)
            for layer in (nn.SiLU(), nn.Linear(w, w), nn.LayerNorm(w))
        ]
        super().__init__(nn.Linear(d, w), *middle, nn.SiLU(), nn.Linear(w, 1))


def initialize(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the released code's initial values: linear layers Kaiming normal for ReLU, batch norms near (1, 0)."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm1d):
            nn.init.normal_(part.weight, 1, 0.02, generator=generator)
            nn.init.normal_(part.bias, 0, 0.02, generator=generator)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, Gated):
                part.skip.weight.mul_(_SKIP_SCALE)


def build(modules: Sequence[nn.Module], seed: int) -> None:
    """Initialize modules one after the other; the values depend on the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    for module in modules:
        initialize(module, generator)


def unit(x: Tensor) -> Tensor:
    """Return rows [n, d] scaled to unit norm, without an epsilon."""
    lengths: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / lengths


def fit_width(x: Tensor, width: int) -> Tensor:
    """Return rows [n, d] cut or zero-padded on the right to [n, width]."""
    return x[:, :width] if x.shape[1] >= width else functional.pad(x, (0, width - x.shape[1]))


def _norm(kind: str, width: int) -> nn.Module:
    return nn.BatchNorm1d(width) if kind == "batch" else nn.LayerNorm(width)
