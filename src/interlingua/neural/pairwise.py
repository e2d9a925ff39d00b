"""Linear alignments of every two spaces: the starting point of a warm start.

The initial latent space is the one that successful alignments reach with the most dimensions; ties go to the narrower.
Of two spaces it is the narrower. Of three it is often the second widest, which keeps all dimensions that two of
them share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from interlingua.aligners.base import OnStep, Problem
from interlingua.aligners.linear.aligner import Linear, LinearFit
from interlingua.aligners.linear.consensus import consensus
from interlingua.aligners.linear.refit_file import RefitFile
from interlingua.aligners.linear.repeats import merge_copies
from interlingua.core.alignment import Status
from interlingua.core.arrays import FloatArray
from interlingua.core.maps import AffineMap
from interlingua.core.spaces import EmbeddingSpace

__all__ = ["Direction", "PairwiseAlignments"]

# Names of the source and the target space.
Direction = tuple[str, str]


@dataclass(frozen=True, eq=False)
class PairwiseAlignments:
    """Linear alignments of every two spaces.

    Attributes:
        maps: for every space but the latent one, the maps into the latent space and out of it.
        teachers: consensus of refits by direction, for alignments that did not fail; empty without teachers.
        fits: the linear fit by (source, target), in the order of the spaces.
        trace: steps of all fits.
    """

    maps: Mapping[str, tuple[AffineMap, AffineMap]]
    teachers: Mapping[Direction, AffineMap]
    fits: Mapping[Direction, LinearFit]
    trace: tuple[Mapping[str, Any], ...]

    @classmethod
    def fit(
        cls,
        rows: Mapping[str, FloatArray],
        *,
        aligner: Linear,
        known: tuple[FloatArray, FloatArray] | None,
        seed: int,
        on_step: OnStep,
        with_teachers: bool,
        folder: Path | None = None,
    ) -> PairwiseAlignments:
        """Align every two spaces.

        Args:
            rows: [n_k, d_k] of each space by name, two or more.
            aligner: aligns two of them.
            known: rows of known pairs of the first and the second space; with two spaces only.
            seed: decides every random draw.
            on_step: called with one dict of numbers after each step.
            with_teachers: also compute the consensus of refits.
            folder: keeps the refits of every two spaces, so that an interrupted start continues.
        """
        maps: dict[Direction, AffineMap] = {}
        teachers: dict[Direction, AffineMap] = {}
        fits: dict[Direction, LinearFit] = {}
        trace: list[Mapping[str, Any]] = []
        spaces = {name: EmbeddingSpace(z, name=name) for name, z in rows.items()}
        dimensions = dict.fromkeys(rows, 0)
        for j, k in combinations(spaces, 2):
            problem = Problem.of(spaces[j], spaces[k]).with_known(known)
            fit = fits[j, k] = aligner.fit(problem, seed=seed, on_step=on_step)
            maps[j, k], maps[k, j] = fit.forward, fit.backward
            trace += fit.trace
            if fit.verdict.status is Status.FAILED:
                # Training is not held to a failed alignment, and it does not decide which space is the latent one.
                step = {"step": "failed start", "from": j, "to": k, "score": fit.verdict.score}
                trace.append(step)
                on_step(step)
                continue
            for space in (j, k):
                dimensions[space] += min(spaces[j].d, spaces[k].d)
            if with_teachers:
                numbers = "-".join(str(list(spaces).index(name)) for name in (j, k))
                teachers[j, k], teachers[k, j] = consensus(
                    merge_copies(problem),
                    fit.rotation,
                    seed=seed,
                    device=aligner.device,
                    on_step=on_step,
                    file=None if folder is None else RefitFile(folder / f"refits-{numbers}.safetensors"),
                )
        latent = max(reversed(list(spaces)), key=lambda name: (dimensions[name], -spaces[name].d))
        to_latent = {name: (maps[name, latent], maps[latent, name]) for name in spaces if name != latent}
        return cls(to_latent, teachers, fits, tuple(trace))
