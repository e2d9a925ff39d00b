"""The plan of a migration, as ``interlingua migrate --dry-run`` prints it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from interlingua.cli import console
from interlingua.core.wording import COMPARE_SEARCHES, count_of, duration_of, size_of
from interlingua.stores._origin import is_embedding, is_translation
from interlingua.stores._url import parse_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interlingua.stores.planning import Options, Plan

__all__ = ["show_plan"]

# Stores of which one collection is one file.
_FILES = ("file", "faiss")


def _describe_origin(origin: Mapping[str, str]) -> str:
    """Return which vectors or texts the new vectors are made of, and of which models."""
    model, collection = origin.get("model"), origin["collection"]
    if is_embedding(origin):
        return f"the texts in column {origin['text']} of {collection}, embedded by {model}"
    column = f" in column {origin['vector']!r}" if "vector" in origin else ""
    names = f"the vectors{column} of {collection}"
    models = [f"{word} model {name}" for word, name in (("from", origin.get("from_model")), ("to", model)) if name]
    return ", translated ".join([names, *([" ".join(models)] if models else [])])


def show_plan(plan: Plan, options: Options, *, as_json: bool) -> None:
    """Print a plan: sizes, costs and rows that are left out; with ``as_json`` all of it as one object."""
    if as_json:
        console.emit_json({"plan": asdict(plan), "options": asdict(options)})
        return
    out = console.stdout()
    out.print(f"{count_of(plan.rows)} of width {plan.d_in} from {plan.source}", soft_wrap=True)
    made = "new file" if parse_url(plan.target).scheme in _FILES else "new collection"
    kind, place = ("second vector", ", in the same rows") if plan.as_new_vector else (made, "")
    width = f"of width {plan.d_out}, metric {plan.metric}"
    out.print(f"to {plan.target}, a {kind}, {width}{place}", soft_wrap=True)
    if plan.origin:
        out.print(_describe_origin(plan.origin), soft_wrap=True)
    if plan.payload:
        out.print(f"payload that is copied: {', '.join(plan.payload)}", soft_wrap=True)
    elif not (plan.as_new_vector or plan.dropped):
        out.print("payload that is copied: none")
    free = "" if plan.free_bytes is None else f" of {size_of(plan.free_bytes)} free"
    out.print(f"about {size_of(plan.needed_bytes)}{free}, about {duration_of(plan.seconds)}")
    if plan.nulls:
        left_out = options.skip_null or options.skip_bad
        reason = "left out" if left_out else f"refused without --skip-null; the first is id {plan.first_null}"
        out.print(f"without a vector: {count_of(plan.nulls, 'more row')}, {reason}", soft_wrap=True)
    if plan.bad:
        what = "without a text" if is_embedding(plan.origin) else "with a vector that cannot be translated"
        out.print(f"{what}: {count_of(plan.bad, 'more row')}, left out", soft_wrap=True)
    if plan.triggers:
        reason = options.triggers or "refused without --triggers fire or skip"
        out.print(f"triggers of the table on every update: {', '.join(plan.triggers)} ({reason})", soft_wrap=True)
    for name, before, after in plan.types:
        out.print(f"column {name}: {before} becomes {after}", soft_wrap=True)
    for sentence in plan.notes:
        out.print(sentence, soft_wrap=True)
    if is_translation(plan.origin):
        out.print(COMPARE_SEARCHES, soft_wrap=True)
    if plan.dropped:
        out.print(f"left out: {', '.join(plan.dropped)}")
    console.note("Nothing was written.")
