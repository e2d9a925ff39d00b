"""The report of an audit, as HTML and JSON: conclusion, figures, defenses, limits and provenance."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from interlingua.core.arguments import check_count, check_flag, check_instance, check_number, check_path, check_settings
from interlingua.core.arrays import require
from interlingua.core.atomic import write_text
from interlingua.evaluation import Interval
from interlingua.leakage.findings import Audit, Estimate
from interlingua.report import _count, _number

__all__ = ["Provenance", "conclusion", "model_statement", "write_audit", "write_audit_json"]

# Headline figures from which the page is amber and red.
_SOME, _MUCH = 0.02, 0.2
_SHARES = 12
_SNIPPET = 120


@dataclass(frozen=True)
class Provenance:
    """Who authorized an audit, and what is needed to repeat it.

    Attributes:
        authorized_by: who authorized it, as given.
        date: ISO 8601, UTC.
        vectors: name of the audited vectors.
        corpus: name of the public corpus.
        encoder: name of the auditor's encoder.
        command: the command line.
        inputs: SHA-256 of each input file, by its name, or by its path if two files have the same name.
        seeds: seeds of the fits.
    """

    authorized_by: str
    date: str
    vectors: str
    corpus: str
    encoder: str
    command: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the facts."""
        check_settings(self)
        check_instance(self.inputs, "inputs", Mapping, "a mapping from names of files to their SHA-256")
        check_instance(self.seeds, "seeds", tuple, "a tuple of integers")
        for seed in self.seeds:
            check_count(seed, "a seed")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


# Risks named by LLM08:2025 of the OWASP Top 10 for LLM applications.
OWASP = "LLM08:2025 Vector and Embedding Weaknesses"
_RISKS = (
    ("Embedding inversion", "words, labels and nearest public texts above", True),
    ("Unauthorized access and data leakage", "what a copy of the vectors alone reveals, without texts or model", True),
    ("Cross-context information leaks", "not tested: needs the tenants and permissions of the running system", False),
    ("Data poisoning", "not tested: needs write access to the running system", False),
    ("Behavior alteration", "not tested: needs the application that uses the vectors", False),
)
_LIMITS = (
    "Only the attacks named in this report were run. There are stronger ones: a network trained for one encoder, a "
    "language model that proposes texts, known pairs of text and vector.",
    "The result depends on the public texts. An attacker with texts more similar to the audited ones recovers more.",
    "Estimates without a ground truth assume that the public texts behave like the audited texts. All fits may match a "
    "group of texts to a wrong group; only a ground truth shows that.",
)


def conclusion(audit: Audit) -> str:
    """Return the result in one paragraph for readers who do not know embeddings."""
    check_instance(audit, "audit", Audit, "the findings of an audit")
    rows = f"{audit.alignment.source.get('n', 0):,}"
    if not audit.worked and audit.leak.basis == "attack failed":
        return (
            f"The attack did not work on these {rows} vectors: no fit was better than chance. This is no proof of "
            "safety. More vectors, public texts of the same kind, a few known pairs of text and vector, or another "
            "method may succeed where these attacks failed."
        )
    claim = _measured(audit) if audit.leak.basis == "measured" else _estimated(audit)
    if not audit.worked:
        return f"By their own verdicts, all fits of these {rows} vectors failed. {claim} This is no proof of safety."
    start = f"An attacker with a copy of these {rows} vectors needs neither the texts nor the model that made them: "
    method = "with public texts of a similar kind and another encoder, the vectors can be translated and read. "
    if audit.leak.value < _SOME:
        return f"{start}{method}{claim} That is little, but no proof of safety: other attacks may find more."
    return f"{start}{method}{claim} Protect the vectors like the texts."


def _measured(audit: Audit) -> str:
    claim = f"Measured against the true contents, the worst figure is {audit.leak.value:.0%}: {audit.leak.what}."
    words = audit.words.measured and audit.words.measured.leak_rate
    if words and words.meaning != audit.leak.what:
        claim += f" A correct word is named for {words.value:.0%} of the documents."
    return claim


def _estimated(audit: Audit) -> str:
    leak = audit.words.leak_rate
    claim = f"By estimate, without the true texts, a correct word is named for about {leak.value:.0%} of the documents"
    if leak.error is None or leak.plausible is None:
        return (
            f"{claim}; without a stand-in encoder this estimate is probably too high. The same procedure on "
            f"meaningless vectors gives {leak.control.value:.0%}."
        )
    low, high = (f"{bound or 0.0:.0%}" for bound in (leak.plausible.low, leak.plausible.high))
    return (
        f"{claim} ({low} to {high}, by the errors of such estimates in {leak.error.cases} cases with known truth). The "
        f"same procedure on meaningless vectors gives {leak.control.value:.0%}."
    )


def model_statement(audit: Audit) -> str:
    """Return which model probably made the vectors, and what that means for an attacker."""
    check_instance(audit, "audit", Audit, "the findings of an audit")
    if audit.model is None:
        return "The model was not identified: there are too few rows."
    if not audit.identified:
        return (
            f"The model was not identified. {audit.model.reason} The figures below need no knowledge of the model. An "
            "attacker who learns the model from another source can recover more."
        )
    scores = [f"{other.name} {other.score:.2f}" for other in audit.model.candidates[1:2]]
    score = f"{audit.model.candidates[0].score:.2f}" if audit.model.candidates else "unknown"
    compared = f" (similarity {'; runner-up: '.join([score, *scores])}; 0 is chance, 1 is the same model)"
    return (
        f"The vectors were probably made by {audit.model.model}{compared}. An attacker who has this model needs no "
        "translation: texts can be embedded with it and compared with the vectors directly. The figures below are for "
        "an attacker who does not have the model; with it, more can be recovered."
    )


def write_audit(
    path: str | Path, audit: Audit, provenance: Provenance, *, fail_above: float | None = None, show: bool = False
) -> Path:
    """Write one self-contained HTML file, readable by its owner only; a file of that name is replaced.

    Args:
        path: the file to write.
        audit: the findings.
        provenance: who authorized the audit, and how to repeat it.
        fail_above: the gate, if there is one.
        show: write recovered words and public texts; otherwise only their number and probabilities.

    Raises:
        MissingExtraError: the extra ``report`` is not installed.
    """
    path, show = check_path(path), check_flag(show, "show")
    check_instance(audit, "audit", Audit, "the findings of an audit")
    check_instance(provenance, "provenance", Provenance, "a Provenance")
    if fail_above is not None:
        fail_above = check_number(fail_above, "fail_above", minimum=0, maximum=1)
    jinja2 = require("jinja2", "report")
    resources = files("interlingua.report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(number=_number, count=_count, percent=_percent, clean=_clean)
    shares = audit.topics.shares if audit.topics else {}
    page = environment.from_string((resources / "audit.html.jinja").read_text("utf-8")).render(
        style=(resources / "style.css").read_text("utf-8") + (resources / "audit.css").read_text("utf-8"),
        audit=audit,
        provenance=_printable(provenance),
        severity=_severity(audit),
        summary=conclusion(audit),
        model=model_statement(audit),
        figures=_figure_rows(audit),
        shares=list(shares.items())[:_SHARES],
        rest=max(0, len(shares) - _SHARES),
        fail_above=fail_above,
        show=show,
        owasp=OWASP,
        risks=_RISKS,
        limits=_LIMITS,
    )
    return write_text(path, page, mode=0o600)


def write_audit_json(path: str | Path, result: Mapping[str, Any]) -> Path:
    """Write the result as JSON, readable by its owner only; numbers that JSON cannot hold become null."""
    path = check_path(path)
    check_instance(result, "result", Mapping, "a mapping of plain values")
    finite = json.loads(json.dumps(result), parse_constant=lambda name: None)
    return write_text(path, json.dumps(finite, indent=2) + "\n", mode=0o600)


def _printable(provenance: Provenance) -> Provenance:
    return Provenance(
        _clean(provenance.authorized_by),
        _clean(provenance.date),
        _clean(provenance.vectors),
        _clean(provenance.corpus),
        _clean(provenance.encoder),
        command=_clean(provenance.command, 4_000),
        inputs={_clean(name): digest for name, digest in provenance.inputs.items()},
        seeds=provenance.seeds,
    )


def _severity(audit: Audit) -> str:
    if audit.leak.basis == "attack failed":
        return "none"
    return "much" if audit.leak.value >= _MUCH else "some" if audit.leak.value >= _SOME else "little"


@dataclass(frozen=True)
class _FigureRow:
    """One row of the table of figures."""

    name: str
    meaning: str
    estimated: Interval | None
    plausible: Interval | None
    measured: Interval | None
    control: Interval | None

    @property
    def bar(self) -> float:
        """Length of the bar, 0 to 1."""
        best = self.measured or self.estimated
        return min(1.0, max(0.0, best.value)) if best else 0.0


def _figure_rows(audit: Audit) -> list[_FigureRow]:
    """Return the rows of the table of figures: estimated, measured, and the control."""
    words, near = audit.words, audit.retrieval
    measured = words.measured

    def row(
        name: str, meaning: str, estimate: Estimate | None, figure: Interval | None, control: Interval | None
    ) -> _FigureRow:
        # Estimates assume that a fit worked.
        if estimate is None or not audit.worked:
            return _FigureRow(name, meaning, None, None, figure, control)
        return _FigureRow(name, meaning, estimate.interval, estimate.plausible, figure, control)

    rows = [
        row(
            "Documents with a word named",
            "share with at least one correct word at p ≥ 0.5",
            words.leak_rate,
            measured.leak_rate.interval if measured else None,
            measured.leak_rate.control if measured else words.leak_rate.control,
        ),
        row(
            "Precision of the words",
            "share of the asserted words that are right; the control is "
            + ("another document" if measured else "a random public text"),
            words.precision,
            measured.precision.interval if measured else None,
            measured.precision.control if measured else words.precision.control,
        ),
    ]
    if audit.topics and audit.topics.measured:
        scores = audit.topics.measured
        rows += [
            row(
                "First label right",
                "the control always chooses the most frequent label",
                None,
                scores.translated.top1,
                scores.majority.top1,
            ),
            row(
                "Separation of labels",
                "mean area under the ROC curve; the control shuffles the documents",
                None,
                scores.translated.macro_auc,
                scores.shuffled.macro_auc,
            ),
        ]
    if audit.reidentified:
        top1 = audit.reidentified.top1
        rows.append(
            row(
                "Re-identified documents",
                "among all attacked; the control is chance",
                None,
                top1.interval,
                top1.control,
            )
        )
    meaning = f"cosine with the nearest one; {near.public.value:.2f} among public texts; the control has no meaning"
    rows.append(_FigureRow("Similarity to public texts", meaning, near.nearest, None, None, near.control))
    return rows


def _percent(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"


def _clean(text: str, limit: int = _SNIPPET) -> str:
    """Return a text without control characters and direction marks, truncated to a number of characters."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text[: limit + 1])
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"
