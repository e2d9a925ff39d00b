"""A loss term of one's own, and an ablation: the same short run without it, and without the cycle terms."""

from pathlib import Path

import numpy as np
import torch

import interlingua as il
from interlingua.neural.terms import LossTerm, StepOutputs


def latent_mean_distance(step: StepOutputs) -> torch.Tensor:
    """Pull the latents of both spaces to one mean: a term must return one number, usually a mean over the batch."""
    first, second = (z.mean(dim=0) for z in step.latents)
    return (first - second).square().sum()


data = Path("demo/data")
source, target = (np.load(data / f"{side}.npy")[:400] for side in ("source", "target"))
run = {"method": "adversarial", "start": "cold", "steps": 20, "width": 32, "latent": 16, "log_every": 10}
variants = {
    "full": {},
    "with latent_mean": {"extra_terms": [LossTerm("latent_mean", latent_mean_distance, weight=0.5)]},
    "without cycle": {"cycle": 0, "cycle_vsp": 0},
}
for name, settings in variants.items():
    alignment = il.align(source, target, **run, **settings)
    last = [step for step in alignment.trace if step["step"] == "train"][-1]
    print(name, {term: round(value, 3) for term, value in last.items() if term in ("loss", "cycle", "latent_mean")})
