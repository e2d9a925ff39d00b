"""One HTML file about an audit: conclusion, figures, defenses and what was not tested."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from interlingua.core.arrays import require
from interlingua.core.atomic import write_text
from interlingua.evaluation import Interval
from interlingua.leakage.findings import Audit
from interlingua.report import _count, _number

# From these leak figures on the page turns amber and red.
_SOME, _MUCH = 0.02, 0.2
_SHARES = 12
_SNIPPET = 120


@dataclass(frozen=True)
class Warrant:
    """Who authorized an audit, when it was made, and the names of its inputs.

    Attributes:
        authorized_by: who authorized it, as given.
        date: ISO 8601, UTC.
        vectors: name of the audited vectors.
        corpus: name of the public corpus.
        encoder: name of the auditor's encoder.
        model: what is known of the model that produced the audited vectors.
    """

    authorized_by: str
    date: str
    vectors: str
    corpus: str
    encoder: str
    model: str = "source model unknown"

    def to_dict(self) -> dict[str, str]:
        """Return plain values for JSON."""
        return asdict(self)


# LLM08:2025 in the OWASP Top 10 for LLM applications names these risks of vectors and embeddings.
OWASP = "LLM08:2025 Vector and Embedding Weaknesses"
_RISKS = (
    ("Embedding inversion", "words, labels and nearest public texts, see above", True),
    (
        "Unauthorized access and data leakage",
        "what a copy of the vectors alone reveals, without texts or model",
        True,
    ),
    ("Cross-context information leaks", "not tested: needs the tenants and permissions of the running system", False),
    ("Data poisoning", "not tested: needs write access to the running system", False),
    ("Behaviour alteration", "not tested: needs the application that reads the vectors", False),
)
_LIMITS = (
    "Only the attacks named here were run. Stronger ones exist: a network trained for one encoder, a language model "
    "that completes texts, known pairs of text and vector.",
    "An attacker with public text that is more similar to the audited text recovers more, with less similar text less.",
    "Estimates without ground truth assume that the public text resembles the audited text. They can be too high: on "
    "trivia questions 69% of the asserted words were estimated to be correct and 52% were. All fits can also map a "
    "group of texts of one kind to the wrong place, and only ground truth reveals that.",
)


def conclusion(audit: Audit) -> str:
    """Return the audit in one paragraph for readers without knowledge of embeddings."""
    rows = f"{audit.alignment.source.get('n', 0):,}"
    if not audit.worked and audit.leak.basis == "attack failed":
        return (
            f"The attack did not work on these {rows} vectors: no fit shares enough structure with the public text to "
            "differ from chance. This is no proof of safety. More vectors, public text of the same kind, a few "
            "known pairs of text and vector or another method may succeed where these attacks failed."
        )
    share = f"{audit.leak.value:.0%}"
    if audit.leak.basis == "measured":
        found = f"Compared with the true contents, the worst figure is {share}: {audit.leak.what}."
        named = audit.words.measured and audit.words.measured["leak_rate"]
        if named and named.meaning != audit.leak.what:
            found += f" It names a correct word for {named.value.value:.0%} of the documents."
    else:
        found = (
            f"By a calibrated estimate, which does not use the true texts, it names a correct word for about {share} "
            f"of the documents. For meaningless vectors the same procedure gives {audit.words.control.value:.0%}."
        )
    if not audit.worked:
        start = f"According to the verdicts no fit of these {rows} vectors worked."
        return f"{start} {found} This is no proof of safety."
    start = f"An attacker with a copy of these {rows} vectors needs neither the texts nor the model behind them. "
    method = "The attack used public text of a similar kind and another encoder to translate them into a known space. "
    if audit.leak.value < _SOME:
        return f"{start}{method}{found} This is little, but no proof of safety: other attacks may find more."
    return f"{start}{method}{found} Protect the vectors as you protect the texts."


def write_audit(
    path: str | Path, audit: Audit, warrant: Warrant, *, fail_above: float | None = None, show: bool = False
) -> Path:
    """Write one self-contained HTML file, readable by its owner only; a file of that name is replaced.

    Args:
        path: the file to write.
        audit: the findings.
        warrant: who authorized them, when, on what.
        fail_above: the limit on the leak figure, if there is one.
        show: write recovered words and public texts in full; otherwise only their number and probabilities.

    Raises:
        MissingExtraError: the extra ``report`` is not installed.
    """
    path = Path(path)
    jinja2 = require("jinja2", "report")
    here = files("interlingua.report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(number=_number, count=_count, percent=_percent, clean=_clean)
    shares = audit.topics.shares if audit.topics else {}
    page = environment.from_string((here / "audit.html.jinja").read_text("utf-8")).render(
        style=(here / "style.css").read_text("utf-8") + (here / "audit.css").read_text("utf-8"),
        audit=audit,
        warrant=Warrant(**{name: _clean(value) for name, value in asdict(warrant).items()}),
        tone=_tone(audit),
        summary=conclusion(audit),
        lines=_lines(audit),
        shares=list(shares.items())[:_SHARES],
        rest=max(0, len(shares) - _SHARES),
        fail_above=fail_above,
        show=show,
        owasp=OWASP,
        risks=_RISKS,
        limits=_LIMITS,
    )
    return write_text(path, page, mode=0o600)


def _tone(audit: Audit) -> str:
    if audit.leak.basis == "attack failed":
        return "none"
    return "much" if audit.leak.value >= _MUCH else "some" if audit.leak.value >= _SOME else "little"


def _lines(audit: Audit) -> list[dict[str, Any]]:
    """Return the lines of the table of figures: estimate, measurement and control."""
    words, lines = audit.words, list[dict[str, Any]]()
    worked = audit.worked  # estimates assume that the attack worked

    def add(
        name: str, meaning: str, estimated: Interval | None, measured: Interval | None, control: Interval | None
    ) -> None:
        best = measured or estimated
        lines.append({"name": name, "meaning": meaning, "estimated": estimated, "measured": measured})
        lines[-1] |= {"control": control, "bar": min(1.0, max(0.0, best.value)) if best else 0.0}

    figures: Mapping[str, Any] = words.measured or {}
    leak, precision = figures.get("leak_rate"), figures.get("precision")
    add(
        "Documents with a word named",
        "share of documents with at least one correct word asserted at p ≥ 0.5",
        words.expected if worked else None,
        leak and leak.value,
        leak.control if leak else words.control,
    )
    add(
        "Asserted words that are correct",
        "share of the words asserted" + ("; the control compares them with a wrong document" if precision else ""),
        Interval(words.claimed) if worked else None,
        precision and precision.value,
        precision and precision.control,
    )
    if audit.topics and audit.topics.measured:
        ways = audit.topics.measured.ways
        add(
            "First label correct",
            "the control always names the most frequent label",
            None,
            ways["translated"].top1,
            ways["majority"].top1,
        )
        add(
            "Labels distinguished",
            "mean area under the ROC curve; the control shuffles documents",
            None,
            ways["translated"].macro_auc,
            ways["shuffled"].macro_auc,
        )
    if audit.reidentified:
        figure = audit.reidentified["top1"]
        add(
            "Documents re-identified",
            "matched to their true vector among all sampled documents; the control is chance",
            None,
            figure.value,
            figure.control,
        )
    near = audit.retrieval
    add(
        "Similarity to public text",
        f"cosine with the nearest public text; public texts themselves have {near.public.value:.2f}, the control is "
        "meaningless vectors",
        near.nearest,
        None,
        near.control,
    )
    return lines


def _percent(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"


def _clean(text: str) -> str:
    """Return a recovered text without control characters or direction marks, cut to a snippet."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text[: 4 * _SNIPPET])
    return kept if len(kept) <= _SNIPPET else kept[: _SNIPPET - 1] + "…"
