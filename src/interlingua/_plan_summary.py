"""A plan in lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlingua._routes import QUALITY
from interlingua.aligners.base import pairs_enough_alone
from interlingua.core.wording import count_of, duration_of, rough_size_of

if TYPE_CHECKING:
    from interlingua._plan import CollectionPlan, Costs

__all__ = ["summarize"]

# What `CollectionPlan.needed_rows` counts, by the route.
_NEEDED = {
    "re-embed": "texts to embed with the new model",
    "re-embed in part": "texts to embed with the new model",
    "public pairs": "public texts to embed with both models",
    "unpaired": "vectors of other texts of similar content that the fit needs from the new model",
}

# The fits that `CollectionPlan.expected_top1` was recorded with, by the route.
_RECORDED = {
    "public pairs": "recorded fits on 3,000 pairs of public texts, among 2,048 texts",
    "unpaired": "recorded fits without pairs of BGE to MiniLM",
}


def summarize(plan: CollectionPlan) -> str:
    """Return what a collection holds, the route with its reasons, its costs, and the next commands."""
    nulls = f", {plan.nulls:,} more without a vector" if plan.nulls else ""
    share = "under 1%" if plan.repeats < 0.01 else f"{plan.repeats:.0%}"  # noqa: PLR2004
    repeats = f", {share} of them copies" if plan.repeats else ""
    lines = [f"{plan.source}: {count_of(plan.rows)} of width {plan.d}{nulls}{repeats}"]
    if plan.target_rows is not None:
        model = plan.target_model or "not looked for in so few rows"
        lines.append(f"{plan.target}: {count_of(plan.target_rows)} of width {plan.target_d}; model: {model}")
    lines.append(f"model: {'probably two' if plan.mixed_share else plan.model}; route: {plan.route}")
    lines += [f"- {sentence}" for sentence in plan.reasons]
    if plan.needed_rows:
        about = "about " if plan.route == "re-embed in part" else ""
        lines.append(f"{_NEEDED[plan.route]}: {about}{plan.needed_rows:,}")
    if plan.expected_top1 is not None:
        low, high = plan.expected_top1
        recorded = _RECORDED.get(plan.route, "recorded fits")
        rows = next((n for n, top1 in QUALITY if top1 == plan.expected_top1), None)
        if plan.route == "unpaired" and rows is not None:
            # The number of rows that the route needs is on the line before, and there can be fewer.
            recorded += f" on {rows:,} rows a side"
        lines.append(f"top-1, how often the right text is the nearest: {low:.2f} to {high:.2f} in {recorded}")
    if plan.costs is not None:
        lines.append(_describe_costs(plan, plan.costs))
    return "\n".join([*lines, *(f"  {command}" for command in plan.commands)])


def _describe_costs(plan: CollectionPlan, costs: Costs) -> str:
    disk = "" if costs.disk_bytes is None else f", {rough_size_of(costs.disk_bytes)} of new vectors"
    failed = duration_of(costs.failed_fit_seconds)
    if costs.failed_views_fit_seconds > costs.failed_fit_seconds:
        failed = f"{failed}, or {duration_of(costs.failed_views_fit_seconds)} with views,"
    fit = (
        f"{duration_of(costs.fit_seconds)} and {rough_size_of(costs.fit_bytes)} of memory for an unpaired fit "
        f"({failed} if it finds no map)"
    )
    paired = f"{duration_of(costs.paired_fit_seconds)} for a fit on pairs once the texts are embedded"
    if plan.route == "re-embed in part" and plan.needed_rows >= pairs_enough_alone(plan.d, plan.target_d or 0):
        fit = paired
    elif plan.route in ("public pairs", "re-embed in part"):
        fit = f"{paired}, {fit}"
    rows = "the rows without a text" if plan.moved_rows < plan.rows else "every row"
    return f"about {fit}, {duration_of(costs.migrate_seconds)} to translate and write {rows}{disk}"
