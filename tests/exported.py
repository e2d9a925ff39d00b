"""Translators to export: linear ones of every setting, and networks of every shape, made of random numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from interlingua.core.maps import AffineMap
from interlingua.core.networks import Network, NetworkMap, blocks
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import NeuralTranslator, Translator

D_SOURCE, D_TARGET = 24, 16
CARD = {
    "source": {"name": "left", "n": 500, "d": D_SOURCE, "fingerprint": "aa"},
    "target": {"name": "right", "n": 500, "d": D_TARGET, "fingerprint": "bb"},
    "verdict": {"status": "aligned", "score": 0.9, "reasons": ["It was made so."], "evidence": []},
    "method": "planted",
    "seed": 0,
    "settings": {},
    "versions": {"numpy": np.__version__},
}


def rows(d: int, n: int = 300) -> npt.NDArray[np.float32]:
    return (np.random.default_rng(d).standard_normal((n, d)) + 0.5).astype(np.float32)


def linear(*, unit_in: bool = True, unit_out: bool = True, norm_out: float = 1.0) -> Translator:
    rng = np.random.default_rng(3)

    def mapping(d_in: int, d_out: int) -> AffineMap:
        means = (0.3 * rng.standard_normal(d).astype(np.float32) for d in (d_in, d_out))
        mean_in, mean_out = means
        return AffineMap(mean_in, rng.standard_normal((d_in, d_out)).astype(np.float32), mean_out, unit_in, unit_out)

    forward, backward = mapping(D_SOURCE, D_TARGET), mapping(D_TARGET, D_SOURCE)
    return Translator(replace(forward, norm_out=norm_out), backward, profiles(), CARD)


def neural(*, norm: str = "batch", gated: bool = True, depths: tuple[int, int] = (3, 4)) -> NeuralTranslator:
    latent, hidden = 20, 28
    rng = np.random.default_rng(4)
    tensors: dict[str, npt.NDArray[np.float32]] = {}

    def fill(name: str, *shape: int, positive: bool = False) -> None:
        values = rng.standard_normal(shape) / np.sqrt(shape[-1] if len(shape) > 1 else 4)
        tensors[name] = np.asarray(np.abs(values) + 0.1 if positive else values, np.float32)

    def dense(name: str, d_in: int, d_out: int) -> None:
        fill(f"{name}.weight", d_out, d_in)
        fill(f"{name}.bias", d_out)

    def mlp(name: str, d_in: int, d_out: int, depth: int) -> None:
        shape = list(blocks(depth))
        width = d_in
        for number, layers in enumerate(shape):
            places = [place for place, layer in enumerate(layers) if layer == "linear"]
            wide = d_out if number == len(shape) - 1 else hidden
            for place in places:
                key = f"{name}.blocks.{number}.{place}"
                dense(key, width, wide if place == places[-1] else hidden)
                width = len(tensors[f"{key}.bias"])
            if "norm" in layers:
                key = f"{name}.blocks.{number}.{layers.index('norm')}"
                for part in ("weight", "bias", "running_mean"):
                    fill(f"{key}.{part}", width)
                fill(f"{key}.running_var", width, positive=True)

    widths = {"source": D_SOURCE, "target": D_TARGET}
    for number, d in enumerate(widths.values()):
        for side, d_in, d_out in (("input_adapters", d, latent), ("output_adapters", latent, d)):
            name = f"{side}.{number}"
            mlp(f"{name}.branch" if gated else name, d_in, d_out, depths[0])
            if gated:
                dense(f"{name}.skip", d_in, d_out)
                fill(f"{name}.gate", 1)
    mlp("backbone", latent, latent, depths[1])
    if gated:
        fill("backbone_gate", 1)
    network = Network(widths, depths, norm, gated, tensors, (1.0, 3.5))
    ends = NetworkMap(network, "source", "target"), NetworkMap(network, "target", "source")
    return NeuralTranslator(*ends, profiles(), CARD)


def profiles() -> tuple[SpaceProfile, SpaceProfile]:
    return SpaceProfile.of(rows(D_SOURCE)), SpaceProfile.of(rows(D_TARGET))
