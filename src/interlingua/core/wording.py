"""How measurements and steps of a fit are put into words, the same on the terminal, in reports and in the browser."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = [
    "CANDIDATE_MEASUREMENTS",
    "COMPARE_SEARCHES",
    "VERDICT_MEANINGS",
    "bar_length",
    "be",
    "comparison_sign",
    "count_of",
    "describe_candidate",
    "describe_diagnosis",
    "describe_evidence",
    "describe_rows",
    "describe_step",
    "describe_total",
    "duration_of",
    "evidence_cells",
    "first_of",
    "is_narrow",
    "listed",
    "none_of",
    "rough_size_of",
    "size_of",
    "some_of",
    "text_of",
    "time_taken",
]

# Beside everything that says how good a map or a migration is.
COMPARE_SEARCHES = (
    "Searches in translated vectors can rank worse than the old model itself, and in most recorded searches they did. "
    "Compare both models on queries of your own before you switch."
)
# What each verdict means for the use of a translator.
VERDICT_MEANINGS = {
    "aligned": "The evidence shows that the two spaces are aligned. Translations can be used.",
    "doubtful": "The evidence is mixed. Check some translations, or known pairs, before relying on this fit.",
    "failed": "The evidence does not differ enough from chance. Translations are meaningless; do not use them.",
}
# Measurements of a candidate target that its record holds.
CANDIDATE_MEASUREMENTS = ("transport_excess", "refit_agreement", "cycle", "start_agreement")
# A measurement passes narrowly within this share of the distance between its null and its limit.
_NARROW = 0.05
_SIGNS = {"at_least": "≥", "at_most": "≤"}
# Times below are shown in seconds, and in minutes, after rounding to seconds.
_MINUTES, _HOURS = 120, 7200
# Measured times below, in seconds, are shown with two digits.
_PRECISE = 9.5
_TERMS = ("loss", "reconstruction", "cycle", "vsp", "adversarial", "latent_adversarial")
# A step is reported when it ends, so its text names the work that begins then. Steps number rounds and copies from 0,
# and texts number them from 1.
_STEPS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "texts": lambda s: f"embedding {s['used']:,} texts with the source encoder",
    "embedding": lambda s: f"embedding with the {s['side']} encoder{_named(s)}, {s['at']:,} of {s['of']:,} texts",
    "embedded": lambda s: "embedding the texts with the target encoder" if s["side"] == "source" else "fitting the map",
    "collection": lambda s: f"continuing after the comparison with the {s['side']} collection",
    "rows": lambda s: "looking for repeated rows",
    "unusable rows": lambda s: f"leaving out {s['rows']:,} of {s['of']:,} rows of the {s['side']}",
    "copies": lambda s: "reducing both sides to their main directions",
    "null": lambda s: f"refining maps from random starts for comparison, {_parts(s)}",
    "search": lambda s: "search round 1",
    "round": lambda s: f"continuing after search round {s['round'] + 1} of at most {s['of']}" + _scores(s),
    "pairs": lambda s: "reading the known pairs",
    "labels": lambda s: "reading the categories",
    "view": lambda s: f"reading the view {s['name']}",
    "known": lambda s: "searching with the known pairs or categories",
    "trial": lambda s: f"fitting candidate {s['name']}, {s['at']} of {s['of']}",
    "union": lambda s: f"adding rows of candidate {s['name']}",
    "candidate": lambda s: f"candidate {s['name']}: {s['use']}, {s['status']}",
    "exchange": lambda s: "comparing exchanges of groups" if s["kept"] else "fitting the non-orthogonal map",
    "islands": lambda s: (
        f"second search, {s['stage']} {s['number'] + 1}, generation {s['generation']}"
        f"{_scores(s)}, {s['refinements']} maps after {time_taken(s['seconds'])}"
    ),
    "second search": lambda s: "carrying the best map to full width",
    "interrupted": lambda s: f"continuing with the map of the {s['kept']}",
    "fine": lambda s: "refining the map",
    "polishing": lambda s: f"refining the map, {_parts(s)}",
    "polish": lambda s: "fitting the non-orthogonal map",
    "full width": lambda s: "fitting the non-orthogonal map",
    "nonorthogonal stage": lambda s: f"fitting the non-orthogonal map, {_parts(s)}",
    "nonorthogonal": lambda s: "finishing the map",
    "correcting": lambda s: f"correcting the map, {_parts(s)}",
    "correction": lambda s: "measuring the evidence for the verdict",
    "judging": lambda s: f"measuring the evidence for the verdict, {_parts(s)}",
    "second fit": lambda s: f"fitting again without {s['without']:,} pairs",
    "calibrating": lambda s: f"measuring the scales of scores, {_parts(s)}",
    "failed start": lambda s: f"continuing without the failed alignment of {s['from']} and {s['to']}",
    "refit": lambda s: f"refit {s['at'] + 1} of {s['of']}" if s["at"] < s["of"] else "averaging the refits",
    "mirror": lambda s: f"training after mirrored copy {s['copy'] + 1}",
    "check": lambda s: f"training after the measurements at step {s['at']}",
    "run": lambda s: f"comparing the run with seed {s['seed']}",
    "train": lambda s: _training(s),
    "verdict": lambda s: f"verdict {s['status']}",
    "attack": lambda s: str(s["work"]),
    "point": lambda s: f"attacking with {s['rows']:,} of {s['all_rows']:,} {s['side']} rows",
    "defense": lambda s: f"defense {s['name']}, {s['at'] + 1} of {s['of']}",
}


def describe_step(step: Mapping[str, Any]) -> str:
    """Return what a fit does after it reported a step, in words, or the name of a step of another method."""
    name = str(step.get("step", ""))
    try:
        words = _STEPS[name](step)
    except (KeyError, TypeError, ValueError):  # a step of a user's method
        return name
    total = step.get("total_seconds_left")
    return words + _left(step.get("seconds_left")) + describe_total(None, total)


def describe_rows(phase: str, done: int, rows: int, speed: float, seconds_left: float | None) -> str:
    """Return how far work on rows is, in words.

    Args:
        phase: what is done.
        done: number of rows done.
        rows: number of rows.
        speed: rows per second; 0 if it is not known yet.
        seconds_left: by the speed so far, or None.
    """
    rate = f", {speed:,.0f} rows/s" if speed else ""
    return f"{phase} {done:,} of {rows:,} rows{rate}" + (_left(seconds_left) if done < rows else "")


def describe_total(elapsed: float | None, seconds_left: float | None) -> str:
    """Return how long the whole work has taken, and how long it still takes, in words that follow others.

    Args:
        elapsed: seconds since the whole work began, or None to leave them out.
        seconds_left: of the whole work, or None.
    """
    words = f", {time_taken(elapsed)} so far in all" if elapsed is not None else ""
    if seconds_left is not None and round(seconds_left):
        words += f", about {duration_of(seconds_left)} left in all"
    return words


def _left(seconds: float | None) -> str:
    return f", {duration_of(seconds)} left in this stage" if seconds is not None and round(seconds) else ""


def duration_of(seconds: float) -> str:
    """Return an estimated duration in the unit that suits it: ``90 s``, ``12 min``, ``3.5 h``."""
    whole = round(seconds)
    if whole < _MINUTES:
        return f"{whole} s"
    return f"{whole / 60:.0f} min" if whole < _HOURS else f"{whole / 3600:.1f} h"


def time_taken(seconds: float) -> str:
    """Return a measured time in the units of `duration_of`: ``0.41 s``, ``90 s``, ``2 min 5 s``, ``3 h 20 min``.

    A time below half a millisecond is ``0 s``.
    """
    if seconds < _PRECISE:
        return f"{round(seconds, 3):.2g} s"
    whole = round(seconds)
    if whole < _MINUTES:
        return f"{whole} s"
    if whole < _HOURS:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _named(step: Mapping[str, Any]) -> str:
    return f" ({step['name']})" if "name" in step else ""


def _parts(step: Mapping[str, Any]) -> str:
    return f"{step['at']} of {step['of']} steps done"


def _scores(step: Mapping[str, Any]) -> str:
    """Return how far a search is from random maps, in standard deviations of their scores."""
    return f", best map {step['excess']:.1f} deviations above random ones"


def _training(step: Mapping[str, Any]) -> str:
    terms = "  ".join(f"{term} {step[term]:.3f}" for term in _TERMS if term in step)
    return f"training step {step['at']} of {step['of']}  {terms}".rstrip()


def count_of(number: int, noun: str = "row") -> str:
    """Return a number with its noun: ``1 row``, ``1,234 rows``, ``2 queries``.

    Args:
        number: how many.
        noun: what they are, whose plural ends in s, or in ies in place of a y after a consonant.
    """
    if number != 1:
        noun = f"{noun[:-1]}ies" if noun[-1] == "y" and noun[-2] not in "aeiou" else f"{noun}s"
    return f"{number:,} {noun}"


def be(number: int) -> str:
    """Return the verb of a number of things: ``is`` or ``are``."""
    return "is" if number == 1 else "are"


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def none_of(count: int, noun: str, does: str, does_not: str, *, which: str = "") -> str:
    """Return that no row does something: ``none of the 5 rows has a vector``, ``the only row has no vector``.

    Args:
        count: number of rows.
        noun: what they are; its plural ends in s.
        does: what none of several does, as the predicate of one.
        does_not: the negated predicate, for a single row.
        which: words after the noun that say which rows these are, with a space before.
    """
    return f"the only {noun}{which} {does_not}" if count == 1 else f"none of the {count_of(count, noun)}{which} {does}"


def some_of(count: int, of: int, noun: str, does: str, do: str, *, which: str = "") -> str:
    """Return how many do something: ``2 of 1,200 rows are zero``, ``1 of 3 rows is zero``, ``the only row is zero``.

    Args:
        count: number of those that do it, at least one.
        of: number of all.
        noun: what they are; its plural ends in s.
        does: what one does, as a predicate.
        do: the predicate of several.
        which: words after the noun that say which ones these are, with a space before.
    """
    if of == 1:
        return f"the only {noun}{which} {does}"
    return f"{count:,} of {count_of(of, noun)}{which} {does if count == 1 else do}"


def first_of(count: int, first: str) -> str:
    """Return which of some things is the first, as the end of a sentence that has counted them, or the only one.

    Args:
        count: their number.
        first: name of the first.
    """
    return f", namely {first}" if count == 1 else f"; the first is {first}"


def text_of(name: str) -> str:
    """Return the name of a file with a question mark for each byte that is not text, so that it can be saved."""
    return name.encode("utf-8", "replace").decode()


def size_of(number: float) -> str:
    """Return a number of bytes in the largest unit that it has at least one of, such as ``1.50 GB`` or ``12 bytes``."""
    for unit, divisor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= divisor:
            return f"{number / divisor:,.2f} {unit}"
    return count_of(round(number), "byte")


def rough_size_of(number: float) -> str:
    """Return an estimated number of bytes with two digits, such as ``860 MB``."""
    for unit, divisor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= divisor:
            return f"{float(f'{number / divisor:.2g}'):,g} {unit}"
    return size_of(number)


def comparison_sign(evidence: Mapping[str, Any]) -> str:
    """Return the sign between a value and its threshold where the measurement passes: ``≥`` or ``≤``.

    Args:
        evidence: a measurement as :meth:`interlingua.core.alignment.Verdict.to_dict` writes it.
    """
    return _SIGNS[evidence["direction"]]


def bar_length(evidence: Mapping[str, Any]) -> float:
    """Return the length of a bar from 0 to 2 that reaches 1 exactly where the measurement passes.

    The null has length 0 where the value has to move away from it, and length 2 where it must not.
    """
    null = float(evidence["null"])
    value, limit = float(evidence["value"]) - null, float(evidence["threshold"]) - null
    if not math.isfinite(value) or not math.isfinite(limit) or limit == 0:
        return 1.0 if evidence["passed"] else 0.0
    length = value / limit
    if (comparison_sign(evidence) == "≥") != (limit > 0):
        length = 2 - length
    return min(2.0, max(0.0, length))


def is_narrow(evidence: Mapping[str, Any]) -> bool:
    """Return whether a measurement passed by less than a twentieth of the distance between its null and its limit.

    A value below half of a limit that it must not exceed does not count as narrow. Otherwise a share with the limit
    0.01 and the null 0.5 could only pass narrowly, because even its best value, 0, is that near to the limit.

    Args:
        evidence: as in `comparison_sign`.
    """
    value, null, limit = (float(evidence[key]) for key in ("value", "null", "threshold"))
    # Without a distance, bar_length says only whether the measurement passed.
    if not evidence["passed"] or not math.isfinite(value) or not math.isfinite(limit - null) or limit == null:
        return False
    if comparison_sign(evidence) == "≤" and 0 <= value < limit / 2:
        return False
    return 1 <= bar_length(evidence) < 1 + _NARROW


def evidence_cells(evidence: Mapping[str, Any]) -> tuple[str, str, str, str, str, str]:
    """Return name, value, null, limit, whether it passed, and meaning of a measurement, as texts for a table.

    Where a measurement has passed narrowly (:func:`is_narrow`), the fifth text is ``narrowly``.

    Args:
        evidence: as in `comparison_sign`.
    """
    value, null, limit = (f"{evidence[key]:.3g}" for key in ("value", "null", "threshold"))
    passed = "narrowly" if is_narrow(evidence) else "yes" if evidence["passed"] else "no"
    return (
        evidence["name"].replace("_", " "),
        value,
        null,
        f"{comparison_sign(evidence)} {limit}",
        passed,
        evidence["meaning"],
    )


def describe_evidence(evidence: Mapping[str, Any]) -> str:
    """Return a measurement with its limit, its null and its meaning, in one line.

    Args:
        evidence: as in `comparison_sign`.
    """
    limit = f"needs {evidence['direction'].replace('_', ' ')} {evidence['threshold']:.3g}"
    null = f"{evidence.get('null_meaning', 'chance')} about {evidence['null']:.3g}"
    name = evidence["name"].replace("_", " ")
    return f"{name} {evidence['value']:.3g} ({limit}; {null}): {evidence['meaning']}"


def describe_candidate(candidate: Mapping[str, Any]) -> str:
    """Return one of several candidate targets with its use and its evidence, in one line.

    Args:
        candidate: a record of :attr:`interlingua.core.alignment.Alignment.candidates`.
    """
    measured = [
        f"{name.replace('_', ' ')} {candidate[name]:.3g}" for name in CANDIDATE_MEASUREMENTS if name in candidate
    ]
    head = f"{candidate['name']} ({candidate['rows']:,} rows): {candidate['use']}; alone {candidate['status']}"
    return ", ".join([head, *measured])


def describe_diagnosis(diagnosis: Mapping[str, Any]) -> str:
    """Return a cause of a failed fit, what was measured and what would help, in one line.

    Args:
        diagnosis: as :meth:`interlingua.core.alignment.Diagnosis.to_dict` returns it.
    """
    return f"{diagnosis['name']}: {diagnosis['finding']} {diagnosis['advice']}"
