"""A criterion of one's own is evidence like any other: it can lower a verdict and never raise it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interlingua as il
from interlingua.aligners import Fit, Problem
from interlingua.aligners.criterion import Criterion
from interlingua.aligners.frames import affine_maps
from interlingua.aligners.sanity import SANITY_CHECKS, sanity_checks
from interlingua.core.alignment import MEASUREMENTS, AlignmentError, Evidence, Status
from interlingua.core.errors import InputError
from planted import rotation

N, D = 200, 10


@pytest.fixture(scope="module")
def spaces() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.exponential(size=(N, D)).astype(np.float32)
    return x, x @ rotation(D, D, rng)


def length_spread(problem: Problem, fit: Fit) -> float:
    """Return the spread of the lengths of translations, relative to their mean."""
    lengths = np.linalg.norm(fit.forward(problem.rows[0]), axis=1)
    return float(lengths.std() / lengths.mean())


def mean_error(problem: Problem, fit: Fit) -> float:
    """Return the distance of the mean translation from the mean of the target."""
    return float(np.linalg.norm(fit.forward(problem.rows[0]).mean(axis=0) - problem.rows[1].mean(axis=0)))


def criterion(
    threshold: float, direction: Any = "at_most", function: Any = length_spread, name: str = "own"
) -> Criterion:
    return Criterion(name, "How far the result is off.", direction, threshold, function)


def align(spaces: tuple[np.ndarray, np.ndarray], *criteria: Criterion, **settings: Any) -> il.Alignment:
    pairs = np.stack([np.arange(100)] * 2, axis=1)
    options: dict[str, Any] = {"pairs": pairs, "method": "procrustes", **settings}
    return il.align(*spaces, criteria=list(criteria), **options)


def test_a_criterion_that_is_missed_refuses_a_fit_that_is_aligned_otherwise(
    spaces: tuple[np.ndarray, np.ndarray],
) -> None:
    assert align(spaces).verdict.status is Status.ALIGNED
    refused = align(spaces, criterion(1e-9, function=mean_error))
    assert refused.verdict.status is Status.FAILED
    assert refused.verdict.score <= 0.5
    assert refused.verdict.reasons[0].startswith("own ")
    assert "needs at most 1e-09; a random rotation about " in refused.verdict.reasons[0]
    with pytest.raises(AlignmentError, match="How far the result is off"):
        refused.translator()


def test_a_criterion_that_is_passed_changes_nothing_but_the_evidence(spaces: tuple[np.ndarray, np.ndarray]) -> None:
    plain, checked = align(spaces).verdict, align(spaces, criterion(10.0), criterion(-1, "at_least", name="b")).verdict
    assert (checked.status, checked.score, checked.reasons) == (plain.status, plain.score, plain.reasons)
    assert checked.evidence[: len(plain.evidence)] == plain.evidence
    assert [(item.name, item.passed) for item in checked.evidence[len(plain.evidence) :]] == [
        ("own", True),
        ("b", True),
    ]


@pytest.mark.parametrize("threshold", [-1.0, 1e9])
def test_no_criterion_raises_a_verdict(spaces: tuple[np.ndarray, np.ndarray], threshold: float) -> None:
    plain = align(spaces, method="random-rotation", pairs=None).verdict
    assert plain.status is Status.FAILED
    checked = align(spaces, criterion(threshold), method="random-rotation", pairs=None).verdict
    assert checked.status is Status.FAILED
    assert checked.score <= plain.score
    assert set(plain.reasons) <= set(checked.reasons)


def test_the_null_is_the_same_measurement_of_a_random_rotation(spaces: tuple[np.ndarray, np.ndarray]) -> None:
    seen: list[Fit] = []

    def matched_axes(problem: Problem, fit: Fit) -> float:
        seen.append(fit)
        translated = problem.frames[1].center(fit.forward(problem.rows[0]))
        covariances = [rows.T @ rows / len(rows) for rows in (translated, problem.frames[1].rows)]
        return float((covariances[0] * covariances[1]).sum() / np.prod([np.linalg.norm(c) for c in covariances]))

    item = align(spaces, criterion(0.99, "at_least", matched_axes)).verdict.evidence[-1]
    assert item.passed
    assert item.null < item.value
    fit, null = seen
    assert not np.allclose(fit.forward(spaces[0]), null.forward(spaces[0]), atol=0.1)
    again = align(spaces, criterion(0.99, "at_least", matched_axes)).verdict.evidence[-1]
    assert again == item


def test_own_evidence_is_saved_in_the_card(spaces: tuple[np.ndarray, np.ndarray], tmp_path: Any) -> None:
    made = align(spaces, criterion(1.0, function=mean_error, name="mean_error"))
    loaded = il.load(made.translator().save(tmp_path / "t"))
    assert loaded.card["verdict"]["evidence"][-1]["name"] == "mean_error"
    assert il.Verdict.from_dict(loaded.card["verdict"]) == made.verdict


def test_every_two_spaces_are_judged_by_own_criteria(spaces: tuple[np.ndarray, np.ndarray]) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("accelerate")
    tiny: dict[str, Any] = {"start": "cold", "steps": 2, "width": 8, "latent": 8, "discriminator_width": 8, "batch": 64}
    made = il.align_spaces({"a": spaces[0], "b": spaces[1]}, criteria=[criterion(-1)], **tiny)["a", "b"]
    assert made.verdict.evidence[-1].name == "own"
    assert any(reason.startswith("own ") for reason in made.verdict.reasons)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "name of a criterion is 3; a text is needed"),
        ({"name": " "}, "name of a criterion is empty; a text is needed"),
        ({"meaning": ""}, "meaning of a criterion is empty; a text is needed"),
        ({"name": " cycle "}, "name of a criterion is ' cycle '; one line without spaces at its ends is needed"),
        ({"name": "a\nb"}, "name of a criterion is 'a.*nb'; one line"),
        ({"meaning": "a\nb"}, "meaning of a criterion is 'a.*nb'; one line"),
        ({"threshold": 10**400}, "threshold of a criterion is 1000.*; a finite number is needed"),
        ({"direction": "more"}, "direction of a criterion is 'more'; choose from at_least, at_most"),
        ({"threshold": float("nan")}, "threshold of a criterion is nan; a finite number is needed"),
        ({"function": 3}, r"function of a criterion is 3; a function\(problem, fit\) is needed"),
    ],
)
def test_a_criterion_of_wrong_types_is_refused(change: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"name": "a", "meaning": "b", "direction": "at_most", "threshold": 1, "function": max}
    with pytest.raises(InputError, match=message):
        Criterion(**{**fields, **change})


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        (criterion(1.0), "criteria is Criterion.*; a list of interlingua.aligners.criterion.Criterion"),
        ([length_spread], "a list of interlingua.aligners.criterion.Criterion objects is needed"),
        ([criterion(1.0), criterion(2.0)], "two criteria have the name 'own'"),
        ("", "criteria is ''; a list of interlingua.aligners.criterion.Criterion objects is needed"),
        *(
            ([criterion(1.0, name=name)], f"the criterion '{name}' has the name of a built-in measurement")
            for name in sorted(MEASUREMENTS)
        ),
    ],
)
def test_statistics_are_checked_before_the_fit(
    spaces: tuple[np.ndarray, np.ndarray], criteria: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Problem, "of", lambda *_, **__: pytest.fail("the data was read"))
    with pytest.raises(InputError, match=message):
        il.align(*spaces, criteria=criteria)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), None, "high", True, np.ones(3), np.array(True), 10**400, [1.0]], ids=repr
)
def test_a_value_that_is_not_a_finite_number_is_a_missed_criterion(
    spaces: tuple[np.ndarray, np.ndarray], value: Any
) -> None:
    odd = criterion(1.0, function=lambda problem, fit: value)
    plain, made = align(spaces), align(spaces, odd, criterion(9, name="b"))
    assert made.verdict.status is Status.FAILED
    reason = made.verdict.reasons[0]
    assert re.match(r"the value of the criterion own for the fit is .*; a finite number is needed", reason)
    assert [item.name for item in made.verdict.evidence] == [item.name for item in plain.verdict.evidence] + ["b"]
    assert (made.forward(spaces[0]) == plain.forward(spaces[0])).all()


def test_an_exception_in_a_criterion_is_a_missed_criterion(spaces: tuple[np.ndarray, np.ndarray]) -> None:
    def broken(problem: Problem, fit: Fit) -> float:
        raise ZeroDivisionError("nothing to divide by")

    verdict = align(spaces, criterion(1.0, function=broken)).verdict
    assert verdict.status is Status.FAILED
    expected = "the criterion own could not be measured for the fit: ZeroDivisionError: nothing to divide by"
    assert verdict.reasons == (expected,)


class Raising(Criterion):
    def measure(self, problem: Problem, fit: Fit, null: Fit) -> Evidence:
        raise RuntimeError("no evidence")


class Careless(Criterion):
    def measure(self, problem: Problem, fit: Fit, null: Fit) -> Evidence:
        return 3  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Raising, "the criterion own could not be measured: RuntimeError: no evidence"),
        (Careless, "the measurement of the criterion own is 3; an Evidence object is needed."),
    ],
)
def test_a_class_of_criteria_with_a_broken_measure_is_a_missed_criterion(
    spaces: tuple[np.ndarray, np.ndarray], kind: type[Criterion], reason: str
) -> None:
    verdict = align(spaces, kind("own", "Nothing.", "at_most", 1.0, mean_error)).verdict
    assert (verdict.status, verdict.reasons) == (Status.FAILED, (reason,))


def overwrite_map(problem: Problem, fit: Fit) -> float:
    fit.forward.matrix[:] = 0  # type: ignore[attr-defined]
    return 0.0


def overwrite_vectors(problem: Problem, fit: Fit) -> float:
    problem.source.vectors[:] = 0
    return 0.0


def overwrite_rows(problem: Problem, fit: Fit) -> float:
    problem.rows[0][:] = 0
    return 0.0


def overwrite_known(problem: Problem, fit: Fit) -> float:
    assert problem.known is not None
    problem.known[0][:] = 0
    return 0.0


def overwrite_frame(problem: Problem, fit: Fit) -> float:
    problem.frames[0].rows[:] = 0
    return 0.0


def overwrite_base(problem: Problem, fit: Fit) -> float:
    array: Any = problem.rows[0]
    while isinstance(array.base, np.ndarray):
        array = array.base
    array[:] = 0
    return 0.0


@pytest.mark.parametrize(
    "change",
    [overwrite_map, overwrite_vectors, overwrite_rows, overwrite_known, overwrite_frame, overwrite_base],
)
def test_a_criterion_cannot_change_the_arrays_it_receives(spaces: tuple[np.ndarray, np.ndarray], change: Any) -> None:
    before, plain = [side.copy() for side in spaces], align(spaces)
    made = align(spaces, criterion(1.0, function=change))
    assert made.verdict.status is Status.FAILED
    assert "ValueError: assignment destination is read-only" in made.verdict.reasons[0]
    assert all((now == then).all() for now, then in zip(spaces, before, strict=True))
    assert (made.forward(spaces[0]) == plain.forward(spaces[0])).all()


def test_an_array_that_a_criterion_receives_stays_read_only(spaces: tuple[np.ndarray, np.ndarray]) -> None:
    def unlock(problem: Problem, fit: Fit) -> float:
        problem.source.vectors.flags.writeable = True
        return 0.0

    reason = align(spaces, criterion(1.0, function=unlock)).verdict.reasons[0]
    assert "ValueError: cannot set WRITEABLE flag to True of this array" in reason


def test_a_criterion_sees_known_pairs_and_categories(spaces: tuple[np.ndarray, np.ndarray]) -> None:
    seen: list[Problem] = []

    def look(problem: Problem, fit: Fit) -> float:
        seen.append(problem)
        return 0.0

    labels = ([i % 4 for i in range(N)], [i % 4 for i in range(N)])
    pairs = np.repeat(np.arange(20)[:, None], 2, axis=1)
    il.align(*spaces, method="linear", rounds=0, pairs=pairs, labels=labels, criteria=[criterion(1.0, function=look)])
    for problem in seen:
        assert problem.labels is not None
        assert problem.known is not None
        np.testing.assert_array_equal(problem.labels, labels)
        assert len(problem.known[0]) == 20


def test_a_criterion_cannot_raise_the_verdict_it_receives(spaces: tuple[np.ndarray, np.ndarray]) -> None:
    class Judged:
        pairs = "optional"

        def fit(self, problem: Problem, *, seed: int, on_step: Any) -> Fit:
            verdict = il.Verdict(Status.FAILED, 0.1, ("no",))
            return Fit(*affine_maps(*problem.frames, np.eye(D, dtype="f4")), ({"step": "own"},), verdict)

    def praise(problem: Problem, fit: Fit) -> float:
        if fit.verdict is not None:  # the null has no verdict
            object.__setattr__(fit.verdict, "status", Status.ALIGNED)
            object.__setattr__(fit.verdict, "score", 1.0)
            fit.trace[0]["step"] = "other"  # type: ignore[index]
        return 0.0

    made = align(spaces, criterion(1.0, function=praise), method=Judged())
    assert (made.verdict.status, made.verdict.score, made.verdict.reasons) == (Status.FAILED, 0.1, ("no",))
    assert made.trace[-1] == {"step": "own"}


def test_every_sanity_check_can_keep_pairs_from_confirming_a_map(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((100, 5)).astype(np.float32)
    differing = {check.evidence.name for check in sanity_checks(rows, rows, rng)} ^ set(SANITY_CHECKS)
    assert not differing, (
        f"add {differing} to SANITY_CHECKS of interlingua.aligners.sanity, or remove a check's old name"
    )


def test_every_measurement_of_a_verdict_has_a_reserved_name(spaces: tuple[np.ndarray, np.ndarray]) -> None:
    modules = (Path(il.__file__).parent / "aligners").rglob("*.py")
    sources = "\n".join(path.read_text("utf-8") for path in modules)
    named = set(re.findall(r'\b(?:at_least|at_most|Evidence)\(\s*"(\w+)"', sources))
    assert {"map_agreement", "hubness", "held_out_pairs", "rank_of_pairs", "category_agreement"} <= named
    named |= {item.name for item in align(spaces, method="random-rotation", pairs=None).verdict.evidence}
    lacking = sorted(named - MEASUREMENTS)
    assert not lacking, (
        f"add {lacking} to MEASUREMENTS of interlingua.core.alignment, so that no user's criterion has it"
    )
