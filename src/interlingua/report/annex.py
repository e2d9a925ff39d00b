"""An annex to an audit for the data protection officer, as HTML and as Markdown.

It follows what Article 33(3) of the GDPR asks of a notification, and says what the controller has to add: an audit
knows vectors, and neither persons nor contracts. It holds no recovered word and no text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from interlingua.core.arguments import check_instance, check_path
from interlingua.core.atomic import write_text
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.evaluation.bootstrap import Interval
from interlingua.leakage._doubts import doubt, partial_doubt
from interlingua.leakage.attributes import AttributeInference
from interlingua.leakage.defense_scores import DefenseScore
from interlingua.leakage.findings import Audit, Estimate
from interlingua.leakage.severity import severity
from interlingua.report._fits import attack_clause, fits_statement, likely_causes
from interlingua.report._page import clean, render
from interlingua.report._statements import (
    contents_of,
    control_words,
    defense_statement,
    in_percent,
    links_statement,
    membership_note,
)
from interlingua.report.audit import OWASP, Provenance, conclusion, model_statement

__all__ = ["MEANINGS", "AnnexSection", "annex_sections", "owasp_paragraph", "write_annex"]

# What each mechanism of a defense does, for readers who are no engineers.
MEANINGS = {
    "noise": "Noise adds a random number to every coordinate of the vectors, which have length 1; the number in its "
    "name is the standard deviation.",
    "quantization": "Int8 and int4 round every coordinate to 8 or 4 bits; 1 bit keeps only its sign.",
    "truncation": "Truncation keeps only the first coordinates and leaves out all others.",
    "secret rotation": "A secret rotation turns all vectors by the same rotation, and this rotation is the key.",
    "secret signed permutation": "A secret signed permutation reorders the coordinates of all vectors and flips some "
    "signs, the same for every vector; this order and these signs are the key.",
    "distance-preserving encryption": "Distance-preserving encryption scales, permutes and perturbs vectors so that "
    "distances that differ by more than beta keep their order.",
}

_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|!])")
# What could be taken for a tag, an address or an entity; the sign before the number of an entity is escaped above.
_MARKUP = re.compile(r"<(?=\S)|&(?=\w+;)")


@dataclass(frozen=True)
class AnnexSection:
    """One section of the annex.

    Attributes:
        heading: what it answers.
        lines: its statements, whole sentences.
    """

    heading: str
    lines: tuple[str, ...]


def annex_sections(audit: Audit, provenance: Provenance) -> tuple[AnnexSection, ...]:
    """Return the sections of the annex: what, about whom, how sure, which attacker, and what would reduce it."""
    check_instance(audit, "audit", Audit, "the findings of an audit")
    check_instance(provenance, "provenance", Provenance, "a Provenance")
    rows = audit.leaked
    found, contents = severity(audit), contents_of(audit)
    return (
        AnnexSection(
            "What was tested (Article 33(3)(a))",
            (
                f"{rows:,} vectors ({clean(provenance.vectors)}), as they would be in a leaked copy or backup without "
                f"the {contents}. The audit was made on {provenance.date[:10]}. It was authorized by: "
                f"{clean(provenance.authorized_by)}.",
            ),
        ),
        AnnexSection("What can be read", (conclusion(audit), *_readings(audit))),
        AnnexSection(
            "About whom",
            (
                *_kinds(audit),
                "To be added by the controller: the categories and the approximate number of data subjects and of "
                "records, and a contact point (Article 33(3)(a) and (b)). The audit cannot know them.",
            ),
        ),
        AnnexSection("How sure this is", _certainty(audit)),
        AnnexSection(
            "Against which attacker",
            (
                _attacker(audit),
                model_statement(audit),
                *_needed_rows(audit),
            ),
        ),
        AnnexSection(
            "Severity and consequences (Articles 33(3)(c) and 34(1))",
            (
                f"Severity: {found.level}. The rule: {found.rule}. Here: {'; '.join(found.reasons)}.",
                "The severity describes what can be read from the vectors. Whether a high risk to the rights and "
                "freedoms of persons is likely, so that they have to be told, is for the controller to decide.",
            ),
        ),
        AnnexSection("What would reduce it (Article 33(3)(d))", _measures(audit)),
        AnnexSection(f"Reference to OWASP {OWASP}", (owasp_paragraph(audit, provenance),)),
    )


def _attacker(audit: Audit) -> str:
    """Return what an attacker needs, and what they do not need."""
    contents = contents_of(audit)
    encoder = "the model that made them" if audit.is_of_one_model else "an encoder of their own"
    needless = "" if audit.is_of_one_model else ", nor the model"
    return (
        f"Somebody with a copy of the vectors, {audit.public:,} public {contents} of a similar kind and {encoder}"
        f"{_further_models(audit)}. The attack needs neither the {contents} of the vectors nor known pairs of both"
        f"{needless}."
    )


def _further_models(audit: Audit) -> str:
    """Return the rest of a clause about the encoder of the attacker, for fits with views."""
    return f", and further models that embed the same public rows ({clean(audit.views)})" if audit.views else ""


def owasp_paragraph(audit: Audit, provenance: Provenance) -> str:
    """Return a paragraph that can be cited as evidence for the OWASP entry on vector and embedding weaknesses."""
    check_instance(audit, "audit", Audit, "the findings of an audit")
    check_instance(provenance, "provenance", Provenance, "a Provenance")
    if doubt(audit):
        return "There is nothing to cite: the result of this audit cannot be relied on, for the reason given above."
    rows, public = audit.leaked, audit.public
    start = (
        f"Evidence for {OWASP}, embedding inversion ({provenance.date[:10]}): {rows:,} vectors of a model "
        f"that was {'probably ' + clean(audit.model.model) if audit.model and audit.identified else 'not identified'} "
    )
    texts, contents = ("public texts", "texts") if audit.word_findings else ("public rows", "records")
    attack = attack_clause(audit, f"{public:,} {texts}")
    if audit.leak.basis == "attack failed":
        return f"{start}{attack}. All fits failed by their own verdicts. This is no proof that other attacks fail."
    used = (
        f"The {contents} of the collection were not used; the public vectors are probably by its own model."
        if audit.is_of_one_model
        else f"Neither the {contents} nor the encoder of the collection was used."
    )
    found = severity(audit)
    end = f"{used} Severity: {found.level} ({'; '.join(found.reasons)}). {partial_doubt(audit)}".rstrip()
    if audit.word_findings is None or audit.leak.source in ("labels", "vectors"):
        return (
            f"{start}{attack}. Measured on {audit.leak.rows:,} rows, the headline figure is "
            f"{in_percent(Interval(audit.leak.value))}: {audit.leak.what}. {end}"
        )
    leak = audit.words.measured.leak_rate.interval if audit.words.measured else audit.words.leak_rate.interval
    control = audit.words.measured.leak_rate.control if audit.words.measured else audit.words.leak_rate.control
    documents = audit.words.measured.documents if audit.words.measured else audit.rows
    basis = "measured against the true texts" if audit.words.measured else "estimated without the true texts"
    return (
        f"{start}{attack}. From the translations alone, at least one correct word of probability 0.5 or more was named "
        f"for {in_percent(leak)} of {documents:,} documents, {basis}; the control, {control_words(audit)}, is "
        f"{in_percent(control) if control else 'missing'}. {end}"
    )


def write_annex(path: str | Path, audit: Audit, provenance: Provenance) -> tuple[Path, Path]:
    """Write the annex as HTML and, with the suffix ``.md``, as Markdown; both are readable by their owner only.

    Raises:
        InputError: the path does not end in ``.html``.
        MissingExtraError: the extra ``report`` is not installed.
    """
    path = check_path(path)
    if path.suffix != ".html":
        raise InputError(f"{path} does not end in .html; name the HTML file, the Markdown file is written beside it.")
    sections = annex_sections(audit, provenance)
    title = f"Annex for the data protection officer: {clean(provenance.vectors)}"
    page = render("annex.html.jinja", ("style.css", "audit.css"), title=title, sections=sections)
    parts = [f"# {_escaped(title)}", *(_markdown(section) for section in sections)]
    return (
        write_text(path, page, mode=0o600),
        write_text(path.with_suffix(".md"), "\n\n".join(parts) + "\n", mode=0o600),
    )


def _readings(audit: Audit) -> list[str]:
    lines = []
    if audit.identities is not None:
        own = audit.identities
        lines.append(
            f"The nearest of {own.identities:,} enrolled identities is right for {in_percent(own.rank1)} of "
            f"{count_of(own.probes)} whose identity is enrolled; "
            f"always choosing the most frequent one gives {in_percent(own.rank1_control)}. Verification has an equal "
            f"error rate of {in_percent(own.equal_error_rate)}; on meaningless vectors it is "
            f"{in_percent(own.equal_error_rate_control)}."
        )
    if audit.label_findings is not None and audit.label_findings.measured is not None:
        measured = audit.label_findings.measured
        lines.append(
            f"The first inferred label is right for {in_percent(measured.translated.top1)} of "
            f"{count_of(measured.n, 'document')} whose label is among those to infer; always "
            f"choosing the most frequent one gives {in_percent(measured.majority.top1)}. {_label_finding(measured)}"
        )
    elif audit.label_findings is not None:
        lines.append(
            f"Labels were inferred for {audit.rows:,} documents. Without the true labels it is not known how many are "
            "right."
        )
    if audit.membership is not None:
        found = audit.membership.found[0.01]
        # Where the headline figure is not in doubt, the conclusion says what is wrong with the records.
        note = membership_note(audit.membership) if doubt(audit) else ""
        area = f"area under the ROC curve {audit.membership.auc.value:.2f}, 0.5 is chance"
        recognized = (
            f"There are too few nonmembers to say how many of the {audit.membership.members:,} tested records that are "
            f"in the collection are recognized ({area})."
            if found is None
            else f"Of the {audit.membership.members:,} tested records that are in the collection, {in_percent(found)} "
            f"are recognized, while 1% of other records are wrongly taken for records of the collection ({area})."
        )
        lines.append(f"{recognized} {note}".rstrip())
    if audit.linkage is not None:
        lines.append(links_statement(audit.linkage, contents_of(audit)))
    return lines


def _label_finding(measured: AttributeInference) -> str:
    """Return what the figures of the labels say together."""
    first, always = (scores.top1 for scores in (measured.translated, measured.majority))
    separated, shuffled = measured.translated.macro_auc, measured.shuffled.macro_auc
    area = f"the area under the ROC curve of a label is {separated.value:.2f} on average, and 0.5 is chance"
    if separated.lower <= shuffled.upper:
        return f"Labels are not recognized: {area}."
    if first.lower > always.upper:
        return f"So labels are recognized; {area}."
    return (
        "The first label alone is not clearly right more often, but labels leak: documents with a label can be told "
        f"from others, because {area}."
    )


def _kinds(audit: Audit) -> list[str]:
    if audit.word_findings is None:
        return ["The records have no texts; each is of one identity, and the figures say how often it is recognized."]
    shown = [
        f"{finding.kind} in {in_percent(share)} (control {in_percent(control)})"
        for finding in audit.kinds
        for share, control in [finding.shown]
    ]
    if not shown:
        return ["Kinds of data among the recovered words were not counted in this audit."]
    basis = "that are right" if audit.kinds[0].right else "that were recovered, by estimate"
    control = (
        "the same words against another document of about the same length"
        if audit.kinds[0].right
        else "the same procedure on meaningless translations"
    )
    return [
        f"Share of the documents with words {basis}, by kind of data: {'; '.join(shown)}. The control is {control}."
    ]


def _certainty(audit: Audit) -> tuple[str, ...]:
    lines = [f"{fits_statement(audit)} A verdict can be wrong.", *likely_causes(audit)]
    found = audit.word_findings
    error = None if found is None else found.leak_rate.error
    if doubt(audit):
        lines.append("The headline figure cannot be relied on, for the reason given above.")
    elif partial_doubt(audit):
        lines.append("A part of the measured figures cannot be relied on, for the reason given above.")
    elif found is None or found.measured is not None or audit.leak.basis == "measured":
        lines.append("The headline figure is measured against the true contents; intervals cover the sample of rows.")
    if found is not None and found.measured is None and audit.has_usable_fit and not doubt(audit):
        lines.append(
            "The figures of words are estimates whose errors are not known; they are probably too high."
            if error is None
            else f"The figures of words are estimates.{_range(found.leak_rate)} {error.certainty}"
        )
    lines.extend(audit.omitted)
    lines.append(
        "Every figure has a control: the same procedure where there is nothing to find. A failed attack is no proof of "
        "safety."
    )
    return tuple(lines)


def _range(estimate: Estimate) -> str:
    """Return a sentence on the range of an estimate with a space before it, or an empty text without a range."""
    if estimate.error is None or estimate.plausible is None:
        return ""
    low, high = (f"{end or 0.0:.0%}" for end in (estimate.plausible.low, estimate.plausible.high))
    return (
        f" The true share of documents with a word named is between {low} and {high} if the estimate of "
        f"{estimate.value:.0%} errs no more than the worst of {estimate.error.cases} cases with known truth did."
    )


def _needed_rows(audit: Audit) -> list[str]:
    lines = []
    for side, what in (("leaked", "leaked rows"), ("public", "public texts")):
        works = [point.rows for point in audit.points if point.side == side and point.verdict == "aligned"]
        if works:
            lines.append(f"The attack still worked with {min(works):,} {what}; fewer were not tried or did not work.")
    return lines


def _measures(audit: Audit) -> tuple[str, ...]:
    contents = contents_of(audit)
    lines = [
        "Give vectors, their indexes and their backups the access rights, tenants and deletion rules of the "
        f"{contents}, and encrypt them at rest with a key outside the store.",
    ]
    tried = [(score, score.decoded) for score in audit.defenses if score.decoded is not None]
    baseline = next((decoded.words for score, decoded in tried if score.baseline), None)
    if baseline is None:
        return (*lines, "Defenses of the vectors themselves were not evaluated in this audit.")
    lines.append(f"Without a defense, a word is named for {baseline.value:.0%} of the documents.")
    others = [(score, decoded.words) for score, decoded in tried if not score.baseline]
    helps = [score for score, words in others if words.upper < baseline.lower]
    lines += [_sentence(score) for score in sorted(helps, key=lambda score: -score.overlap.value)]
    rest = [score for score, _ in others if score not in helps]
    if rest:
        count = (
            "The defense that was tried"
            if len(others) == 1
            else f"{len(rest)} of the {len(others)} defenses that were tried"
        )
        lines.append(f"{count} did not clearly reduce this:")
        lines += [_sentence(score) for score in rest]
    return (*lines, *_meanings(score for score, _ in others))


def _meanings(scores: Iterable[DefenseScore]) -> list[str]:
    """Return what the mechanisms of these defenses do; their names alone say little to a reader of the annex."""
    used = {mechanism for score in scores for mechanism in score.mechanism.split(" + ")}
    meanings = [meaning for mechanism, meaning in MEANINGS.items() if mechanism in used]
    return ["What these defenses do:", *meanings] if meanings else []


def _sentence(score: DefenseScore) -> str:
    """Return what is read despite a defense, as a sentence that begins with its name."""
    return f"{score.name[0].upper()}{score.name[1:]}: {defense_statement(score)}."


def _markdown(section: AnnexSection) -> str:
    lines = "\n\n".join(_escaped(line) for line in section.lines)
    return f"## {_escaped(section.heading)}\n\n{lines}"


def _escaped(text: str) -> str:
    """Return text in which Markdown and HTML interpret nothing; other characters stay as they are."""
    escaped = _MARKDOWN.sub(r"\\\1", clean(text, 4_000))
    return _MARKUP.sub(lambda found: html.escape(found[0]), escaped)
