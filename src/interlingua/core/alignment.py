"""The result of a fit: maps of both directions, the verdict with its evidence, and its provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interlingua.core import summaries
from interlingua.core.arguments import check_choice, check_flag, check_number, described
from interlingua.core.arrays import require
from interlingua.core.calibration import ScoreCalibration
from interlingua.core.errors import InputError, InterlinguaError
from interlingua.core.maps import VectorMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.wording import describe_diagnosis, describe_evidence

if TYPE_CHECKING:
    from interlingua.core.translator import Translator

__all__ = [
    "FAILED_FIT_ADVICE",
    "MEASUREMENTS",
    "Alignment",
    "AlignmentError",
    "Diagnosis",
    "Evidence",
    "Status",
    "Verdict",
    "end_if_interrupted",
    "failed_fit_advice",
    "pairs_disagree",
    "unsupported_pairs_advice",
]

FAILED_FIT_ADVICE = "Give more rows (thousands per side), rows of more similar content, or a few known pairs"


def failed_fit_advice(evidence: Sequence[Evidence]) -> str:
    """Return what to do about a failed fit, without the final period: give more data, or check the known pairs.

    Args:
        evidence: of its verdict.
    """
    return unsupported_pairs_advice() if pairs_disagree(evidence) else FAILED_FIT_ADVICE


def unsupported_pairs_advice(
    pairs: str = "The known pairs", *, enough: bool = False, without: str = "fit without them"
) -> str:
    """Return what to do where known pairs support no map, without the final period.

    Args:
        pairs: what the pairs are, as the subject of a sentence.
        enough: whether the pairs are so many that they would support a map if they were of the same texts.
        without: how to fit without them.
    """
    cause = (
        "They are at least twice as many as the larger width, so that their rows are probably not the same texts"
        if enough
        else "There are too few of them, or their rows are not the same texts"
    )
    return f"{pairs} support no map. {cause}. If they are not the same texts, {without}; if they are, give more of them"


def pairs_disagree(evidence: Sequence[Evidence]) -> bool:
    """Return whether the known pairs contradict a map.

    They do if too many of them disagree with it, or if the similarity of the pairs that were held out is nearer to that
    of mismatched pairs than to its threshold.

    Args:
        evidence: of a verdict; without pairs it has no such measurement.
    """
    return any(
        not item.passed and (item.name == "disagreeing_pairs" or item.value < (item.null + item.threshold) / 2)
        for item in evidence
        if item.name in {"disagreeing_pairs", "held_out_pairs"}
    )


# Every name that evidence of a verdict can have, except those of a user's criteria.
MEASUREMENTS = frozenset(
    {
        "category_agreement",
        "coverage_of_pairs",
        "cycle",
        "disagreeing_pairs",
        "effective_rank",
        "held_out_pairs",
        "hubness",
        "map_agreement",
        "rank_of_pairs",
        "refit_agreement",
        "round_trip",
        "self_retrieval",
        "sliced_wasserstein",
        "start_agreement",
        "transport_excess",
    }
)


class Status(StrEnum):
    """The judgment of a fit by label-free evidence."""

    ALIGNED = "aligned"
    DOUBTFUL = "doubtful"
    FAILED = "failed"


@dataclass(frozen=True)
class Evidence:
    """One label-free measurement of a fit, beside a value to compare it with.

    Attributes:
        name: of the criterion, for example ``transport_excess``.
        value: the measurement.
        null: the value to compare with. For ``at_least`` it is the same measurement where nothing is aligned; for
            ``at_most`` it is the same measurement of real rows among themselves, the best that can be expected.
        threshold: the limit that the value has to meet. An ``aligned`` fit meets every limit, or held-out pairs
            confirm it.
        passed: whether the value meets it.
        meaning: one sentence that explains the measurement.
        direction: whether the value must be at least or at most the threshold.
        null_meaning: what the null is, in words.
    """

    name: str
    value: float
    null: float
    threshold: float
    passed: bool
    meaning: str
    direction: Literal["at_least", "at_most"] = "at_least"
    null_meaning: str = "chance"

    def __str__(self) -> str:
        """Return the measurement with its limit, its null and its meaning, in one line."""
        return describe_evidence(asdict(self))


@dataclass(frozen=True)
class Diagnosis:
    """A cause of a fit that is not aligned, measured on the two sides alone.

    Attributes:
        name: of the cause, for example ``few rows``.
        finding: one or two sentences with what was measured.
        advice: a sentence that says what to do.
        weight: from 0, at the limit from which the cause is named, to 1; causes are ordered by it.
    """

    name: str
    finding: str
    advice: str
    weight: float

    def __str__(self) -> str:
        """Return the cause with its numbers and the advice, in one line."""
        return describe_diagnosis(asdict(self))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """The conclusion from all evidence.

    Attributes:
        status: ``aligned``, ``doubtful`` or ``failed``.
        score: smallest ``(value - null) / (threshold - null)`` of the decisive criteria, clipped to [0, 1]; at
            most 0.5 for a failed fit. Where held-out pairs alone confirm a map, their mean cosine on a scale from 0
            for mismatched pairs to 1 for equal vectors.
        reasons: one line of text each, the most important first.
        evidence: the measurements that the reasons are made from.
    """

    status: Status
    score: float
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()

    def __post_init__(self) -> None:
        """Store plain values, and refuse those that no verdict has.

        Raises:
            InputError: another status, a score outside 0 to 1, reasons that are not strings, or no `Evidence`.
        """
        reasons: Any = self.reasons
        if isinstance(reasons, str) or not all(isinstance(reason, str) for reason in reasons):
            raise InputError(f"reasons of a verdict is {described(reasons)}; a sequence of texts is needed.")
        if not all(isinstance(item, Evidence) for item in self.evidence):
            raise InputError(f"evidence of a verdict is {described(self.evidence)}; Evidence objects are needed.")
        values = {
            "status": Status(check_choice(self.status, "status", [str(status) for status in Status])),
            "score": check_number(self.score, "score", minimum=0, maximum=1),
            "reasons": tuple(self.reasons),
            "evidence": tuple(self.evidence),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Return status, score and the number of criteria passed."""
        return f"Verdict({summaries.verdict_line(self.to_dict())})"

    def _repr_html_(self) -> str:
        return summaries.verdict_html(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "status": str(self.status),
            "score": self.score,
            "reasons": list(self.reasons),
            "evidence": [asdict(e) for e in self.evidence],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Verdict:
        """Return the verdict that :meth:`to_dict` gave.

        Raises:
            AttributeError, KeyError, OverflowError, TypeError, ValueError: the values are of something else.
        """
        evidence = tuple(Evidence(**item) for item in values.get("evidence", ()))
        reasons = tuple(str(reason) for reason in values.get("reasons", ()))
        return cls(Status(values["status"]), float(values["score"]), reasons, evidence)


@dataclass(frozen=True, eq=False)
class Alignment:
    """The result of :func:`interlingua.align`.

    Attributes:
        forward: map from source to target.
        backward: map from target to source.
        verdict: the verdict on the fit.
        method: the aligner's name.
        seed: the seed it ran with.
        settings: the aligner's settings.
        source: name, shape and fingerprint of the source space.
        target: the same of the target space.
        profiles: statistics of source and target rows, by which a translator recognizes vectors of other models.
        calibration: the scales of scores, by which a translator converts them; None where no rows could be held out.
        candidates: of a fit with several candidate targets, a record of each: its name and rows, the status and
            evidence of its own fit, the agreement of its map with that of the kept candidate, and its use (``kept``,
            ``added`` or ``left out``).
        diagnoses: causes of an unpaired fit that is not aligned, at most three, the most important first; empty where
            no cause was identified, and None where none was looked for.
        trace: what the fit did, step by step; numbers and short words only.
        versions: versions of the packages that computed it.
        machine: cores, threads and BLAS libraries that computed it.
        seconds: wall time of the fit.
    """

    forward: VectorMap
    backward: VectorMap
    verdict: Verdict
    method: str
    seed: int
    settings: Mapping[str, Any]
    source: Mapping[str, Any]
    target: Mapping[str, Any]
    profiles: tuple[SpaceProfile, SpaceProfile]
    calibration: ScoreCalibration | None = None
    candidates: tuple[Mapping[str, Any], ...] = ()
    diagnoses: tuple[Diagnosis, ...] | None = None
    trace: tuple[Mapping[str, Any], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def __repr__(self) -> str:
        """Return the widths, the method and the verdict on one line."""
        widths = f"{self.forward.d_in} -> {self.forward.d_out}"
        return f"Alignment({widths}, method {self.method}: {summaries.verdict_line(self.verdict.to_dict())})"

    def _repr_html_(self) -> str:
        checks = [step for step in self.trace if step.get("step") == "check" and "score" in step]
        # Runs from several seeds follow each other; the last is drawn.
        checks = [step for step in checks if step.get("seed") == checks[-1].get("seed")]
        steps, scores = ([float(step[name]) for step in checks] for name in ("at", "score"))
        curve = summaries.curve_html("label-free score", steps, scores)
        return summaries.card_html("Alignment", self.card(), curve)

    def report(self, path: str | Path, **parts: Any) -> Path:
        """Write one self-contained HTML file about the fit, also about one that failed; the extra is ``report``.

        Args:
            path: the file to write; one of that name is replaced.
            parts: spaces, held-out rows, labels and scores to show, as :func:`interlingua.report.write_report` takes
                them, for example ``source=source, target=target``.

        Returns:
            The path.

        Raises:
            InputError: parts that cannot be shown.
            MissingExtraError: the extra ``report`` is not installed.
        """
        # Imported by name, because this package must not depend on the reports.
        written: Path = require("interlingua.report", "report").write_report(path, self, **parts)
        return written

    def summary(self) -> str:
        """Return spaces, method, and the verdict with its reasons and evidence, as short plain text."""
        return summaries.card_text(self.card())

    def translator(self, *, force: bool = False) -> Translator:
        """Return the object that translates vectors.

        Args:
            force: make one even of a failed fit.

        Raises:
            AlignmentError: the verdict is ``failed`` and ``force`` is not set.
        """
        from interlingua.core.translator import translator_of

        check_flag(force, "force")
        if self.verdict.status is Status.FAILED and not force:
            raise AlignmentError(
                "The fit failed: nothing confirms this map, and most such maps are no better than chance. "
                + " ".join(self.verdict.reasons),
                self,
                f"{failed_fit_advice(self.verdict.evidence)}. {{force}} makes the translator nevertheless.",
            )
        return translator_of(self.forward, self.backward, self.profiles, self.card(), self.calibration)

    def card(self) -> dict[str, Any]:
        """Return everything but the arrays, as plain values for JSON."""
        reduced = {
            side: profile.check
            for side, profile in zip(("source", "target"), self.profiles, strict=True)
            if profile.looks_reduced
        }
        return {
            "source": dict(self.source),
            "target": dict(self.target),
            **({"reduced": reduced} if reduced else {}),
            "verdict": self.verdict.to_dict(),
            "method": self.method,
            "seed": self.seed,
            "settings": dict(self.settings),
            **({"candidates": [dict(each) for each in self.candidates]} if self.candidates else {}),
            **({} if self.diagnoses is None else {"diagnoses": [each.to_dict() for each in self.diagnoses]}),
            "versions": dict(self.versions),
            "machine": dict(self.machine),
            "seconds": round(self.seconds, 3),
        }


def end_if_interrupted(alignment: Alignment) -> None:
    """Raise `KeyboardInterrupt` if the user interrupted the fit, which then ended with its best map up to then.

    A command in which a fit is only the first step calls this, so that it does not go on with that map.
    """
    if any(step.get("step") == "interrupted" for step in alignment.trace):
        raise KeyboardInterrupt


class AlignmentError(InterlinguaError, RuntimeError):
    """A fit ended with the verdict ``failed`` and no translator was made of it.

    Attributes:
        alignment: the failed alignment with its evidence, for inspection.
    """

    def __init__(self, message: str, alignment: Alignment | None = None, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.alignment = alignment
