"""Progress names the work that begins when a step is reported."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

import interlingua
from interlingua.core import wording
from interlingua.core.errors import InputError, named_side
from interlingua.core.wording import (
    be,
    count_of,
    describe_step,
    duration_of,
    first_of,
    listed,
    rough_size_of,
    size_of,
    some_of,
    time_taken,
)

SOURCE = Path(interlingua.__file__).parent


def reported_steps() -> set[str]:
    """Return every constant of the source that is the value of ``"step"`` in a dict, or the name of counted parts."""
    names = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "step" and isinstance(value, ast.Constant):
                        names.add(str(value.value))
            elif isinstance(node, ast.Call) and getattr(node.func, "id", None) == "report_parts":
                names.add(ast.literal_eval(node.args[0]))
    return names


def test_every_reported_step_has_a_text_and_every_text_a_step() -> None:
    assert {
        "copies",
        "islands",
        "second search",
        "full width",
        "interrupted",
        "refit",
        "failed start",
    } <= reported_steps()
    differing = sorted(reported_steps() ^ wording._STEPS.keys())
    assert not differing, (
        f"_STEPS of interlingua.core.wording needs a text for each reported step, and no other: {differing}"
    )


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"step": "copies", "source_exact": 3}, "reducing both sides to their main directions"),
        ({"step": "null", "at": 1, "of": 2}, "refining maps from random starts for comparison, 1 of 2 steps done"),
        ({"step": "null", "at": 2, "of": 2}, "refining maps from random starts for comparison, 2 of 2 steps done"),
        ({"step": "search"}, "search round 1"),
        ({"step": "view", "name": "use"}, "reading the view use"),
        (
            {"step": "round", "round": 1, "of": 10, "candidates": 4, "excess": 7.25},
            "continuing after search round 2 of at most 10, best map 7.2 deviations above random ones",
        ),
        (
            {
                "step": "islands",
                "stage": "island",
                "number": 2,
                "generation": 1,
                "excess": 3.0,
                "refinements": 40,
                "seconds": 12.3,
                "seconds_left": 47.7,
            },
            "second search, island 3, generation 1, best map 3.0 deviations above random ones, 40 maps after 12 s, "
            "48 s left in this stage",
        ),
        (
            {"step": "embedding", "side": "target", "at": 512, "of": 5000, "seconds_left": 600},
            "embedding with the target encoder, 512 of 5,000 texts, 10 min left in this stage",
        ),
        (
            {"step": "embedding", "side": "view", "name": "wordllama", "at": 0, "of": 5000},
            "embedding with the view encoder (wordllama), 0 of 5,000 texts",
        ),
        ({"step": "attack", "work": "reading words of 20 rows"}, "reading words of 20 rows"),
        ({"step": "defense", "name": "no defense", "at": 0, "of": 3}, "defense no defense, 1 of 3"),
        ({"step": "second search", "stopped": "budget"}, "carrying the best map to full width"),
        (
            {"step": "interrupted", "kept": "fast search"},
            "continuing with the map of the fast search",
        ),
        ({"step": "fine", "similarity": 0.9}, "refining the map"),
        ({"step": "polish"}, "fitting the non-orthogonal map"),
        ({"step": "full width", "refinement": "polished"}, "fitting the non-orthogonal map"),
        ({"step": "polishing", "at": 3, "of": 7}, "refining the map, 3 of 7 steps done"),
        ({"step": "nonorthogonal stage", "at": 0, "of": 6}, "fitting the non-orthogonal map, 0 of 6 steps done"),
        ({"step": "nonorthogonal"}, "finishing the map"),
        ({"step": "correcting", "at": 2, "of": 4}, "correcting the map, 2 of 4 steps done"),
        (
            {"step": "judging", "at": 4, "of": 5, "seconds_left": 9.6},
            "measuring the evidence for the verdict, 4 of 5 steps done, 10 s left in this stage",
        ),
        ({"step": "second fit", "without": 1000}, "fitting again without 1,000 pairs"),
        ({"step": "calibrating", "at": 1, "of": 3}, "measuring the scales of scores, 1 of 3 steps done"),
        ({"step": "correction", "forward": 0.25, "backward": None}, "measuring the evidence for the verdict"),
        ({"step": "failed start", "from": "a", "to": "b"}, "continuing without the failed alignment of a and b"),
        ({"step": "refit", "at": 3, "of": 40}, "refit 4 of 40"),
        ({"step": "refit", "at": 40, "of": 40}, "averaging the refits"),
        ({"step": "mirror", "copy": 0}, "training after mirrored copy 1"),
        ({"step": "check", "at": 50}, "training after the measurements at step 50"),
        ({"step": "run", "seed": 2}, "comparing the run with seed 2"),
        ({"step": "verdict", "status": "aligned"}, "verdict aligned"),
    ],
)
def test_a_text_names_the_work_that_begins(step: dict[str, object], text: str) -> None:
    assert describe_step(step) == text


@pytest.mark.parametrize("step", [{"step": "own"}, {"step": "round"}, {"step": "refit", "at": None, "of": 2}])
def test_a_step_of_a_user_s_method_has_its_name(step: dict[str, object]) -> None:
    assert describe_step(step) == step["step"]


def test_one_row_is_no_rows_and_small_sizes_are_not_zero() -> None:
    assert [count_of(number) for number in (0, 1, 2, 12_345)] == ["0 rows", "1 row", "2 rows", "12,345 rows"]
    assert [count_of(number, "identity") for number in (1, 2)] == ["1 identity", "2 identities"]
    assert [count_of(2, noun) for noun in ("key", "class label", "public text")] == [
        "2 keys",
        "2 class labels",
        "2 public texts",
    ]
    assert [be(number) for number in (0, 1, 2)] == ["are", "is", "are"]


def test_names_are_listed_with_and_before_the_last() -> None:
    assert [listed(["a", "b", "c"][:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert [size_of(number) for number in (0, 1, 999, 1_500, 2_340_000, 1.5e9, 2e13)] == [
        "0 bytes",
        "1 byte",
        "999 bytes",
        "1.50 kB",
        "2.34 MB",
        "1.50 GB",
        "20,000.00 GB",
    ]


@pytest.mark.parametrize(
    ("number", "words"),
    [(863_750_000, "860 MB"), (1_536_000_000, "1.5 GB"), (99_600, "100 kB"), (12, "12 bytes"), (24e9, "24 GB")],
)
def test_an_estimated_size_has_two_digits(number: float, words: str) -> None:
    assert rough_size_of(number) == words


def test_only_marked_sides_are_named_by_where_they_come_from() -> None:
    source, target = named_side("source"), named_side("target")
    error = InputError(f"{source} and {target} have 1 and 2 rows; a target has more.", "Give {rows}.")
    assert str(error) == "source and target have 1 and 2 rows; a target has more. Give rows=True."
    assert error.args == ("source and target have 1 and 2 rows; a target has more.",)
    error = pickle.loads(pickle.dumps(error))
    error.put_in_front("Candidate 'source has few': ")
    error.name_origins({"source": "target.npy", "target": "b.npy", "rows": "rows.npy"})
    expected = "source (target.npy) and target (b.npy) have 1 and 2 rows; a target has more. Give rows=True."
    assert str(error) == f"Candidate 'source has few': {expected}"
    unmarked = InputError("this translator's source has 12; source has 4 rows.")
    unmarked.name_origins({"source": "a.npy"})
    assert str(unmarked) == "this translator's source has 12; source has 4 rows."
    same = InputError(f"{named_side('a.npy')} has 4 rows.")
    same.name_origins({"a.npy": "a.npy"})
    assert str(same) == "a.npy has 4 rows."
    no_text = InputError()
    no_text.name_origins({"source": "a.npy"})
    assert str(no_text) == ""


@pytest.mark.parametrize(
    ("count", "of", "text"),
    [
        (2, 1200, "2 of 1,200 rows are zero; the first is row 7"),
        (1, 3, "1 of 3 rows is zero, namely row 7"),
        (1, 1, "the only row is zero, namely row 7"),
    ],
)
def test_a_share_of_rows_has_the_verb_of_its_number(count: int, of: int, text: str) -> None:
    assert some_of(count, of, "row", "is zero", "are zero") + first_of(count, "row 7") == text


@pytest.mark.parametrize(
    ("seconds", "estimated", "measured"),
    [
        (0.0, "0 s", "0 s"),
        (2e-6, "0 s", "0 s"),
        (6e-4, "0 s", "0.001 s"),
        (0.414, "0 s", "0.41 s"),
        (9.96, "10 s", "10 s"),
        (119.4, "119 s", "119 s"),
        (119.6, "2 min", "2 min 0 s"),
        (125, "2 min", "2 min 5 s"),
        (7_199.4, "120 min", "119 min 59 s"),
        (7_199.6, "2.0 h", "2 h 0 min"),
        (12_000, "3.3 h", "3 h 20 min"),
    ],
)
def test_one_time_has_one_unit_in_estimates_and_measurements(seconds: float, estimated: str, measured: str) -> None:
    assert (duration_of(seconds), time_taken(seconds)) == (estimated, measured)
