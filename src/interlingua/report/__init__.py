"""One HTML file that shows a fit: verdict, evidence, held-out scores, pictures, provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.arguments import check_instance, check_number
from interlingua.core.arrays import require
from interlingua.core.atomic import write_text
from interlingua.core.errors import InputError
from interlingua.core.summaries import CHECKS_TITLE, own_reasons
from interlingua.core.translator import NeuralTranslator, Translator
from interlingua.core.wording import COMPARE_SEARCHES, VERDICT_MEANINGS, bar_length, comparison_sign
from interlingua.evaluation import Evaluation, Interval
from interlingua.evaluation.scores import check_translator
from interlingua.report import _curves, _figures, _graphs, _rows
from interlingua.report._facts import facts_of
from interlingua.report._page import check_html_path, clean, render

if TYPE_CHECKING:
    from interlingua.core.alignment import Alignment
    from interlingua.evaluation import DirectionScores, SupportsTranslation

__all__ = ["write_report"]


def write_report(
    path: str | Path,
    fit: Alignment | Translator,
    *,
    evaluation: Evaluation | None = None,
    translator: SupportsTranslation | None = None,
    source: Any = None,
    target: Any = None,
    source_eval: Any = None,
    target_eval: Any = None,
    labels: Mapping[str, Sequence[Any]] | None = None,
    migration: Mapping[str, Any] | None = None,
    paired_ceiling: Mapping[str, Any] | None = None,
) -> Path:
    """Write one self-contained HTML file about a fit; a file of that name is replaced.

    The file loads nothing else and runs no script. Sections whose inputs are missing are left out: held-out rows make
    all pictures, the two spaces those that need no pairs, the source alone its pictures before and after translation.
    Equal inputs give equal bytes.

    Args:
        path: the file to write.
        fit: the fit, or a saved translator with its card; only the fit has training curves.
        evaluation: paired scores on held-out rows.
        translator: translates the rows of the pictures; by default the one of the alignment.
        source: the source space or vectors [n, d_source], drawn if there are no held-out rows.
        target: the target space or vectors [m, d_target], likewise.
        source_eval: held-out space or vectors [e, d_source]; its ids, if it has any, name the texts.
        target_eval: vectors [e, d_target] of the same texts in the same order.
        labels: one label per row for ``source``, ``target`` and ``eval``, each optional. They set colors and order.
        migration: what `interlingua.stores.migration.migrate` returned, as plain values.
        paired_ceiling: scores of a fit on known pairs on the same held-out rows, shown beside ``evaluation``:
            ``{"what": str, "forward": {"top1": float}, "backward": {"top1": float}}``.

    Returns:
        The path.

    Raises:
        InputError: another extension than ``.html``, held-out sides with different numbers of rows, not one label per
            row, or an unreadable card.
        MissingExtraError: the extra ``report`` is not installed.
    """
    path, facts = check_html_path(path), facts_of(fit)
    check_instance(evaluation, "evaluation", (Evaluation, type(None)), "an Evaluation, as evaluate returns it,")
    if (source_eval is None) != (target_eval is None) or (source is None and target is not None):
        raise InputError(
            "source_eval and target_eval are drawn together, and target only beside source; give both or neither."
        )
    if translator is not None:
        check_translator(translator)
    for name, value in (("labels", labels), ("migration", migration), ("paired_ceiling", paired_ceiling)):
        check_instance(value, name, (Mapping, type(None)), "a mapping")
    if paired_ceiling is not None:
        _check_ceiling(paired_ceiling, evaluation)
    for module in ("jinja2", "matplotlib"):
        require(module, "report")
    rng = np.random.default_rng(facts.seed)
    translator = translator or (fit if isinstance(fit, Translator) else fit.translator(force=True))
    rows = None
    if source_eval is not None:
        rows = _rows.draw_paired(translator, source_eval, target_eval, labels or {}, rng)
    elif source is not None:
        rows = _rows.draw_unpaired(translator, source, target, labels or {}, rng)

    curves = _curves.curves_of(facts.trace)
    page = render(
        "page.html.jinja",
        ("style.css",),
        source=facts.source,
        target=facts.target,
        verdict=facts.verdict,
        reasons=own_reasons(facts.verdict.to_dict()) if facts.verdict else [],
        summary=VERDICT_MEANINGS[str(facts.verdict.status)] if facts.verdict else "",
        evidence=[_line(asdict(item)) for item in facts.verdict.evidence] if facts.verdict else [],
        compare_searches=COMPARE_SEARCHES,
        evaluation=evaluation,
        scores=_scores(evaluation, paired_ceiling) if evaluation else [],
        pictures=_pictures(rows, translator) if rows else None,
        heat_limit=_figures.HEAT_LIMIT,
        curves=curves,
        training=_curves.pictures(curves) if curves else {},
        migration=migration,
        alignment=facts,
        notes={title: lines for title, lines in facts.notes.items() if title != CHECKS_TITLE},
        checks={title: lines for title, lines in facts.notes.items() if title == CHECKS_TITLE},
    )
    return write_text(path, page)


def _pictures(rows: _rows.PicturedRows, translator: SupportsTranslation) -> dict[str, Any]:
    """Return what the template shows of the rows; its SVG is made here and holds no text of the user."""
    labels: list[str] = []
    if rows.source_labels is not None and rows.target_labels is not None:
        labels = _rows.frequent((*rows.source_labels, *rows.target_labels), _figures.LABELS)
    everywhere = {label for side in (rows.source_labels, rows.target_labels) for label in side or ()}
    colors = _figures.row_colors(rows, labels)
    planes = _rows.planes(rows)
    graph, near, compared, chance = _graphs.overlaps(rows)
    pictures: dict[str, Any] = {
        "paired": rows.paired,
        "has_target": bool(len(rows.target)),
        "pool": len(rows.source),
        "shown": sum(len(side) for side in planes["after"]),
        "legend": labels,
        "has_rest": len(everywhere) > len(labels),
        "scatter": {
            when: _figures.scatter(f"scatter-{when}", _SCATTER_ALTS[when], planes[when], colors, joined=rows.paired)
            for when in ("before", "after")
        },
        "neighbors": _rows.neighbors(rows),
        "graph": graph,
        "graph_of": {"near": near, "rows": compared, "chance": chance},
    }
    drawn = _rows.similarities(rows)
    strip = [colors[0][row] for row in drawn.rows] if labels else None
    key = "heat" if rows.paired else "kept"
    pictures[f"{key}_rows"] = len(drawn.rows)
    pictures[key] = {
        name: _figures.heat_map(f"{key}-{name}", _HEAT_ALTS[name], matrix, strip)
        for name, matrix in drawn.matrices.items()
    }
    if rows.paired:
        ranks = _rows.ranks(rows)
        pictures["ranks"] = {
            direction: _figures.rank_histogram(
                f"ranks-{direction}", _rank_alt(ranks[direction]), ranks[direction], side
            )
            for direction, side in (("forward", "source"), ("backward", "target"))
        }
        if isinstance(translator, NeuralTranslator):
            latent = _rows.latent(rows, translator, drawn.rows)
            picture = _figures.heat_map("heat-latent", _LATENT_ALT, latent.across, strip)
            pictures["latent"] = {"picture": picture, "same": latent.same, "other": latent.other}
    return pictures


_SCATTER_ALTS = {
    "before": "Scatter plot of both spaces before translation, each on its own two leading principal axes.",
    "after": "Scatter plot of translated source rows and target rows on the two leading principal axes of the target.",
}
_LATENT_ALT = (
    "Heat map of the latents of held-out source rows against those of target rows; equal texts are on the diagonal."
)
_HEAT_ALTS = {
    "before": "Heat map of the similarity of some source rows among themselves, before translation.",
    "after": "Heat map of the similarity of the same rows among themselves, after translation.",
    "within_source": "Heat map of the similarity of held-out source rows among themselves.",
    "within_target": "Heat map of the similarity of the same rows of the target among themselves.",
    "across": "Heat map of translated source rows against target rows; a correct translation shows as a diagonal.",
}


def _rank_alt(ranks: Any) -> str:
    return (
        f"Histogram of the rank of the true match among {len(ranks):,} rows: first in {np.mean(ranks < 2):.0%} of the "
        f"rows, among the first ten in {np.mean(ranks <= 10):.0%}, median rank {np.median(ranks):,.0f}; "
        f"chance would give a median of {(len(ranks) + 1) / 2:,.0f}."
    )


def _scores(evaluation: Evaluation, paired_ceiling: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the lines of the table of held-out scores: both directions and chance, the paired ceiling last."""
    pool = evaluation.pool
    lines: list[dict[str, Any]] = []

    def add(name: str, meaning: str, chance: float | None, pick: Any) -> None:
        values: list[Interval] = [pick(scores) for scores in (evaluation.forward, evaluation.backward)]
        lines.append({"name": name, "meaning": meaning, "chance": chance, "values": values})

    for kind in evaluation.forward.retrieval:
        ranking = "by cosine" if kind == "plain" else "hub-corrected (CSLS)"
        for k in (1, 10):
            if k in evaluation.forward.retrieval[kind].top_k:
                meaning = (
                    f"share of rows whose true match is {'first' if k == 1 else f'among the first {k}'}, {ranking}"
                )
                add(f"Top-{k}" + ("" if kind == "plain" else ", CSLS"), meaning, min(1.0, k / pool), _top(kind, k))
    add("Mean rank", "of the true match; 1 is best", (pool + 1) / 2, lambda scores: scores.mean_rank)
    add("Cosine", "between a translation and the real vector of its text", None, lambda scores: scores.cosine)
    centered = "the same after subtracting the mean vector, which any translator gets right"
    add("Cosine, centered", centered, 0.0, lambda scores: scores.cosine_centered)
    if paired_ceiling is not None:
        values = [Interval(paired_ceiling[direction]["top1"]) for direction in ("forward", "backward")]
        name, meaning = "Top-1, paired ceiling", clean(str(paired_ceiling["what"]))
        lines.append({"name": name, "meaning": meaning, "chance": min(1.0, 1 / pool), "values": values})
    return lines


def _check_ceiling(ceiling: Mapping[str, Any], evaluation: Evaluation | None) -> None:
    """Refuse a paired ceiling that the page cannot show."""
    if evaluation is None:
        raise InputError("paired_ceiling is shown beside the scores of an evaluation; give evaluation too.")
    if set(ceiling) != {"what", "forward", "backward"}:
        raise InputError(f"paired_ceiling has the keys {sorted(ceiling)}; what, forward and backward are needed.")
    for direction in ("forward", "backward"):
        check_instance(ceiling[direction], f"paired_ceiling[{direction!r}]", Mapping, "a mapping with top1")
        check_number(ceiling[direction].get("top1"), f"top1 of paired_ceiling[{direction!r}]", minimum=0, maximum=1)


def _top(kind: str, k: int) -> Any:
    def pick(scores: DirectionScores) -> Interval:
        return scores.retrieval[kind].top_k[k]

    return pick


def _line(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "needed": comparison_sign(item), "bar": bar_length(item)}
