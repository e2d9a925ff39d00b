"""Random draws of torch that are a function of the step and leave torch's global generators unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["preserve_rng", "reseed"]


@contextmanager
def preserve_rng(device: torch.device) -> Iterator[None]:
    """Restore torch's global generators at the end."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def reseed(entropy: Sequence[int], device: torch.device) -> None:
    """Seed torch's global generators, inside `preserve_rng`, so that a resumed run draws what an unbroken one would."""
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
