"""What one audit found, and how it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from interlingua.core.alignment import Alignment, Status
from interlingua.evaluation import Interval
from interlingua.leakage.attributes import AttributeInference
from interlingua.leakage.defenses import DefenseScore
from interlingua.leakage.inversion.scores import Reidentification, WordFigures


@dataclass(frozen=True)
class Words:
    """Words named by the calibrated decoder.

    Attributes:
        expected: share of documents with a correct word asserted, as the calibration has it; the likeliest asserted
            word of each counts alone, so that this is a lower bound if the calibration holds.
        control: the same where the translation was turned at random and means nothing.
        asserted: share of documents with any word asserted.
        claimed: mean probability of the asserted words: their precision, if the calibration holds.
        vocabulary: how many words it knows.
        calibration: what the probabilities were calibrated with.
        measured: figures against the true texts, where given.
    """

    expected: Interval
    control: Interval
    asserted: Interval
    claimed: float
    vocabulary: int
    calibration: str
    measured: WordFigures | None


@dataclass(frozen=True)
class Topics:
    """Labels told apart.

    Attributes:
        shares: share of documents whose first label it is, the most frequent first.
        measured: attribute inference against the true labels, where given.
    """

    shares: Mapping[str, float]
    measured: AttributeInference | None


@dataclass(frozen=True)
class Retrieval:
    """The nearest public texts, by mean cosine of centered rows.

    Attributes:
        nearest: of a translation to its nearest public text.
        public: of a public text to its nearest other, the most that can be hoped for.
        control: of a translation turned at random.
    """

    nearest: Interval
    public: Interval
    control: Interval


@dataclass(frozen=True)
class Document:
    """What is told of one row; holds recovered words and public texts, so that it is shown only on request."""

    row: int
    words: tuple[tuple[str, float], ...]
    labels: tuple[str, ...]
    nearest: str
    cosine: float


@dataclass(frozen=True)
class Leak:
    """The figure that a pipeline gates on: 0 to 1.

    Attributes:
        value: the worst of what was found.
        what: which figure it is.
        basis: ``measured``, ``estimated``, or ``attack failed``.
    """

    value: float
    what: str
    basis: str


@dataclass(frozen=True, eq=False)
class Audit:
    """What one audit found.

    Attributes:
        alignment: the unpaired fit with the best verdict.
        verdicts: of all fits, the best first.
        agreement: mean centered cosine between what two fits make of a row; None where one was usable.
        rows: documents that were looked at.
        words: keywords.
        retrieval: nearest public texts.
        topics: labels, where any were looked for.
        reidentified: how well translations single out their true vectors, where these were given.
        defenses: what each would cost and keep.
        documents: a few rows in full.
        leak: the figure to gate on.
    """

    alignment: Alignment
    verdicts: tuple[str, ...]
    agreement: float | None
    rows: int
    words: Words
    retrieval: Retrieval
    topics: Topics | None
    reidentified: Reidentification | None
    leak: Leak
    defenses: tuple[DefenseScore, ...] = ()
    documents: tuple[Document, ...] = field(default=(), repr=False)

    @property
    def worked(self) -> bool:
        """Whether the best fit's own verdict is anything but failed."""
        return self.alignment.verdict.status is not Status.FAILED

    def to_dict(self, *, show: bool = False) -> dict[str, Any]:
        """Return plain values for JSON; recovered words and public texts only with ``show``."""
        words, topics = self.words, self.topics
        found: dict[str, Any] = {
            "leak": {"value": self.leak.value, "what": self.leak.what, "basis": self.leak.basis},
            "worked": self.worked,
            "fit": self.alignment.card(),
            "verdicts": list(self.verdicts),
            "agreement": self.agreement,
            "rows": self.rows,
            "words": {
                **{name: getattr(words, name).to_list() for name in ("expected", "control", "asserted")},
                "claimed_precision": words.claimed,
                "vocabulary": words.vocabulary,
                "calibration": words.calibration,
                "measured": words.measured and words.measured.to_dict(),
            },
            "retrieval": {name: getattr(self.retrieval, name).to_list() for name in ("nearest", "public", "control")},
            "labels": topics
            and {"shares": dict(topics.shares), "measured": topics.measured and topics.measured.to_dict()},
            "reidentified": self.reidentified and self.reidentified.to_dict(),
            "defenses": [score.to_dict() for score in self.defenses],
        }
        if show:
            found["documents"] = [
                {"row": d.row, "words": dict(d.words), "labels": list(d.labels), "nearest": d.nearest}
                for d in self.documents
            ]
        return found
