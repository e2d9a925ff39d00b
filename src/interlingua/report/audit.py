"""The report of an audit, as HTML and JSON: conclusion, figures, defenses, limits and provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isnan
from pathlib import Path
from typing import Any

from interlingua.core.arguments import check_count, check_flag, check_instance, check_number, check_path, check_settings
from interlingua.core.atomic import write_text
from interlingua.core.statistics import beyond_control
from interlingua.core.wording import count_of
from interlingua.evaluation.bootstrap import Interval, JsonRecord
from interlingua.identification import MARGIN, NEEDED
from interlingua.leakage._doubts import ALL_FAILED, doubt, partial_doubt
from interlingua.leakage.findings import SOME, Audit, Estimate
from interlingua.leakage.inversion.scores import Figure
from interlingua.leakage.severity import severity
from interlingua.report._audit_figures import pictures
from interlingua.report._fits import attack_answer, evidence_lines, fits_statement, foreign_statement, likely_causes
from interlingua.report._page import check_html_path, clean, render
from interlingua.report._statements import (
    check_limit,
    contents_of,
    control_words,
    error_range,
    links_statement,
    membership_note,
    unchecked_reason,
)

__all__ = [
    "OWASP",
    "FigureRow",
    "Provenance",
    "conclusion",
    "figure_rows",
    "model_statement",
    "write_audit",
    "write_audit_json",
]

# Colors of the page by severity.
_TONES = {"critical": "much", "high": "much", "medium": "some", "low": "little", "not shown": "none"}
_SHARES = 12


@dataclass(frozen=True)
class Provenance(JsonRecord):
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


# Risks named by LLM08:2025 of the OWASP Top 10 for LLM applications.
OWASP = "LLM08:2025 Vector and Embedding Weaknesses"
_RISKS = (
    ("Embedding inversion", "{} above", True),
    (
        "Unauthorized access and data leakage",
        "what a copy of the vectors alone reveals, without contents or model",
        True,
    ),
    ("Cross-context information leaks", "not tested: needs the tenants and permissions of the running system", False),
    ("Data poisoning", "not tested: needs write access to the running system", False),
    ("Behavior alteration", "not tested: needs the application that uses the vectors", False),
)
_WORDS_SHOWN, _LABELS_SHOWN = "words and nearest public texts", "words, labels and nearest public texts"
_BEYOND = "(figure above - its control) / (1 - its control), at least 0"
_ROTATED = "the control is translations rotated at random"
_RECOGNIZED = "identities and nearest public rows"
_LIMITS = (
    "Only the attacks named in this report were run. There are stronger ones: a network trained for one encoder, a "
    "language model that proposes texts, known pairs of text and vector.",
    "The result depends on the public texts. An attacker with texts more similar to the audited ones recovers more.",
    "Estimates without a ground truth assume that the public texts behave like the audited texts. All fits may match a "
    "group of texts to a wrong group; only a ground truth shows that.",
)


_LIMITS_OF_ROWS = (
    "Only the attacks named in this report were run. There are stronger ones: a network trained for one encoder, or "
    "known pairs of record and vector.",
    "The result depends on the public rows and on the gallery. An attacker with rows more similar to the audited ones "
    "recovers more, and a larger gallery makes identification harder.",
)


def conclusion(audit: Audit) -> str:
    """Return the result in one paragraph for readers who do not know embeddings."""
    check_instance(audit, "audit", Audit, "the findings of an audit")
    rows = f"{audit.leaked:,}"
    if not audit.has_usable_fit and audit.leak.basis == "attack failed":
        return (
            f"The attack did not work on these {rows} vectors: all fits failed by their own verdicts. This is no "
            "proof of safety. More vectors, public texts of the same kind, a few known pairs of text and vector, or "
            "another method may succeed where these attacks failed."
        )
    claim = _measured(audit) if audit.leak.basis == "measured" else _estimated(audit)
    if not audit.has_usable_fit:
        why = doubt(audit) or partial_doubt(audit)
        return f"{claim} {why if ALL_FAILED in why else f'{ALL_FAILED} {why}'}"
    contents, use = ("texts", "read") if audit.word_findings else ("records", "compared with known identities")
    needed = f"needs neither the {contents} nor the model that made them", "another encoder"
    if audit.is_of_one_model:
        needed = f"does not need the {contents}", "the model that made them"
    start = f"An attacker with a copy of these {rows} vectors {needed[0]}: "
    method = f"with public {contents} of a similar kind and {needed[1]}, the vectors can be translated and {use}. "
    claim = " ".join(part for part in (claim, foreign_statement(audit), partial_doubt(audit)) if part)
    doubtful = doubt(audit)
    if doubtful:
        return f"What can be read from these {rows} vectors is not known. {claim} {doubtful}"
    found = severity(audit)
    if audit.leak.value < SOME and found.level not in ("low", "not shown"):
        return f"{start}{method}{claim} That is little, but the severity is {found.level}: {'; '.join(found.reasons)}."
    if audit.leak.value < SOME:
        return f"{start}{method}{claim} That is little, but no proof of safety: other attacks may find more."
    return f"{start}{method}{claim} Protect the vectors like the {contents}."


def _measured(audit: Audit) -> str:
    claim = (
        f"Measured against the true contents of {count_of(audit.leak.rows)}, the headline figure is "
        f"{audit.leak.value:.1%}: {audit.leak.what}."
    )
    measured = audit.word_findings and audit.word_findings.measured
    words = measured and measured.leak_rate
    if words and words.meaning != audit.leak.what:
        claim += f" A correct word is named for {words.value:.1%} of the documents."
    return claim


def _estimated(audit: Audit) -> str:
    leak = audit.words.leak_rate
    if not audit.retrieval.is_near:
        return (
            f"By estimate, without the true texts, a correct word would be named for {leak.value:.0%} of the documents."
        )
    claim = f"By estimate, without the true texts, a correct word is named for about {leak.value:.0%} of the documents"
    if leak.error is None or leak.plausible is None:
        return (
            f"{claim}; the errors of such estimates were not measured, and it is probably too high. The same procedure "
            f"on meaningless vectors gives {leak.control.value:.0%}."
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
            f"The model was not identified. {audit.model.reason} The figures of this audit need no knowledge of the "
            "model. An attacker who learns the model from another source can recover more."
        )
    scores = [f"{other.name} {other.score:.2f}" for other in audit.model.candidates[1:2]]
    score = f"{audit.model.candidates[0].score:.2f}" if audit.model.candidates else "unknown"
    compared = (
        f" (similarity {'; runner-up: '.join([score, *scores])}; 0 is chance, 1 is the same model; a model is "
        f"named if it has {NEEDED:.2f} or more and {MARGIN:.2f} more than the runner-up)"
    )
    if audit.is_of_one_model:
        return (
            f"The vectors were probably made by {audit.model.model}{compared}, and so were the public ones. The "
            "figures of this audit are for an attacker who has this model."
        )
    return (
        f"The vectors were probably made by {audit.model.model}{compared}. An attacker who has this model needs no "
        f"translation: {contents_of(audit)} can be embedded with it and compared with the vectors directly. The "
        "figures of this audit are for an attacker who does not have the model; with it, more can be recovered."
    )


def write_audit(
    path: str | Path,
    audit: Audit,
    provenance: Provenance,
    *,
    fail_above: float | None = None,
    show: bool = False,
    ids: Mapping[int, str] | None = None,
) -> Path:
    """Write one self-contained HTML file, readable by its owner only; a file of that name is replaced.

    Args:
        path: the file to write.
        audit: the findings.
        provenance: who authorized the audit, and how to repeat it.
        fail_above: the largest leak that is accepted, if there is a limit.
        show: write recovered words and public texts; otherwise only their number and probabilities.
        ids: ids of sample documents by their rows, which are written with ``show``; they can name persons.

    Raises:
        InputError: another extension than ``.html``.
        MissingExtraError: the extra ``report`` is not installed.
    """
    path, show = check_html_path(path), check_flag(show, "show")
    check_instance(audit, "audit", Audit, "the findings of an audit")
    check_instance(provenance, "provenance", Provenance, "a Provenance")
    check_instance(ids, "ids", (Mapping, type(None)), "a mapping from rows to their ids")
    if fail_above is not None:
        fail_above = check_number(fail_above, "fail_above", minimum=0, maximum=1)
    found, limit = severity(audit), None if fail_above is None else check_limit(audit, fail_above)
    shares = audit.label_findings.shares if audit.label_findings else {}
    read = _LABELS_SHOWN if audit.label_findings else _WORDS_SHOWN
    shown = read if audit.word_findings else _RECOGNIZED
    page = render(
        "audit.html.jinja",
        ("style.css", "audit.css"),
        audit=audit,
        provenance=_printable(provenance),
        severity=found,
        tone=_TONES[found.level],
        thing="documents" if audit.word_findings else "rows",
        with_truth=any(document.text is not None for document in audit.documents),
        **pictures(audit),
        summary=conclusion(audit),
        answer=attack_answer(audit),
        fits=fits_statement(audit),
        causes=likely_causes(audit),
        evidence=evidence_lines(audit.alignment),
        links="" if audit.linkage is None else links_statement(audit.linkage, contents_of(audit)),
        contents=contents_of(audit),
        error_range=error_range,
        membership_note="" if audit.membership is None else membership_note(audit.membership),
        model=model_statement(audit),
        figures=figure_rows(audit),
        shares=list(shares.items())[:_SHARES],
        rest=max(0, len(shares) - _SHARES),
        fail_above=fail_above,
        limit=limit,
        unchecked="" if fail_above is None else unchecked_reason(audit, fail_above),
        doubtful=bool(doubt(audit)),
        show=show,
        ids=ids or {},
        owasp=OWASP,
        risks=[(name, how.format(shown), tested) for name, how, tested in _RISKS],
        limits=_LIMITS if audit.word_findings else _LIMITS_OF_ROWS,
    )
    return write_text(path, page, mode=0o600)


def write_audit_json(path: str | Path, result: Mapping[str, Any]) -> Path:
    """Write the result as JSON, readable by its owner only; numbers that JSON cannot hold become null."""
    path = check_path(path)
    check_instance(result, "result", Mapping, "a mapping of plain values")
    finite = json.loads(json.dumps(result), parse_constant=lambda name: None)
    return write_text(path, json.dumps(finite, indent=2) + "\n", mode=0o600)


def _printable(provenance: Provenance) -> Provenance:
    names = ("authorized_by", "date", "vectors", "corpus", "encoder")
    cleaned: dict[str, Any] = {name: clean(getattr(provenance, name)) for name in names}
    inputs = {clean(name): digest for name, digest in provenance.inputs.items()}
    return replace(provenance, **cleaned, command=clean(provenance.command, 4_000), inputs=inputs)


@dataclass(frozen=True)
class FigureRow:
    """One row of the table of figures.

    Attributes:
        name: the figure.
        meaning: what it and its control are.
        estimated: the estimate, if there is one.
        plausible: the estimate with the range that measured errors of such estimates allow.
        measured: the figure against the true contents, where they are known.
        control: the same figure where there is nothing to recover.
    """

    name: str
    meaning: str
    estimated: Interval | None = None
    plausible: Interval | None = None
    measured: Interval | None = None
    control: Interval | None = None

    @property
    def bar(self) -> float:
        """Length of the bar, 0 to 1."""
        best = self.measured or self.estimated
        return min(1.0, max(0.0, best.value)) if best else 0.0


def figure_rows(audit: Audit) -> list[FigureRow]:
    """Return the rows of the table of figures: estimated, measured, and the control.

    Raises:
        InputError: not the findings of an audit.
    """
    check_instance(audit, "audit", Audit, "the findings of an audit")
    near = audit.retrieval
    rows = _word_rows(audit) if audit.word_findings else []

    def measured(name: str, meaning: str, value: Interval, control: Interval | None) -> None:
        rows.append(FigureRow(name, meaning, measured=value, control=control))

    if audit.label_findings and audit.label_findings.measured:
        first, most_frequent, shuffled = (
            getattr(audit.label_findings.measured, name) for name in ("translated", "majority", "shuffled")
        )
        n = audit.label_findings.measured.n
        meaning = "the control always chooses the most frequent label"
        if n < audit.rows:
            meaning = f"of the {n:,} documents whose true label is among those to infer; {meaning}"
        measured("First label right", meaning, first.top1, most_frequent.top1)
        beyond = Interval(beyond_control(first.top1.value, most_frequent.top1.value))
        measured("First label right, beyond the control", _BEYOND, beyond, None)
        meaning = "mean area under the ROC curve; the control shuffles the documents"
        measured("Separation of labels", meaning, first.macro_auc, shuffled.macro_auc)
    if audit.identities:
        found = audit.identities
        meaning = f"nearest of {found.identities} enrolled identities; the control always chooses the most frequent one"
        measured("Rank-1 identification", meaning, found.rank1, found.rank1_control)
        measured("Rank-1 identification, beyond the control", _BEYOND, Interval(found.beyond_control), None)
        meaning = f"error rate of verification, low means that identities are recognized; {_ROTATED}"
        measured("Equal error rate", meaning, found.equal_error_rate, found.equal_error_rate_control)
        meaning = f"right claims accepted at 1% false accepts; {_ROTATED}"
        measured("Verification", meaning, found.accepted, found.accepted_control)
    if audit.reidentified:
        top1 = audit.reidentified.top1
        measured(
            f"Re-identified {'documents' if audit.word_findings else 'rows'}",
            "among all attacked; the control is chance",
            top1.interval,
            top1.control,
        )
    public = "public texts" if audit.word_findings else "public rows"
    among = "not known" if isnan(near.public.value) else f"{near.public.value:.2f}"
    meaning = f"cosine with the nearest one; {among} among {public}; {_ROTATED}"
    return [*rows, FigureRow(f"Similarity to {public}", meaning, near.nearest, control=near.control)]


def _word_rows(audit: Audit) -> list[FigureRow]:
    words, found = audit.words, audit.words.measured

    def row(name: str, meaning: str, estimate: Estimate, figure: Figure | None) -> FigureRow:
        # Estimates assume that a fit worked.
        value, plausible = (estimate.interval, estimate.plausible) if audit.has_usable_fit else (None, None)
        control = figure.control if figure else estimate.control
        return FigureRow(name, meaning, value, plausible, figure.interval if figure else None, control)

    control = control_words(audit)
    named = f"share with at least one correct word of probability 0.5 or more; the control is {control}"
    right = f"share of these words that are right; the control is {control if found else 'a random public text'}"
    return [
        row("Documents with a word named", named, words.leak_rate, found.leak_rate if found else None),
        row("Precision of the words", right, words.precision, found.precision if found else None),
    ]
