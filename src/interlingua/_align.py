"""`align` and `align_spaces`: from vectors to alignments with a verdict."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interlingua.aligners import (
    Aligner,
    check_known_settings,
    create_aligner,
    method_name,
    optional_use,
    pair_use,
    settings_of,
)
from interlingua.aligners.base import (
    OPTIONAL_INPUTS,
    Fit,
    OnStep,
    Problem,
    check_known_pairs,
    check_no_pairs,
    check_on_step,
    check_unused,
    ignore_step,
    insufficient_rows_reason,
    pairs_enough_alone,
)
from interlingua.aligners.fit_checks import check_fit
from interlingua.core.alignment import Alignment, Verdict
from interlingua.core.arguments import check_count, check_flag, keyword_names, shown
from interlingua.core.backend import describe_machine, resolve_device
from interlingua.core.calibration import MIN_ROWS, ScoreCalibration
from interlingua.core.errors import InputError
from interlingua.core.profiles import SpaceProfile
from interlingua.core.progress import fit_progress
from interlingua.core.spaces import as_space

if TYPE_CHECKING:
    from interlingua.aligners.criterion import Criterion

__all__ = ["MAX_ROWS", "align", "align_spaces", "choose_method"]

# Rows per side that a fit reads at most; linear maps gain little from more.
MAX_ROWS = 20_000
# Methods whose failed unpaired fits are diagnosed. Controls are expected to fail on any data.
_DIAGNOSED = ("linear", "adversarial")
# One of this many rows or known pairs is held out to calibrate scores.
_HELD_OUT = 5
_PACKAGES = ("interlingua", "numpy", "scipy", "scikit-learn")


def choose_method(problem: Problem) -> str:
    """Return the method that ``method="auto"`` stands for.

    | known pairs | method |
    |---|---|
    | none, or fewer than twice the larger width | ``linear``, which uses the pairs as help |
    | any, beside labels or views | ``linear``, which alone uses them |
    | at least twice the larger width | ``ridge`` on the pairs |
    """
    enough = pairs_enough_alone(problem.source.d, problem.target.d)
    many = problem.known is not None and len(problem.known[0]) >= enough
    return "ridge" if many and problem.labels is None and not problem.views else "linear"


def align(
    source: Any,
    target: Any,
    *,
    pairs: npt.ArrayLike | None = None,
    labels: tuple[Any, Any] | None = None,
    views: Mapping[str, Any] | Sequence[Any] | None = None,
    method: str | Aligner = "auto",
    seed: int = 0,
    max_rows: int | None = MAX_ROWS,
    skip_bad: bool = False,
    on_step: OnStep | None = None,
    criteria: Sequence[Criterion] = (),
    progress: bool | None = None,
    **settings: Any,
) -> Alignment:
    """Align two embedding spaces without known pairs, or with a few or many.

    Args:
        source: [n_source, d_source] array, memory map, torch tensor, or an :class:`EmbeddingSpace`.
        target: [n_target, d_target]; another encoder, other texts, any width. Or several candidates, corpora that one
            target model embedded: a mapping of names to vectors, or a list or tuple of matrices. Each is fitted, and
            the one with the strongest label-free evidence is used, alone or with rows of others added. A list of rows
            is one matrix; :func:`interlingua.aligners.candidates.read_candidates` has the exact rule.
        pairs: [p, 2] row numbers (source, target) of the same text, if any are known. A repeated pair counts once, and
            pairs that share a row become one pair of the means of their rows; the trace counts both.
        labels: categories of the source rows [n_source] and of the target rows [n_target], if any are known: strings or
            whole numbers with the same meaning on both sides, None or NaN where one is missing. Categories of one side
            only are ignored and counted in the trace. Only ``"linear"`` uses them, with one target.
        views: vectors [n_target, d] of the target rows by further models, if you have their texts: a mapping of names
            to vectors, or a list of matrices, each with the rows in the order of the target. They take part in the
            search only, which then needs fewer rows. Only ``"linear"`` uses them, with one target.
        method: ``"auto"`` (``"linear"``, or ``"ridge"`` with many pairs), the name of a method, or an object with
            ``fit(problem, *, seed, on_step)`` as :class:`interlingua.aligners.base.Aligner` describes it.
        seed: decides every random draw. With ``method="linear"`` on the CPU and without ``budget``, equal inputs, seed
            and versions give the same maps and verdict on one machine to the last bit, with any number of threads and
            beside other fits.
        max_rows: most rows per side that are read, drawn at random; None for all. The trace says how many.
        skip_bad: leave out rows whose vector has NaN or infinity, is all zeros, or is too small or large to be squared
            in float32; otherwise they are refused. Pairs, labels and views are given for all rows, and stay in step: a
            pair with such a row is left out, and so is a target row of which a view has such a vector. The card and
            the trace count what was left out.
        on_step: called with a dict of numbers after each step of the fit. ``elapsed`` are the seconds since the call,
            and ``seconds_left`` is added where it can be known. :func:`interlingua.show_progress` displays them.
        criteria: measurements of your own that the fit has to pass, :class:`interlingua.aligners.criterion.Criterion`
            objects. They are part of the evidence, and can lower the verdict but never raise it.
        progress: True shows how far the fit is: a bar in a notebook or on a terminal, and lines where standard error
            is neither. False never shows it, and None shows it in a notebook only.
        settings: of the method, for example ``rounds=20``, ``device="cuda"``.

    Returns:
        The alignment, also of a fit that failed; read its ``verdict`` first.

    Raises:
        InputError: data or arguments that cannot be used; nothing was computed.
        MissingExtraError: the method needs an optional dependency that is not installed.

    Example:
        >>> import numpy as np, interlingua as il
        >>> rng = np.random.default_rng(0)
        >>> x = rng.standard_normal((400, 8)); rotation = np.linalg.qr(rng.standard_normal((8, 8)))[0]
        >>> a = il.align(x, x @ rotation, pairs=[[i, i] for i in range(100)])
        >>> str(a.verdict.status)
        'aligned'
    """
    from interlingua.aligners.candidates import fit_candidates, linear_for_candidates, read_candidates
    from interlingua.aligners.criterion import apply_criteria, check_criteria
    from interlingua.aligners.usable import UsableInputs, advise_skip_bad, left_out_steps, usable_space
    from interlingua.aligners.verdict import judge

    started = time.perf_counter()
    seed, max_rows, report = _check_arguments(seed, max_rows, on_step, progress)
    skip_bad = check_flag(skip_bad, "skip_bad")
    criteria = check_criteria(criteria)
    with fit_progress(progress, report) as report, advise_skip_bad():
        candidates = read_candidates(target, usable_space) if skip_bad else read_candidates(target)
        pairs_left_out: tuple[Mapping[str, Any], ...] = ()
        if skip_bad and candidates is None:
            usable = UsableInputs.of(source, target, pairs=pairs, labels=labels, views=views)
            source, target, pairs_left_out = usable.source, usable.target, usable.steps
            pairs, labels, views = usable.pairs, usable.labels, usable.views
        elif skip_bad:
            source = usable_space(source, "source")
        aligner: Aligner
        fit: Fit
        if candidates is None:
            problem = Problem.of(source, target, pairs=pairs, labels=labels, views=views, max_rows=max_rows, seed=seed)
            aligner = _aligner_for(problem, method, settings)
            fit = check_fit(aligner.fit(problem, seed=seed, on_step=report), problem, method_name(aligner))
            tried: tuple[Mapping[str, Any], ...] = ()
        else:
            others = {"labels": labels, "views": views}
            aligner = linear = linear_for_candidates(method, pairs, others, settings, keyword_names(align))
            problem, fit = fit_candidates(linear, source, candidates, max_rows=max_rows, seed=seed, on_step=report)
            # Only this fit records candidates: a method of the caller's may have steps of the same name.
            tried = tuple(step for step in fit.trace if step.get("step") == "candidate")
        verdict = fit.verdict or judge(aligner, problem, fit, seed=seed, on_step=report)
        verdict = apply_criteria(verdict, criteria, problem, fit, seed=seed)
        sampled = {"step": "rows", "source": len(problem.rows[0]), "target": len(problem.rows[1])}
        left_out = left_out_steps({"source": problem.source, "target": problem.target})
        fit = replace(fit, trace=(sampled, *left_out, *pairs_left_out, *problem.counts, *fit.trace))
        alignment = _assemble(aligner, problem, fit, verdict, seed, max_rows, started, tried, on_step=report)
        report({"step": "verdict", "status": str(verdict.status), "score": verdict.score})
        return alignment


def align_spaces(
    vectors: Mapping[str, Any],
    *,
    seed: int = 0,
    max_rows: int | None = MAX_ROWS,
    skip_bad: bool = False,
    on_step: OnStep | None = None,
    criteria: Sequence[Criterion] = (),
    progress: bool | None = None,
    **settings: Any,
) -> dict[tuple[str, str], Alignment]:
    """Align any number of embedding spaces through one latent space (vec2vec), with no pair known.

    A warm start aligns every two spaces with ``method="linear"``; the space that the alignments reach best is the
    initial latent space, and then one network learns all directions. Needs the extra ``neural``.

    Args:
        vectors: [n, d] of two or more spaces by name, as :func:`interlingua.align` takes them.
        seed: decides every random draw.
        max_rows: most rows per space that the linear start and the verdicts read, drawn at random; None for all.
        skip_bad: leave out rows whose vector cannot be used, as in :func:`interlingua.align`.
        on_step: called with a dict of numbers after each step.
        criteria: as in :func:`interlingua.align`, for the verdict of every two spaces.
        progress: as in :func:`interlingua.align`.
        settings: of ``method="adversarial"``, for example ``steps=500``.

    Returns:
        An alignment for every two spaces, by their names in the order given. All hold the same network, so the
        translator of any of them knows every direction (``between``), and each has its own verdict.

    Raises:
        InputError: data or settings that cannot be used; nothing was computed.
        MissingExtraError: the extra ``neural`` is not installed.
    """
    from interlingua.aligners.criterion import apply_criteria, check_criteria
    from interlingua.aligners.usable import advise_skip_bad, left_out_steps, usable_space
    from interlingua.core.networks import NetworkMap
    from interlingua.neural.aligner import Adversarial, verdict_of

    started = time.perf_counter()
    seed, max_rows, report = _check_arguments(seed, max_rows, on_step, progress)
    criteria = check_criteria(criteria)
    if not isinstance(vectors, Mapping):
        raise InputError(f"vectors is {shown(vectors)}; {{name: vectors}} of at least 2 spaces is needed.")
    if len(vectors) < 2:
        given = "only one" if vectors else "none"
        raise InputError(f"At least 2 spaces are needed, as {{name: vectors}}, but {given} was given.")
    if "method" in settings:
        raise InputError("align_spaces has no method to choose; it trains the networks of adversarial. Leave it out.")
    check_known_settings("adversarial", settings, keyword_names(align_spaces))
    aligner = Adversarial(**settings)
    network_settings = aligner.resolve_settings()
    read = usable_space if check_flag(skip_bad, "skip_bad") else as_space
    with advise_skip_bad():
        spaces = {name: read(z, name).read_only() for name, z in vectors.items()}
    rng = np.random.default_rng(seed)
    rows = {name: space.rows(max_rows, rng) for name, space in spaces.items()}
    for name, sample in rows.items():
        reason = insufficient_rows_reason(name, sample, spaces[name].n)
        if reason:
            raise InputError(f"{reason} Give more of them, or leave this space out.")
    with fit_progress(progress, report) as report:
        trained, starts, steps = aligner.train(
            {name: space.vectors for name, space in spaces.items()},
            rows,
            network_settings,
            known=None,
            seed=seed,
            on_step=report,
        )
        sampled = {"step": "rows", **{name: len(sample) for name, sample in rows.items()}}
        trace = (sampled, *left_out_steps(spaces), *steps)
        alignments = {}
        for a, b in combinations(spaces, 2):
            forward = NetworkMap(trained, a, b)
            fit = Fit(forward, NetworkMap(trained, b, a), trace)
            problem = Problem(spaces[a], spaces[b], (rows[a], rows[b]))
            verdict = apply_criteria(verdict_of(forward, rows, starts, seed, report), criteria, problem, fit, seed=seed)
            report({"step": "verdict", "from": a, "to": b, "status": str(verdict.status), "score": verdict.score})
            alignments[a, b] = _assemble(aligner, problem, fit, verdict, seed, max_rows, started, on_step=report)
        return alignments


def _aligner_for(problem: Problem, method: str | Aligner, settings: Mapping[str, Any]) -> Aligner:
    """Return the method that was asked for, with its settings, for a problem that it can use whole.

    Raises:
        InputError: no such method or setting, pairs, labels or views that the method would ignore, or no pairs where
            the method needs them.
    """
    chosen = choose_method(problem) if isinstance(method, str) and method == "auto" else method
    check_known_settings(chosen, settings, keyword_names(align))
    aligner = create_aligner(chosen, **settings)
    if pair_use(aligner) == "unused":
        check_no_pairs(problem, method_name(aligner))
    elif pair_use(aligner) == "required":
        check_known_pairs(problem, method_name(aligner), at_least=1)
    for name in OPTIONAL_INPUTS:
        if optional_use(aligner, name) == "unused":
            check_unused(problem, name, method_name(aligner))
    return aligner


def _assemble(
    aligner: Aligner,
    problem: Problem,
    fit: Fit,
    verdict: Verdict,
    seed: int,
    max_rows: int | None,
    started: float,
    candidates: tuple[Mapping[str, Any], ...] = (),
    *,
    on_step: OnStep,
) -> Alignment:
    """Return the alignment of a judged fit."""
    from interlingua.aligners.diagnosis import diagnose

    is_diagnosed = method_name(aligner) in _DIAGNOSED and problem.known is None and verdict.status != "aligned"
    settings = settings_of(aligner)
    is_cold = settings.get("start") == "cold"
    return Alignment(
        forward=fit.forward,
        backward=fit.backward,
        verdict=verdict,
        method=method_name(aligner),
        seed=seed,
        settings=settings | {"max_rows": max_rows} | _views_given(problem),
        source=problem.source.describe(),
        target=problem.target.describe(),
        profiles=(SpaceProfile.of(problem.rows[0]), SpaceProfile.of(problem.rows[1])),
        calibration=_calibrate(aligner, problem, fit, seed, on_step),
        candidates=candidates,
        diagnoses=diagnose(problem, fit, verdict, is_cold=is_cold) if is_diagnosed else None,
        trace=fit.trace,
        versions={package: version(package) for package in _PACKAGES},
        machine=describe_machine(),
        seconds=time.perf_counter() - started,
    )


def _views_given(problem: Problem) -> dict[str, Any]:
    """Return the names of the views as a setting for the card; nothing without views."""
    names = [str(step["name"]) for step in problem.counts if step["step"] == "view"]
    return {"views": ", ".join(names)} if names else {}


def _calibrate(aligner: Aligner, problem: Problem, fit: Fit, seed: int, on_step: OnStep) -> ScoreCalibration | None:
    """Measure the scales of scores on rows or pairs that a second fit, or a second refinement, has not seen."""
    from interlingua.aligners.linear.aligner import LinearFit
    from interlingua.aligners.linear.held_out import fit_held_out_maps

    known = problem.known
    if pair_use(aligner) == "required" and known is not None:
        held, rest = np.split(np.random.default_rng(seed).permutation(len(known[0])), [len(known[0]) // _HELD_OUT])
        if len(held) < MIN_ROWS:
            return None
        on_step({"step": "second fit", "without": len(held)})
        second = aligner.fit(problem.take_known(rest), seed=seed, on_step=ignore_step)
        return ScoreCalibration.fit((second.forward, second.backward), known[0][held], known[1][held], paired=True)
    if isinstance(fit, LinearFit) and min(map(len, problem.rows)) >= _HELD_OUT * MIN_ROWS:
        device = resolve_device(str(settings_of(aligner).get("device", "cpu")))
        stages = fit.nonorthogonal, fit.shifts
        unseen = fit_held_out_maps(fit.problem, fit.rotation, *stages, seed=seed, device=device, on_part=on_step)
        return ScoreCalibration.fit(unseen.maps, *unseen.rows)
    return None


def _check_arguments(seed: Any, max_rows: Any, on_step: Any, progress: Any) -> tuple[int, int | None, OnStep]:
    """Return the seed and the limit of rows as plain values, and a function that takes the steps; refuse other types.

    Raises:
        InputError: an argument of another type or out of range.
    """
    if max_rows is not None:
        max_rows = check_count(max_rows, "max_rows", minimum=1)
    if progress is not None:
        check_flag(progress, "progress")
    report = check_on_step(on_step)
    return check_count(seed, "seed"), max_rows, report
