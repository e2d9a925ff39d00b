"""``interlingua demo``: align two real embedding spaces without pairs and draw a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from interlingua.cli import console, inputs, reports, tables
from interlingua.cli.options import AsJson, Seed
from interlingua.core.arguments import check_number
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.core.alignment import Alignment
    from interlingua.core.spaces import EmbeddingSpace
    from interlingua.core.translator import Translator
    from interlingua.io import VectorFile

__all__ = ["demo", "find_data", "read_json"]

_FILES = ("source.npy", "target.npy", "eval-source.npy", "eval-target.npy")


def demo(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help=f"A folder with {', '.join(_FILES)}; by default demo/data of a checkout."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="By default report.html in the parent of the data folder.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Align two real spaces and draw a report.

    The two files hold different texts under different encoders, and no pairs are known. Held-out pairs then measure
    the translation; the fit does not use them. The paired ceiling, from the card of the data, is what a rotation
    reaches on the same held-out pairs when it is fitted on known pairs. The data comes with a checkout of the
    repository and not with the package; vectors of your own work as well.
    """
    import interlingua
    from interlingua.evaluation import evaluate

    folder = find_data(data)
    report = report or folder.parent / "report.html"
    reports.check_report(report, force=True)
    card = read_json(folder / "CARD.json")
    ceiling, labels = _ceiling(card), _labels(folder)
    watch = console.Stopwatch()
    vectors = [file.vectors() for file in _open(folder)]
    source, target = (
        interlingua.EmbeddingSpace(rows, name=_encoder(card, side))
        for rows, side in zip(vectors, inputs.SIDES, strict=False)
    )
    source_eval = interlingua.EmbeddingSpace(vectors[2], ids=_names(folder))
    target_eval = interlingua.EmbeddingSpace(vectors[3])
    with console.show_progress(f"{inputs.fit_title(source, target)}, no pairs") as on_step:
        alignment = interlingua.align(source, target, seed=seed, on_step=on_step)
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
            labels=labels,
            paired_ceiling=ceiling,
        )
    result = {
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


def find_data(data: Path | None) -> Path:
    """Return the folder with the demo's files.

    Raises:
        InputError: there is none, or it is not complete.
    """
    checkout = Path(__file__).resolve().parents[3]
    candidates = [data] if data else [Path("demo/data"), checkout / "demo" / "data"]
    for folder in candidates:
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if not missing:
            return folder
        if data:
            raise InputError(f"{folder} lacks {', '.join(missing)}; the demo needs {', '.join(_FILES)}.")
    raise InputError(
        "The demo's data was not found: it comes with the repository and not with the package. "
        "Run this in a checkout, or give a folder with --data DIR."
    )


def _open(folder: Path) -> list[VectorFile]:
    from interlingua.io import open_vectors

    return [open_vectors(folder / name) for name in _FILES]


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of an optional JSON file, or an empty dict if there is none.

    Raises:
        InputError: the file is not JSON.
    """
    content = _parse(path) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


def _parse(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{path} cannot be read as JSON ({error}). Restore it, or remove it.") from error


def _encoder(card: Mapping[str, Any], side: str) -> str:
    return str(card.get("encoders", {}).get(side, {}).get("title", side))


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


def _labels(folder: Path) -> dict[str, list[str]] | None:
    """Return the section of every row, by file, if the data has sections.

    Raises:
        InputError: the file is not ``{"names": [...], "source": [index, ...], ...}``.
    """
    path = folder / "sections.json"
    sections = read_json(path)
    names = sections.pop("names", None)
    try:
        return {part: [names[i] for i in rows] for part, rows in sections.items()} if names else None
    except (IndexError, KeyError, TypeError) as error:
        raise InputError(f"{path}: indices into its names are needed for every row ({error}). Remove it.") from error


def _names(folder: Path) -> list[str] | None:
    """Return the names of the held-out rows, if the data has names."""
    path = folder / "eval-ids.json"
    return list(_parse(path)) if path.is_file() else None


def _untranslated(alignment: Alignment, source: EmbeddingSpace, target: EmbeddingSpace) -> Translator:
    """Return a translator that does not change vectors, apart from cutting or padding them to the other width."""
    from interlingua.aligners.base import Problem
    from interlingua.aligners.baselines.controls import Identity
    from interlingua.core.translator import Translator

    fit = Identity().fit(Problem.of(source, target), seed=0)
    return Translator(fit.forward, fit.backward, alignment.profiles, {})


def _print(out: Console, result: Mapping[str, Any]) -> None:
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
    out.print(f"{result['seconds']:.0f} seconds, {result['alignment_seconds']:.0f} of them for the alignment")
    out.print(f"Report: {result['report']}", soft_wrap=True)
