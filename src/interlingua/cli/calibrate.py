"""``interlingua calibrate``: add the scales of both models' scores to a translator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlingua.aligners.usable import advise_skip_bad
from interlingua.cli import console, inputs, tables
from interlingua.cli.addresses import read_vectors
from interlingua.cli.eventlog import open_log
from interlingua.cli.fit_rows import find_usable, note_left_out, read_pairs_of_rows, row_word
from interlingua.cli.fitted import warn_of_fitted_rows, warn_of_translations
from interlingua.cli.options import (
    FORMATS,
    STORE_ADDRESSES,
    AllowForeign,
    AsJson,
    Columns,
    Keys,
    Log,
    Scales,
    Seed,
    SkipBad,
    TargetWhere,
    TranslatorFolder,
    Where,
    check_effect,
    check_outputs,
)
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of, time_taken
from interlingua.stores import input_files

if TYPE_CHECKING:
    from interlingua.core.arrays import FloatArray
    from interlingua.core.translator import Translator

__all__ = ["calibrate"]

_QUERIES = f"Vectors of queries by the {{}} model, whose scores are measured: {FORMATS}; or {STORE_ADDRESSES}."


def calibrate(
    directory: TranslatorFolder,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help=f"Source vectors that the fit has not read, at least 200: {FORMATS}; or {STORE_ADDRESSES}.",
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="Target vectors that the fit has not read, at least 200, of other texts of the same kind.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Write the translator with its calibration here.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing translator, also DIR itself.")] = False,
    source_queries: Annotated[
        str | None,
        typer.Option(metavar="FILE|ADDRESS", help=_QUERIES.format("source")),
    ] = None,
    target_queries: Annotated[
        str | None,
        typer.Option(metavar="FILE|ADDRESS", help=_QUERIES.format("target")),
    ] = None,
    paired: Annotated[
        bool, typer.Option("--paired", help="SOURCE and TARGET are the same texts, paired as `evaluate` pairs them.")
    ] = False,
    translated: Annotated[
        bool,
        typer.Option(
            "--translated",
            help="SOURCE holds vectors that this translator has translated already, such as a migrated collection. "
            "With --paired, TARGET holds vectors by the target model under the ids of some of its rows.",
        ),
    ] = False,
    columns: Columns = None,
    keys: Keys = None,
    scales: Scales = None,
    skip_bad: SkipBad = False,
    where: Where = None,
    target_where: TargetWhere = None,
    allow_foreign: AllowForeign = False,
    seed: Seed = 0,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Measure how scores of both models correspond.

    Thresholds on scores are converted by the scales that this command measures. `fit` measures them on rows that it
    holds out. Measure again on rows of your own where they are of another kind than those of the fit, and with queries
    where queries are not like documents. Where the old vectors are gone, --translated measures the translations that
    there are. Up to 2,048 rows of each side, drawn at random, are used; each file or collection is read once more to
    look for rows of the fit. The translator itself does not change.
    """
    from interlingua.core.calibration import MAX_ROWS, check_known
    from interlingua.core.storage import check_destination
    from interlingua.core.translator import load

    check_outputs({"--out": out, "--log": log})
    check_destination(out, overwrite=force)
    translator = load(directory)
    if translated:
        check_known(translator.calibration)
        check_effect({"--source-queries": source_queries}, "cannot be compared with translated rows; leave it out.")
    queries = {"source": source_queries, "target": target_queries}
    asked = [None if path is None else _read_queries(path, side) for side, path in queries.items()]
    names: dict[str, Any] = {"columns": columns, "keys": keys, "scales": scales}
    with advise_skip_bad():
        files = inputs.open_sides(source, target, **names, where=(where, target_where), skip_bad=skip_bad)
    watch = console.Stopwatch()
    named = input_files(source, target, *(path or "" for path in queries.values()))
    with inputs.closing_sides(files), open_log(log, named) as record:
        shown = console.show_progress("Reading", record=record, transient=True)
        with advise_skip_bad(), shown as reading:
            inputs.check_widths(files, translator, paired=paired, translated=translated)
            warn_of_translations(files[1:], inputs.SIDES[1:])
            # Translations cannot be found among the fitted rows.
            fitted = (
                warn_of_fitted_rows(files[1:], translator, reading.on_rows, inputs.SIDES[1:])
                if translated
                else warn_of_fitted_rows(files, translator, reading.on_rows)
            )
            given: dict[str, Any] = {"rows": MAX_ROWS, "seed": seed, "on_rows": reading.on_rows}
            left_out: dict[str, Any] = {}
            if paired:
                spaces, pairs, _ = read_pairs_of_rows(files, with_ids=False, skip_bad=skip_bad, **given)
                left_out = {} if pairs is None else {"pairs": pairs}
            else:
                found = [find_usable(file, reading.on_rows) for file in files] if skip_bad else [None, None]
                masks = [None if each is None else each.rows for each in found]
                spaces = [
                    inputs.read_space(file, usable=mask, **given) for file, mask in zip(files, masks, strict=True)
                ]
                left_out = {
                    side: each.to_dict()
                    for side, each in zip(inputs.SIDES, found, strict=True)
                    if each is not None and each.count
                }
        of = {"pairs": files, "source": files[:1], "target": files[1:]}
        for what, rows in left_out.items():
            note_left_out(rows, what, row_word(of[what]))
        record("read", rows=[space.n for space in spaces], left_out=sum(rows["rows"] for rows in left_out.values()))
        inputs.check_different([(str(f.path), space.vectors) for f, space in zip(files, spaces, strict=True)])
        with inputs.naming_sides(files), console.working("Measuring scores", record):
            made = translator.fit_calibration(
                *(space.vectors for space in spaces),
                queries=(asked[0], asked[1]),
                paired=paired,
                translated=translated,
                allow_foreign=allow_foreign,
            )
            made.save(out, overwrite=force)
        record("done", translator=str(out), seconds=watch.seconds)
    facts: dict[str, Any] = {"paired": paired, "translated": translated, "fitted": fitted, "seconds": watch.seconds}
    facts |= {"left_out": left_out} if left_out else {}
    _print(made, out, facts, as_json=as_json)


def _read_queries(path: str, side: str) -> FloatArray:
    from interlingua.core.calibration import MIN_ROWS

    queries = read_vectors(path)
    if len(queries) < MIN_ROWS:
        raise InputError(
            f"{path} holds {count_of(len(queries))} of {side} queries; at least {MIN_ROWS} are needed. Give more, or "
            f"leave --{side}-queries out."
        )
    return queries


def _print(translator: Translator, out: Path, facts: dict[str, Any], *, as_json: bool) -> None:
    """Print what was written, and the counterparts of some scores of the source model."""
    found = translator.calibration
    rows = () if found is None else found.rows
    if as_json:
        scores = tables.calibration_scores(translator)
        console.emit_json({"translator": str(out), "rows": list(rows), "scores": scores, **facts})
        return
    console.stdout().print(tables.CALIBRATION_TITLE)
    console.stdout().print(tables.calibration_table(translator))
    console.stdout().print(tables.calibration_note(translator), soft_wrap=True)
    numbers = " and ".join(f"{n:,}" for n in rows)
    used = f"{numbers} rows without pairs"
    if facts["paired"]:
        used = f"{numbers} {'translated ' if facts['translated'] else ''}pairs"
    elif facts["translated"]:
        used += ", the first of which are translated"
    console.note(f"Wrote {out}, calibrated on {used}, {time_taken(facts['seconds'])}")
