"""The fit of ``interlingua fit`` with its display and its log, and what is written of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlingua.cli import console, reports
from interlingua.cli.fit_rows import fit_title

if TYPE_CHECKING:
    from interlingua.cli.eventlog import EventLog
    from interlingua.core.alignment import Alignment
    from interlingua.core.spaces import EmbeddingSpace

__all__ = ["check_destinations", "kept_target", "run_fit", "write_fit"]


def check_destinations(out: Path, report: Path | None, *, force: bool) -> None:
    """Refuse outputs that could not be written at the end, before hours are spent on a fit."""
    from interlingua.core.storage import check_destination

    check_destination(out, overwrite=force)
    if report is not None:
        reports.check_report(report, force=force)


def kept_target(alignment: Alignment) -> str | None:
    """Return the name of the candidate target that was kept, or None where there was one target only."""
    return next((str(each["name"]) for each in alignment.candidates if each["use"] == "kept"), None)


def run_fit(
    source: EmbeddingSpace,
    targets: Mapping[str, EmbeddingSpace],
    method: str,
    seed: int,
    record: EventLog,
    options: Mapping[str, Any],
) -> Alignment:
    """Align a source with its targets, by their names, and record the steps and the verdict."""
    import interlingua

    first = next(iter(targets.values()))
    with console.show_progress(fit_title(source, first), record=record) as on_step:
        target = targets if len(targets) > 1 else first
        alignment = interlingua.align(source, target, method=method, seed=seed, on_step=on_step, **options)
    for step in alignment.trace:
        record("step", **step)
    verdict = alignment.verdict
    record("verdict", status=verdict.status, score=verdict.score, method=method, seed=seed, seconds=alignment.seconds)
    return alignment


def write_fit(
    alignment: Alignment, spaces: Sequence[EmbeddingSpace], out: Path | None, report: Path | None, *, force: bool
) -> dict[str, Path]:
    """Write the report, and the translator unless ``out`` is None."""
    translator = alignment.translator(force=True)
    written = {} if out is None else {"translator": translator.save(out, overwrite=force)}
    if report is not None:
        sides = {"source": spaces[0], "target": spaces[1]}
        done = "" if out is None else f"Wrote {out}."
        written["report"] = reports.write(report, alignment, translator=translator, done=done, **sides)
    return written
