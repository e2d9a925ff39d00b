"""Findings of an audit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from interlingua.core.alignment import Alignment, Status
from interlingua.core.errors import InputError
from interlingua.evaluation.bootstrap import Interval, JsonRecord
from interlingua.identification import UNKNOWN, Identification
from interlingua.leakage.attributes import AttributeInference
from interlingua.leakage.calibration import CalibrationError
from interlingua.leakage.defense_scores import DefenseScore
from interlingua.leakage.identities import IdentityFindings
from interlingua.leakage.inversion.scores import Reidentification, WordFigures
from interlingua.leakage.kinds import KindFinding
from interlingua.leakage.linkage import Linkage
from interlingua.leakage.membership import Membership
from interlingua.leakage.row_curves import RowPoint

__all__ = [
    "MUCH",
    "NEAR",
    "SOME",
    "Audit",
    "DocumentFindings",
    "Estimate",
    "FrequentWord",
    "LabelFindings",
    "Leak",
    "RetrievalFindings",
    "WordFindings",
]

# Estimates of translations that are less similar to public texts are not relied on; see RetrievalFindings.is_near.
NEAR = 0.6
# From the first headline figure on the severity is at least medium, and from the second on at least high.
SOME, MUCH = 0.02, 0.2


@dataclass(frozen=True)
class Estimate:
    """A figure that is estimated without a ground truth.

    Attributes:
        interval: the estimate with its bootstrap interval, which covers the sample of documents only.
        control: the same figure where there is nothing to recover.
        error: measured errors of such estimates; None where they do not apply, as for translations that are not similar
            to the public texts, or a decoder that was calibrated on translations of the caller.
    """

    interval: Interval
    control: Interval
    error: CalibrationError | None

    @property
    def value(self) -> float:
        """The estimate without its interval."""
        return self.interval.value

    @property
    def plausible(self) -> Interval | None:
        """The estimate with the range that the measured errors allow; None without measured errors or an estimate.

        The precision of words has no estimate where no word is recovered.
        """
        if self.error is None or math.isnan(self.value):
            return None
        return self.error.plausible(self.value)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; an interval is [value, low, high]."""
        return {
            "value": self.interval.to_list(),
            "control": self.control.to_list(),
            "plausible": self.plausible and self.plausible.to_list(),
            "calibration_error": self.error and self.error.to_dict(),
        }


@dataclass(frozen=True)
class WordFindings(JsonRecord):
    """Words predicted by the calibrated decoder.

    Attributes:
        leak_rate: estimated share of documents with a correct word asserted. Only the most probable word of each
            document counts, so that the estimate is low if the calibration is exact. Control: the translations
            rotated at random, which destroys their meaning.
        precision: estimated share of the asserted words that are right. Control: how often a random public text
            contains them.
        asserted: share of documents with any word asserted.
        vocabulary: size of the vocabulary.
        calibration: what the probabilities were calibrated with.
        ceiling: share of held-out public texts for which a correct word is asserted from their own vectors, the most
            that translations of texts like them could give.
        measured: figures against the true texts, where given.
    """

    leak_rate: Estimate
    precision: Estimate
    asserted: Interval
    vocabulary: int
    calibration: str
    ceiling: Interval
    measured: WordFigures | None

    def without_errors(self) -> WordFindings:
        """Return the same figures without the range of the estimates, where the measured errors do not apply."""
        return replace(
            self, leak_rate=replace(self.leak_rate, error=None), precision=replace(self.precision, error=None)
        )


@dataclass(frozen=True)
class LabelFindings(JsonRecord):
    """Inferred labels.

    Attributes:
        shares: share of documents with each label as their first, the most frequent label first.
        measured: attribute inference against the true labels, where given.
    """

    shares: Mapping[str, float]
    measured: AttributeInference | None


@dataclass(frozen=True)
class RetrievalFindings(JsonRecord):
    """Mean cosines with the nearest public text, rows centered.

    Attributes:
        nearest: mean cosine of translations.
        public: mean cosine of public texts with the nearest other one, copies left out; an upper limit for good
            translations.
        control: mean cosine of translations that were rotated at random.
    """

    nearest: Interval
    public: Interval
    control: Interval

    @property
    def is_near(self) -> bool:
        """Whether translations are nearly as similar to public texts as these are to each other.

        The scale has the control at 0 and public texts at 1. In the records of ``benchmarks/similarity.py``,
        translations by 13 usable fits reached 0.64 to 0.90, and translations of texts of another kind than those of
        the fits 0.04 to 0.54, with one exception of 0.68.
        """
        span = self.public.value - self.control.value
        # False where a similarity is not known (NaN), as where all public texts are copies of a few.
        return self.nearest.value - self.control.value >= NEAR * span


@dataclass(frozen=True)
class DocumentFindings:
    """What was recovered of one row; holds recovered words and texts, so reports show it only on request.

    Attributes:
        row: index of the row.
        words: words asserted, with their probabilities.
        labels: the most probable labels.
        nearest: the nearest public text.
        cosine: its cosine.
        text: the true text, if it is known.
        right: whether each of the words is in the true text.
    """

    row: int
    words: tuple[tuple[str, float], ...]
    labels: tuple[str, ...]
    nearest: str
    cosine: float
    text: str | None = None
    right: tuple[bool, ...] = ()


@dataclass(frozen=True)
class FrequentWord:
    """A word that is asserted for many documents; reports show it only on request.

    Attributes:
        word: the word.
        documents: number of documents with it.
        public: share of the public texts that contain it.
    """

    word: str
    documents: int
    public: float


@dataclass(frozen=True)
class Leak(JsonRecord):
    """The headline figure, on which a pipeline can set a limit.

    Attributes:
        value: the largest of the figures that were measured, 0 to 1: documents with a correct word, rows that are
            re-identified, and first labels or identities that are right, rescaled so that their control counts as 0.
            Without true texts, the estimated share of documents with a correct word if it is larger and can be relied
            on, or if nothing was measured.
        what: which figure it is.
        basis: ``measured``, ``estimated``, or ``attack failed``.
        rows: number of rows that it is a share of.
        source: what it is measured with: true ``texts``, ``labels`` or ``vectors``; empty if it is not measured.
        high: upper end of its interval; None if it is not measured.
    """

    value: float
    what: str
    basis: str
    rows: int
    source: str = ""
    high: float | None = None


@dataclass(frozen=True, eq=False)
class Audit:
    """Findings of one audit.

    Attributes:
        alignment: the unpaired fit with the best verdict.
        verdicts: verdicts of all fits, the best first.
        agreement: mean centered cosine between the translations of two fits; None with one usable fit.
        model: the model that probably made the vectors; None if there are too few rows to identify it.
        public_model: likewise the model of the public vectors.
        links_doubt: why links with a second leak may be missing, or an empty text.
        unlike: for each verdict, whether the fit was left out because its translations are far less similar to the
            public texts than those of another fit; empty without such a fit.
        rows: documents that were attacked.
        leaked: rows of the audited collection.
        public: public texts or rows.
        word_findings: predicted words; None for a collection without texts.
        retrieval: nearest public texts, or public rows.
        label_findings: inferred labels, if any were given.
        reidentified: how well translations identify their true vectors, where these were given.
        defenses: scores of the defenses.
        documents: findings for a few rows.
        leak: the headline figure.
        frequent: the words asserted most often.
        kinds: kinds of data among the words, if they were asked for.
        membership: whether records can be found in the collection, where members are known.
        membership_controls: what the controls of the membership test are.
        linkage: links with a second leak, if one was given.
        points: the leak with fewer rows, if it was asked for.
        identities: how well identities are recognized, for a collection without texts.
        omitted: sentences on what was asked for and could not be measured.
        foreign: for each verdict, whether its fit was made on other vectors and says nothing about these.
        unordered: a sentence for each of ``texts``, ``labels`` and ``vectors`` whose true ones are probably in another
            order than the audited vectors.
    """

    alignment: Alignment
    verdicts: tuple[str, ...]
    agreement: float | None
    model: Identification | None
    rows: int
    leaked: int
    public: int
    word_findings: WordFindings | None
    retrieval: RetrievalFindings
    label_findings: LabelFindings | None
    reidentified: Reidentification | None
    leak: Leak
    defenses: tuple[DefenseScore, ...] = ()
    documents: tuple[DocumentFindings, ...] = field(default=(), repr=False)
    frequent: tuple[FrequentWord, ...] = field(default=(), repr=False)
    kinds: tuple[KindFinding, ...] = ()
    membership: Membership | None = None
    membership_controls: str = ""
    linkage: Linkage | None = None
    points: tuple[RowPoint, ...] = ()
    identities: IdentityFindings | None = None
    omitted: tuple[str, ...] = ()
    foreign: tuple[bool, ...] = ()
    unordered: Mapping[str, str] = field(default_factory=dict)
    public_model: Identification | None = None
    links_doubt: str = ""
    unlike: tuple[bool, ...] = ()

    @property
    def words(self) -> WordFindings:
        """Predicted words.

        Raises:
            InputError: the collection has no texts.
        """
        if self.word_findings is None:
            raise InputError("This audit is of rows without texts, so no words were recovered; see its identities.")
        return self.word_findings

    @property
    def has_usable_fit(self) -> bool:
        """Whether at least one fit has a verdict other than failed."""
        return self.alignment.verdict.status is not Status.FAILED

    @property
    def identified(self) -> bool:
        """Whether the model that made the vectors is probably known."""
        return self.model is not None and self.model.model != UNKNOWN

    @property
    def is_of_one_model(self) -> bool:
        """Whether the public vectors are probably by the model that made the audited ones."""
        found = self.public_model
        return self.identified and found is not None and self.model is not None and found.model == self.model.model

    @property
    def views(self) -> str:
        """Names of the further models whose vectors of the public texts the best fit used; empty without any."""
        return str(self.alignment.settings.get("views", ""))

    def to_dict(self, *, show: bool = False) -> dict[str, Any]:
        """Return plain values for JSON; recovered words and public texts only with ``show``."""
        values: dict[str, Any] = {
            "leak": self.leak.to_dict(),
            "has_usable_fit": self.has_usable_fit,
            "fit": self.alignment.card(),
            "verdicts": list(self.verdicts),
            "foreign": list(self.foreign),
            "agreement": self.agreement,
            "views": self.views or None,
            "model": self.model and {"name": self.model.model, "reason": self.model.reason},
            "public_model": self.public_model and {"name": self.public_model.model, "reason": self.public_model.reason},
            "rows": self.rows,
            "leaked": self.leaked,
            "public": self.public,
            "words": self.word_findings and self.word_findings.to_dict(),
            "identities": self.identities and self.identities.to_dict(),
            "retrieval": self.retrieval.to_dict() | {"is_near": self.retrieval.is_near},
            "labels": self.label_findings and self.label_findings.to_dict(),
            "reidentified": self.reidentified and self.reidentified.to_dict(),
            "defenses": [score.to_dict() for score in self.defenses],
            "kinds": [finding.to_dict() for finding in self.kinds],
            "membership": self.membership and self.membership.to_dict() | {"control_records": self.membership_controls},
            "linkage": self.linkage and self.linkage.to_dict(),
            "by_rows": [point.to_dict() for point in self.points],
            "omitted": list(self.omitted),
            "unordered": dict(self.unordered),
        }
        if show:
            values["documents"] = [
                {
                    "row": d.row, "words": dict(d.words), "labels": list(d.labels), "nearest": d.nearest,
                    "text": d.text, "right": list(d.right),
                }
                for d in self.documents
            ]  # fmt: skip
            values["frequent_words"] = [asdict(word) for word in self.frequent]
        return values
