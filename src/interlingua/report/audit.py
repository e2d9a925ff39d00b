"""One HTML file that a manager can read about an audit: conclusion, figures, defenses, what was not tested."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from interlingua.core.arrays import require
from interlingua.evaluation import Interval
from interlingua.leakage.findings import Audit
from interlingua.report import _count, _number

# From these leak figures on the page turns amber and red.
_SOME, _MUCH = 0.02, 0.2
_SHARES = 12
_SNIPPET = 120


@dataclass(frozen=True)
class Warrant:
    """On whose word, when, and on what an audit was made.

    Attributes:
        authorized_by: who authorized it, as given.
        date: ISO 8601, UTC.
        vectors: what the audited vectors are called.
        corpus: what the public corpus is called.
        encoder: what the auditor's encoder is called.
    """

    authorized_by: str
    date: str
    vectors: str
    corpus: str
    encoder: str

    def to_dict(self) -> dict[str, str]:
        """Return plain values for JSON."""
        return asdict(self)


# LLM08:2025 in the OWASP Top 10 for LLM applications names these risks of vectors and embeddings.
OWASP = "LLM08:2025 Vector and Embedding Weaknesses"
_RISKS = (
    ("Embedding inversion", "words, labels and nearest public texts above", True),
    (
        "Unauthorized access and data leakage",
        "what a copy of the vectors alone gives away, without texts or model",
        True,
    ),
    ("Cross-context information leaks", "not tested: needs the tenants and permissions of the running system", False),
    ("Data poisoning", "not tested: needs write access to the running system", False),
    ("Behaviour alteration", "not tested: needs the application that reads the vectors", False),
)
_LIMITS = (
    "Only the attacks named here were run. Stronger ones exist or will: a network trained for one encoder, a language "
    "model that guesses, known pairs of text and vector.",
    "An attacker with public text more like the audited one gets more, one with less similar text gets less.",
    "Estimates without a ground truth hold as far as public text behaves as the audited text does. A group of texts of "
    "its own kind can be matched to the wrong place by every fit; nothing without a truth can see that.",
)


def conclusion(audit: Audit) -> str:
    """Return the audit in one paragraph for people who do not align embeddings."""
    rows = f"{audit.alignment.source.get('n', 0):,}"
    if not audit.worked and audit.leak.basis == "attack failed":
        return (
            f"The attack did not work on these {rows} vectors: no fit found enough common shape with the public text "
            "to be told from chance. This is no proof of safety. More vectors, public text of the same kind, a few "
            "known pairs of text and vector or another method may succeed where these attacks failed."
        )
    share = f"{audit.leak.value:.0%}"
    if audit.leak.basis == "measured":
        found = f"Checked against the true contents, the worst figure is {share}: {audit.leak.what}."
        named = audit.words.measured and audit.words.measured.leak_rate
        if named and named.meaning != audit.leak.what:
            found += f" It names a correct word for {named.value:.0%} of the documents."
    else:
        found = (
            f"By calibrated estimate, without a look at the true texts, it names a correct word for at least {share} "
            f"of the documents; the same procedure on meaningless vectors comes to {audit.words.control.value:.0%}."
        )
    if not audit.worked:
        return f"By their own verdict no fit of these {rows} vectors worked. {found} This is no proof of safety."
    start = f"Whoever holds a copy of these {rows} vectors needs neither the texts nor the model that made them. "
    method = "With public text of a similar kind and another encoder the attack placed them in a space it can read. "
    if audit.leak.value < _SOME:
        return f"{start}{method}{found} That is little, and no proof of safety: other attacks may find more."
    return f"{start}{method}{found} Protect the vectors as you protect the texts."


def write_audit(
    path: str | Path, audit: Audit, warrant: Warrant, *, fail_above: float | None = None, show: bool = False
) -> Path:
    """Write one self-contained HTML file, readable by its owner alone; a file of that name is replaced.

    Args:
        path: the file to write.
        audit: the findings.
        warrant: who authorized them, when, on what.
        fail_above: the gate, if there is one.
        show: write recovered words and public texts in full; otherwise only how many and how sure.

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
    fresh = path.with_name(f".{path.name}.tmp")
    try:
        fresh.touch(0o600)
        fresh.write_text(page, "utf-8")
        return fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _tone(audit: Audit) -> str:
    if audit.leak.basis == "attack failed":
        return "none"
    return "much" if audit.leak.value >= _MUCH else "some" if audit.leak.value >= _SOME else "little"


def _lines(audit: Audit) -> list[dict[str, Any]]:
    """Return the lines of the table of figures: estimated, measured, and what chance gives."""
    words, lines = audit.words, list[dict[str, Any]]()
    worked = audit.worked  # estimates presume that it did

    def add(
        name: str, meaning: str, estimated: Interval | None, measured: Interval | None, control: Interval | None
    ) -> None:
        best = measured or estimated
        lines.append({"name": name, "meaning": meaning, "estimated": estimated, "measured": measured})
        lines[-1] |= {"control": control, "bar": min(1.0, max(0.0, best.value)) if best else 0.0}

    leak = words.measured.leak_rate if words.measured else None
    precision = words.measured.precision if words.measured else None
    add(
        "Documents with a word named",
        "share with at least one correct word asserted at p ≥ 0.5",
        words.expected if worked else None,
        leak and leak.interval,
        leak.control if leak else words.control,
    )
    add(
        "Words that are right",
        "of those asserted; the control holds them against a wrong document",
        Interval(words.claimed) if worked else None,
        precision and precision.interval,
        precision and precision.control,
    )
    if audit.topics and audit.topics.measured:
        scores = audit.topics.measured
        add(
            "First label right",
            "the control always names the most frequent",
            None,
            scores.translated.top1,
            scores.majority.top1,
        )
        add(
            "Labels told apart",
            "mean area under the ROC curve; the control shuffles documents",
            None,
            scores.translated.macro_auc,
            scores.shuffled.macro_auc,
        )
    if audit.reidentified:
        figure = audit.reidentified.top1
        add(
            "Documents singled out",
            "among all those looked at; the control is chance",
            None,
            figure.interval,
            figure.control,
        )
    near = audit.retrieval
    add(
        "Nearness of public text",
        f"cosine with the nearest one; a public text has {near.public.value:.2f}, the control means nothing",
        near.nearest,
        None,
        near.control,
    )
    return lines


def _percent(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"


def _clean(text: str) -> str:
    """Return a recovered text without control or direction marks, cut to a snippet."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text[: 4 * _SNIPPET])
    return kept if len(kept) <= _SNIPPET else kept[: _SNIPPET - 1] + "…"
