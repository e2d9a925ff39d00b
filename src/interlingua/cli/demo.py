"""``interlingua demo``: align two real embedding spaces without pairs and draw a report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from interlingua.cli import console, inputs, reports, tables
from interlingua.cli.demo_data import FILES, read_demo
from interlingua.cli.fit_rows import fit_title
from interlingua.cli.options import AsJson, Seed
from interlingua.core.alignment import end_if_interrupted
from interlingua.core.arguments import check_number
from interlingua.core.wording import time_taken

if TYPE_CHECKING:
    from interlingua.core.alignment import Alignment
    from interlingua.core.spaces import EmbeddingSpace
    from interlingua.core.translator import Translator

__all__ = ["demo"]

_DATA = f"A folder with {', '.join(FILES)}. By default demo/data of a checkout, or the small data of the package."
_REPORT = "By default report.html in the parent of the data folder; interlingua-demo.html for the data of the package."


def demo(
    data: Annotated[Path | None, typer.Option(metavar="DIR", help=_DATA)] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help=_REPORT)] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Align two real spaces and draw a report.

    The two files hold different texts under different encoders, and no pairs are known. Held-out pairs then measure
    the translation; the fit does not use them. The paired ceiling, from the card of the data, is what a rotation
    reaches on the same held-out pairs when it is fitted on known pairs. A checkout of the repository has the full data;
    the package contains a smaller version of it, with 4,000 rows per side and 128 axes of each space. An existing
    report of the demo is replaced.
    """
    import interlingua
    from interlingua.evaluation import evaluate

    chosen = read_demo(data)
    report = report or chosen.report
    reports.check_report(report, force=True)
    ceiling = _ceiling(chosen.card)
    watch = console.Stopwatch()
    source = interlingua.EmbeddingSpace(chosen.source, name=chosen.encoder("source"))
    target = interlingua.EmbeddingSpace(chosen.target, name=chosen.encoder("target"))
    source_eval = interlingua.EmbeddingSpace(chosen.source_eval, ids=chosen.eval_names)
    target_eval = interlingua.EmbeddingSpace(chosen.target_eval)
    with console.show_progress(f"{fit_title(source, target)}, no pairs") as on_step:
        alignment = interlingua.align(source, target, seed=seed, on_step=on_step)
    end_if_interrupted(alignment)
    translator = alignment.translator(force=True)
    with console.working("Measuring on held-out pairs"):
        before = evaluate(_untranslated(alignment, source, target), source_eval, target_eval, seed=seed)
        after = evaluate(translator, source_eval, target_eval, seed=seed)
    with console.working("Drawing the report"):
        reports.write(
            report,
            alignment,
            evaluation=after,
            translator=translator,
            source=source,
            target=target,
            source_eval=source_eval,
            target_eval=target_eval,
            labels=chosen.sections,
            paired_ceiling=ceiling,
        )
    result = {
        "data": chosen.what,
        "source": {"name": source.name, "rows": source.n, "d": source.d},
        "target": {"name": target.name, "rows": target.n, "d": target.d},
        "verdict": alignment.verdict.to_dict(),
        "before": before.to_dict(),
        "after": after.to_dict(),
        "paired_ceiling": ceiling,
        "alignment_seconds": alignment.seconds,
        "seconds": watch.seconds,
        "report": str(report),
    }
    if as_json:
        console.emit_json(result)
    else:
        _print(console.stdout(), result)
    if alignment.verdict.status == "failed":
        raise typer.Exit(1)


def _ceiling(card: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the scores of a paired fit on the held-out rows by direction, if the card of the data has them.

    Raises:
        InputError: a score in the card is not a number from 0 to 1.
    """
    scores = card.get("paired_ceiling")
    if not isinstance(scores, dict):
        return None
    names = {direction: f"{direction}_top1" for direction in tables.DIRECTIONS}
    top1 = {
        direction: {"top1": check_number(scores.get(name), f"{name} in CARD.json", minimum=0, maximum=1)}
        for direction, name in names.items()
    }
    return {"what": str(scores.get("what", "a paired fit")), **top1}


def _untranslated(alignment: Alignment, source: EmbeddingSpace, target: EmbeddingSpace) -> Translator:
    """Return a translator that does not change vectors, apart from cutting or padding them to the other width."""
    from interlingua.aligners.base import Problem
    from interlingua.aligners.baselines.controls import Identity
    from interlingua.core.translator import Translator

    fit = Identity().fit(Problem.of(source, target), seed=0)
    return Translator(fit.forward, fit.backward, alignment.profiles, {})


def _print(out: Console, result: Mapping[str, Any]) -> None:
    out.print(result["data"], soft_wrap=True, markup=False)
    for side in inputs.SIDES:
        space = result[side]
        out.print(f"{side}: {space['rows']:,} rows of {space['name']}, width {space['d']}")
    out.print("known pairs: none\n")
    tables.print_verdict(out, result["verdict"])
    out.print()
    held_out = f"On {result['after']['n']:,} held-out pairs, pool {result['after']['pool']:,}:"
    rows = {"as they are": result["before"], "translated": result["after"]}
    ceiling = result["paired_ceiling"]
    if ceiling:
        rows["paired ceiling"] = ceiling
    out.print(tables.scores(rows, title=held_out))
    if ceiling:
        out.print(f"Paired ceiling: {ceiling['what']}.")
    alignment = time_taken(result["alignment_seconds"])
    out.print(f"{time_taken(result['seconds'])}, of which {alignment} for the alignment")
    out.print(f"Report: {result['report']}", soft_wrap=True)
