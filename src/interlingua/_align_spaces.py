"""`align_spaces`: three or more spaces through one latent space."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from interlingua._align import MAX_ROWS, check_numbers, told, versions
from interlingua.aligners.linear.aligner import shortage
from interlingua.core.alignment import Alignment
from interlingua.core.errors import InputError
from interlingua.core.networks import NetworkMap
from interlingua.core.spaces import SpaceProfile, as_space
from interlingua.neural.aligner import Adversarial, judged


def align_spaces(
    vectors: Mapping[str, Any],
    *,
    seed: int = 0,
    max_rows: int | None = MAX_ROWS,
    on_step: Callable[[dict[str, Any]], None] | None = None,
    **settings: Any,
) -> dict[tuple[str, str], Alignment]:
    """Align any number of embedding spaces through one latent space (vec2vec), with no pair known.

    A warm start aligns every two spaces; the one that the alignments carry most through is the latent space at first,
    and then one network learns all directions. Needs the extra ``neural``.

    Args:
        vectors: [n, d] of two or more spaces by name, as :func:`interlingua.align` takes them.
        seed: decides every random draw.
        max_rows: most rows a space that the linear start and the verdicts read, drawn at random; None for all.
        on_step: called with a dict of numbers after each step.
        settings: of ``method="adversarial"``, for example ``steps=500``.

    Returns:
        An alignment for every two spaces, by their names in the order given. All hold the same network, so the
        translator of any of them knows every direction (``between``), and each has its own verdict.

    Raises:
        InputError: data or settings that cannot be used; nothing was computed.
        MissingExtraError: the extra ``neural`` is not installed.
    """
    started = time.perf_counter()
    check_numbers(seed, max_rows)
    if len(vectors) < 2:
        raise InputError(f"{len(vectors)} spaces were given; at least 2 are needed, as {{name: vectors}}.")
    solver = Adversarial(**settings)
    s = solver.checked()
    spaces = {name: as_space(z, name) for name, z in vectors.items()}
    rng = np.random.default_rng(seed)
    rows = {name: space.rows(max_rows, rng) for name, space in spaces.items()}
    for name, sample in rows.items():
        reason = shortage(name, sample)
        if reason:
            raise InputError(f"{reason} Give more of them, or leave this space out.")
    report = on_step or (lambda step: None)
    trained, starts, steps = solver.train(
        {name: space.vectors for name, space in spaces.items()}, rows, s, known=None, seed=seed, report=report
    )
    trace = ({"step": "rows", **{name: len(sample) for name, sample in rows.items()}}, *steps)
    profiles = {name: SpaceProfile.of(sample) for name, sample in rows.items()}
    described = {name: space.describe() for name, space in spaces.items()}
    alignments = {}
    for a, b in combinations(spaces, 2):
        there = NetworkMap(trained, a, b)
        verdict = judged(there, rows, starts, seed)
        report({"step": "verdict", "from": a, "to": b, "status": str(verdict.status), "score": verdict.score})
        alignments[a, b] = Alignment(
            forward=there,
            backward=NetworkMap(trained, b, a),
            verdict=verdict,
            method=solver.name,
            seed=seed,
            settings=told(solver) | {"max_rows": max_rows},
            source=described[a],
            target=described[b],
            profiles=(profiles[a], profiles[b]),
            trace=trace,
            versions=versions(),
            seconds=time.perf_counter() - started,
        )
    return alignments
