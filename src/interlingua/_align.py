"""`align`: from two spaces, and pairs if any, to an alignment with a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.aligners import PAIRED, aligner
from interlingua.aligners.frames import Frame, polar
from interlingua.aligners.linear.aligner import Linear, known_rows, obstacle
from interlingua.aligners.linear.search import Search
from interlingua.aligners.verdict import verify, verify_pairs
from interlingua.core.alignment import Alignment, Status, Verdict
from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap, VectorMap
from interlingua.core.spaces import EmbeddingSpace, SpaceProfile, as_space
from interlingua.neural.aligner import Adversarial

# Rows a side that a fit reads at most; linear maps gain little from more.
MAX_ROWS = 20_000
# Settings of this machine, which a card that travels does not tell.
_LOCAL = ("folder", "resume", "tensorboard")
_PACKAGES = ("interlingua", "numpy", "scipy", "scikit-learn")


def choose_method(source: EmbeddingSpace, target: EmbeddingSpace, pairs: IntArray | None) -> str:
    """Return the method that ``method="auto"`` stands for.

    | pairs | method |
    |---|---|
    | none, or fewer than twice the larger width | ``linear``, with the pairs as help |
    | at least twice the larger width | ``ridge`` on the pairs |
    """
    return "ridge" if pairs is not None and len(pairs) >= 2 * max(source.d, target.d) else "linear"


def align(
    source: Any,
    target: Any,
    *,
    pairs: npt.ArrayLike | None = None,
    method: str = "auto",
    seed: int = 0,
    max_rows: int | None = MAX_ROWS,
    on_step: Callable[[dict[str, Any]], None] | None = None,
    **settings: Any,
) -> Alignment:
    """Align two embedding spaces, with no pair known or with a few or many.

    Args:
        source: [n_source, d_source] array, memory map, torch tensor, or an :class:`EmbeddingSpace`.
        target: [n_target, d_target]; another encoder, other texts, any width.
        pairs: [p, 2] row numbers (source, target) of the same text, if any are known.
        method: ``"auto"`` (see :func:`choose_method`), ``"linear"``, or a baseline by name.
        seed: decides every random draw; equal inputs, seed and versions give equal maps.
        max_rows: most rows a side that are read, drawn at random; None for all. The trace says how many.
        on_step: called with a dict of numbers after each step of the fit.
        settings: of the method, for example ``rounds=20``, ``device="cuda"``.

    Returns:
        The alignment. Look at its ``verdict`` first: a failed fit is returned too.

    Raises:
        InputError: data or arguments that cannot be used; nothing was computed.

    Example:
        >>> import numpy as np, interlingua as il
        >>> rng = np.random.default_rng(0)
        >>> x = rng.standard_normal((400, 8)); rotation = np.linalg.qr(rng.standard_normal((8, 8)))[0]
        >>> a = il.align(x, x @ rotation, pairs=[[i, i] for i in range(100)])
        >>> str(a.verdict.status)
        'aligned'
    """
    started = time.perf_counter()
    check_numbers(seed, max_rows)
    source, target = as_space(source, "source"), as_space(target, "target")
    known_pairs = _check_pairs(pairs, source, target)
    name = choose_method(source, target, known_pairs) if method == "auto" else method
    solver = aligner(name, **settings)
    rng = np.random.default_rng(seed)
    rows = [space.rows(max_rows, rng) for space in (source, target)]
    trace: list[dict[str, Any]] = [{"step": "rows", "source": len(rows[0]), "target": len(rows[1])}]
    known = known_rows(source.vectors, target.vectors, known_pairs)
    report = on_step or (lambda step: None)
    forward: VectorMap
    backward: VectorMap
    if isinstance(solver, Linear):
        forward, backward, steps, found = solver.solve(rows[0], rows[1], known=known, seed=seed, report=report)
        trace += steps
        verdict = verify(found.search, found.rotation, Frame.of(rows[1]).around(forward(rows[0])), found.confirmed)
    elif isinstance(solver, Adversarial):
        vectors = source.vectors, target.vectors
        forward, backward, steps, verdict = solver.solve(
            vectors, (rows[0], rows[1]), known=known, seed=seed, report=report
        )
        trace += steps
    else:
        matched = None if known_pairs is None else np.stack([np.arange(len(known_pairs))] * 2, axis=1)
        data = rows if known is None else list(known)
        affine, backward, step = solver.maps(*data, pairs=matched, seed=seed)
        trace.append({"step": name, **step})
        forward, verdict = affine, _verdict(solver, affine, rows, known, seed)
    report({"step": "verdict", "status": str(verdict.status), "score": verdict.score})
    return Alignment(
        forward=forward,
        backward=backward,
        verdict=verdict,
        method=name,
        seed=seed,
        settings=told(solver) | {"max_rows": max_rows},
        source=source.describe(),
        target=target.describe(),
        profiles=(SpaceProfile.of(rows[0]), SpaceProfile.of(rows[1])),
        trace=tuple(trace),
        versions=versions(),
        seconds=time.perf_counter() - started,
    )


def told(solver: Any) -> dict[str, Any]:
    """Return an aligner's settings as a card tells them."""
    return {name: value for name, value in asdict(solver).items() if not callable(value) and name not in _LOCAL}


def versions() -> dict[str, str]:
    """Return the versions of the packages that a fit's figures depend on."""
    return {package: version(package) for package in _PACKAGES}


def check_numbers(seed: int, max_rows: int | None) -> None:
    """Refuse a negative seed and a limit under one row.

    Raises:
        InputError: either is so.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}; a whole number from 0 on is needed.")
    if max_rows is not None and max_rows < 1:
        raise InputError(f"max_rows is {max_rows}; at least 1 is needed, better thousands, or None for all rows.")


def _check_pairs(pairs: npt.ArrayLike | None, source: EmbeddingSpace, target: EmbeddingSpace) -> IntArray | None:
    if pairs is None:
        return None
    array = np.asarray(pairs)
    if array.size == 0:
        return None
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise InputError(
            f"pairs has shape {array.shape} and dtype {array.dtype}; whole numbers [p, 2] are needed, "
            "each a row of the source and the row of the target with the same text."
        )
    limits = np.array([source.n, target.n])
    outside = ((array < 0) | (array >= limits)).any(axis=1)
    if outside.any():
        first = int(outside.argmax())
        raise InputError(
            f"pairs: {int(outside.sum())} of {len(array)} name rows that are not there, the first is {first}: "
            f"{array[first].tolist()}; the source has {source.n} rows and the target {target.n}, counted from 0."
        )
    return np.asarray(array, np.int64)


def _verdict(
    solver: Any,
    forward: AffineMap,
    rows: list[FloatArray],
    known: tuple[FloatArray, FloatArray] | None,
    seed: int,
) -> Verdict:
    if solver.name in PAIRED and known is not None:
        return verify_pairs(solver, known, seed=seed)
    reason = obstacle(*rows)
    if reason:
        return Verdict(Status.FAILED, 0.0, (f"{reason} Nothing can confirm the map.",))
    frames = [Frame.of(z) for z in rows]
    search = Search(frames[0].rows, frames[1].rows, np.random.default_rng(seed))
    return verify(search, polar(forward.matrix), frames[1].around(forward(rows[0])), None)
