"""Several candidate targets: corpora that one target model embedded, only some of which resemble the source.

Without pairs, texts of the same kind on both sides decide whether a fit succeeds. Each candidate is therefore fitted
alone, the fit with the strongest label-free evidence is kept, and the rows of the others are added where the refits of
the enlarged target agree better. No pair and no row order takes part in the choice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np

from interlingua.aligners import check_known_settings, create_aligner
from interlingua.aligners.base import OnStep, Problem, StepLog
from interlingua.aligners.conclusion import at_most_doubtful, weakest_margin
from interlingua.aligners.linear.aligner import Linear, LinearFit
from interlingua.aligners.verdict import MAP_LIMITS, correct_for_tries
from interlingua.core.alignment import Status, Verdict
from interlingua.core.arguments import check_text, shown
from interlingua.core.errors import InputError
from interlingua.core.spaces import EmbeddingSpace, as_space
from interlingua.core.statistics import agreement
from interlingua.core.wording import CANDIDATE_MEASUREMENTS

__all__ = ["fit_candidates", "linear_for_candidates", "read_candidates"]

_ORDER = (Status.FAILED, Status.DOUBTFUL, Status.ALIGNED)
# Mean cosine of translations from which on two maps count as the same; the limit of map agreement in a verdict.
_SAME_MAP = MAP_LIMITS[0]
_Role = Literal["kept", "added", "left out"]


@dataclass(frozen=True, eq=False)
class _Trial:
    """The fit of one candidate.

    Attributes:
        name: of the candidate.
        problem: the source and this candidate.
        fit: with a verdict that is corrected for the number of candidates.
    """

    name: str
    problem: Problem
    fit: LinearFit

    @property
    def rank(self) -> tuple[int, float]:
        """Sorts trials: by status, then by the weakest of the decisive measurements."""
        return _ORDER.index(self.fit.verdict.status), weakest_margin(self.fit.verdict.evidence)


def read_candidates(
    target: Any, read: Callable[[Any, str], EmbeddingSpace] = as_space
) -> dict[str, EmbeddingSpace] | None:
    """Return the candidate targets by name, or None where ``target`` is one matrix.

    The rule: ``target`` has several candidates if it is a mapping of names to vectors, or a list or tuple that contains
    a matrix. A matrix is an :class:`EmbeddingSpace` or an object with two dimensions (``ndim == 2``), such as an array,
    a memory map, a tensor or a data frame. Everything else is one target: a list of lists of numbers, a list of
    one-dimensional arrays, an array of any number of dimensions.

    Candidates of a list have the names of their spaces; unnamed or equally named ones are ``target 1``, ``target 2``
    and so on, by their place in the list. A number that is the name of another candidate is skipped.

    Args:
        target: as :func:`interlingua.align` takes it.
        read: returns the space of a candidate from its vectors and its name.

    Raises:
        InputError: an empty mapping, a name that is not a text, an item that is not a matrix, a candidate that cannot
            be used, or widths that differ.
    """
    if isinstance(target, Mapping):
        named: Mapping[Any, Any] = target
    elif isinstance(target, list | tuple) and any(_is_matrix(item) for item in target):
        for number, item in enumerate(target, 1):
            if not _is_matrix(item):
                raise InputError(
                    f"target is a {type(target).__name__} of candidates, and item {number} is {shown(item)}; every "
                    "item must be a matrix of shape [n, d]. Stack single vectors to one array."
                )
        named = dict(zip(_names(target), target, strict=True))
    else:
        return None
    if not named:
        raise InputError("target is an empty mapping; vectors of at least one candidate are needed.")
    spaces = {check_text(name, "name of a target"): read(vectors, str(name)) for name, vectors in named.items()}
    first, *others = spaces
    for name in others:
        if spaces[name].d != spaces[first].d:
            raise InputError(
                f"target {name!r} has width {spaces[name].d} and target {first!r} has width {spaces[first].d}. "
                "Candidate targets must be vectors of one model; leave out those of another."
            )
    return spaces


def fit_candidates(
    linear: Linear,
    source: Any,
    targets: Mapping[str, EmbeddingSpace],
    *,
    max_rows: int | None,
    seed: int,
    on_step: OnStep,
) -> tuple[Problem, LinearFit]:
    """Fit every candidate, keep the one with the strongest evidence, and add others where refits agree better.

    Candidates are compared by status, then by the weakest decisive measurement, and the limit of the transport excess
    grows with the number of fits that were judged. The second search of the method is for the best candidate, and only
    if the fast search finds no evidence for any.

    Args:
        linear: the method.
        source: [n_source, d_source].
        targets: [n, d_target] by name, as `read_candidates` returns them.
        max_rows: most rows per side, of the enlarged target too; None for all.
        seed: decides every random draw.
        on_step: called with a dict of numbers and short words after each step.

    Returns:
        The problem with the target that was chosen, and its fit. The trace ends with a step ``candidate`` for each
        candidate, in the order given.

    Raises:
        InputError: a side with too few rows or directions.
    """
    problems = _problems(source, targets, max_rows, seed)
    trials = _fit_each(linear, problems, seed, on_step)
    best = max(trials, key=lambda trial: trial.rank)
    if best.fit.verdict.status != Status.FAILED:
        chosen, added = _add_others(linear, best, trials, max_rows, seed, on_step)
    elif linear.searches_further(best.problem):
        chosen, added = replace(best, fit=linear.fit(best.problem, seed=seed, on_step=on_step)), {}
    else:
        chosen, added = best, {}
    verdict = correct_for_tries(chosen.fit.verdict, len(trials) + len(added))
    log = StepLog(on_step)
    for trial in trials:
        cosine = _map_agreement(best, trial)
        role: _Role = "kept" if trial is best else "added" if added.get(trial.name) else "left out"
        log(_step(trial, role, cosine))
        if _contradicts(best, trial, cosine):
            verdict = at_most_doubtful(verdict, _contradiction(best.name, trial.name, cosine))
    return chosen.problem, replace(chosen.fit, verdict=verdict, trace=(*chosen.fit.trace, *log.steps))


def linear_for_candidates(
    method: Any, pairs: Any, others: Mapping[str, Any], settings: Mapping[str, Any], keywords: Iterable[str]
) -> Linear:
    """Return the linear method for several candidate targets, or refuse what cannot be combined with them.

    Args:
        method: as :func:`interlingua.align` takes it; ``"auto"`` is the linear method.
        pairs: must be None.
        others: labels and views by the name of the argument; must be None.
        settings: of the method.
        keywords: of `align`, which a misspelled setting may stand for.

    Raises:
        InputError: known pairs, labels or views, another method, or an unknown setting.
    """
    given = next((name for name, value in others.items() if value is not None), None)
    if given is not None:
        raise InputError(f"{given} cannot be used with several targets; give one target, or leave {given} out.")
    if pairs is not None:
        raise InputError(
            "pairs were given with several candidate targets; the rows of a pair belong to one target. Pass that "
            "target alone, or leave pairs out."
        )
    if not isinstance(method, Linear) and not (isinstance(method, str) and method in ("auto", "linear")):
        raise InputError(
            f"method is {shown(method)}; several candidate targets need the method linear. Pass one target to another "
            "method."
        )
    chosen = method if isinstance(method, Linear) else "linear"
    check_known_settings(chosen, settings, keywords)
    return cast(Linear, create_aligner(chosen, **settings))


def _problems(
    source: Any, targets: Mapping[str, EmbeddingSpace], max_rows: int | None, seed: int
) -> dict[str, Problem]:
    """Return the problem of each candidate by its name.

    Raises:
        InputError: a side with too few rows or columns.
    """
    problems = {name: Problem.of(source, space, max_rows=max_rows, seed=seed) for name, space in targets.items()}
    for name, problem in problems.items():
        problem.check_rows("Give more of them, or leave this candidate out.", target=name)
    return problems


def _fit_each(linear: Linear, problems: Mapping[str, Problem], seed: int, on_step: OnStep) -> list[_Trial]:
    """Return the fit of each candidate by the fast search.

    Raises:
        InputError: a candidate with too few directions.
    """
    trials = []
    for number, (name, problem) in enumerate(problems.items(), 1):
        on_step({"step": "trial", "name": name, "at": number, "of": len(problems)})
        try:
            fit = replace(linear, budget=0.0).fit(problem, seed=seed, on_step=on_step)
        except InputError as error:
            error.put_in_front(f"Candidate target {name!r}: ")
            raise
        trials.append(_Trial(name, problem, replace(fit, verdict=correct_for_tries(fit.verdict, len(problems)))))
    return trials


def _add_others(
    linear: Linear, best: _Trial, trials: Sequence[_Trial], max_rows: int | None, seed: int, on_step: OnStep
) -> tuple[_Trial, dict[str, bool]]:
    """Add rows of other candidates to the best one, strongest first, where refits of the larger target agree better.

    Returns:
        The trial of the target with all added rows; and for each candidate that was tried by its name,
        whether its rows were added.
    """
    chosen, added = best, dict[str, bool]()
    for other in sorted(trials, key=lambda trial: trial.rank, reverse=True):
        larger = _with_rows_of(chosen, other, max_rows, seed) if other is not best else None
        if larger is None:
            continue
        on_step({"step": "union", "name": other.name})
        start = chosen.fit.start_agreement
        fit = linear.refine(larger, chosen.fit.rotation, seed=seed, start_agreement=start, on_step=on_step)
        # Each such fit is one more try, after those of the candidates alone.
        fit = replace(fit, verdict=correct_for_tries(fit.verdict, len(trials) + len(added) + 1))
        added[other.name] = _agrees_better(fit.verdict, chosen.fit.verdict)
        if added[other.name]:
            chosen = _Trial(f"{chosen.name} + {other.name}", larger, fit)
    return chosen, added


def _names(candidates: Sequence[Any]) -> list[str]:
    """Return a name for each candidate of a list, no two of them equal."""
    own = [item.name if isinstance(item, EmbeddingSpace) else None for item in candidates]
    names = [name if name and own.count(name) == 1 else None for name in own]
    for place, name in enumerate(names):
        if name is None:
            numbered = (f"target {number}" for number in itertools.count(place + 1))
            names[place] = next(free for free in numbered if free not in names)
    return cast(list[str], names)


def _is_matrix(item: Any) -> bool:
    return isinstance(item, EmbeddingSpace) or getattr(item, "ndim", None) == 2


def _with_rows_of(trial: _Trial, other: _Trial, max_rows: int | None, seed: int) -> Problem | None:
    """Return the problem of a trial with rows of another target added, or None where ``max_rows`` leaves no room."""
    rows, more = trial.problem.rows[1], other.problem.rows[1]
    room = len(more) if max_rows is None else max_rows - len(rows)
    if room <= 0:
        return None
    more = more[np.sort(np.random.default_rng(seed).permutation(len(more))[:room])]
    union = np.concatenate([rows, more])
    space = EmbeddingSpace(union, name=f"{trial.name} + {other.name}")
    sides = trial.problem.target, other.problem.target
    records = [side.left_out or {"rows": 0, "of": side.n} for side in sides]
    if any(record["rows"] for record in records):
        # The numbers of rows are those of one candidate, and name no row of the larger target.
        space = space.with_left_out(*(sum(record[name] for record in records) for name in ("rows", "of")))
    return replace(trial.problem, target=space, rows=(trial.problem.rows[0], union))


def _agrees_better(verdict: Verdict, before: Verdict) -> bool:
    """Return whether refits agree better: both measurements of them, as a share of the distance from the null to 1."""
    if _ORDER.index(verdict.status) < _ORDER.index(before.status):
        return False
    shares = [_refit_shares(each) for each in (verdict, before)]
    return all(after > earlier for after, earlier in zip(*shares, strict=True))


def _refit_shares(verdict: Verdict) -> list[float]:
    items = {item.name: item for item in verdict.evidence}
    return [(items[name].value - items[name].null) / (1 - items[name].null) for name in ("refit_agreement", "cycle")]


def _map_agreement(first: _Trial, second: _Trial) -> float:
    """Return the mean cosine between translations of the source rows by the rotations of two trials."""
    rows = first.problem.frames[0].rows
    return agreement(rows @ first.fit.rotation, rows @ second.fit.rotation)


def _contradicts(best: _Trial, other: _Trial, cosine: float) -> bool:
    """Return whether two trials with the same status, neither of them failed, have different maps."""
    statuses = {trial.fit.verdict.status for trial in (best, other)}
    return len(statuses) == 1 and Status.FAILED not in statuses and cosine < _SAME_MAP


def _contradiction(first: str, second: str, cosine: float) -> str:
    return (
        f"The maps to {first} and to {second} both have evidence and disagree: mean cosine {cosine:.2f} between their "
        f"translations of the source, at least {_SAME_MAP:g} is needed. At most one of them is right."
    )


def _step(trial: _Trial, role: _Role, cosine: float) -> dict[str, Any]:
    """Return the step of the trace of one candidate."""
    verdict = trial.fit.verdict
    measured = {item.name: item.value for item in verdict.evidence if item.name in CANDIDATE_MEASUREMENTS}
    return {
        "step": "candidate",
        "name": trial.name,
        "rows": len(trial.problem.rows[1]),
        "status": str(verdict.status),
        "use": role,
        "agreement_with_kept": cosine,
        **measured,
    }
