"""``interlingua translate``: translate a file of any size, batch by batch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from interlingua.cli import console
from interlingua.cli.eventlog import EventLog, open_log
from interlingua.cli.fitted import note_few_rows, note_verdict
from interlingua.cli.interrupted import resume_option
from interlingua.cli.options import (
    FORMATS,
    AllowForeign,
    AsJson,
    Inverse,
    Log,
    TranslatorFolder,
    check_effect,
    check_outputs,
)
from interlingua.core.arrays import unit_rows
from interlingua.core.digests import distinct_rows
from interlingua.core.errors import InputError, SpaceMismatchError
from interlingua.core.wording import be, count_of, text_of, time_taken
from interlingua.stores.registry import ALIASES, store_names

if TYPE_CHECKING:
    from interlingua.core.translator import Translator
    from interlingua.io import VectorFile, VectorWriter

__all__ = ["Dtype", "Engine", "translate"]

# Rows that are compared with the fitted space before anything is written.
_FIRST_ROWS = 4_096
# Panels of the help.
_INPUT, _PARTS = "Input", "Parts and clusters"
_COLUMN = "The column with the vectors, in files such as .parquet and .jsonl."
_ID_COLUMN = "The column with the ids, if its name is none of the usual ones, such as id."
_SHARD = "Translate only part i of n equal parts of the rows, i from 1 to n."
_ENGINE = "ray runs on a Ray cluster: INPUT is Parquet or Lance, OUTPUT a folder of Parquet or NAME.lance."
_WORKERS = "With --engine ray: parts translated at the same time."


class Dtype(StrEnum):
    """Number types of the output."""

    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


class Engine(StrEnum):
    """Where the work runs."""

    LOCAL = "local"
    RAY = "ray"


def translate(
    directory: TranslatorFolder,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=f"Vectors to translate: {FORMATS}.")],
    out: Annotated[Path, typer.Option(metavar="OUTPUT", help="The file to write; its extension sets the format.")],
    inverse: Inverse = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run of the same command.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUTPUT if it exists.")] = False,
    column: Annotated[str | None, typer.Option(metavar="NAME", help=_COLUMN, rich_help_panel=_INPUT)] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The array, in .npz, .safetensors and .h5.", rich_help_panel=_INPUT),
    ] = None,
    id_column: Annotated[str | None, typer.Option(metavar="NAME", help=_ID_COLUMN, rich_help_panel=_INPUT)] = None,
    scale: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Dequantization scale of int8 vectors.", rich_help_panel=_INPUT),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="i/n", help=_SHARD, rich_help_panel=_PARTS),
    ] = None,
    allow_foreign: AllowForeign = False,
    dtype: Annotated[Dtype | None, typer.Option(help="Number type of OUTPUT; by default that of INPUT.")] = None,
    engine: Annotated[
        Engine,
        typer.Option(help=_ENGINE, rich_help_panel=_PARTS),
    ] = Engine.LOCAL,
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, help=_WORKERS, rich_help_panel=_PARTS)] = None,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Translate a file of vectors.

    Ids and other columns are copied. Rows are streamed, so the file may be larger than memory. OUTPUT gets its name
    only when it is complete; until then its rows are in OUTPUT.partial, where --resume continues.
    """
    from interlingua.core.translator import load
    from interlingua.io import create_writer, open_vectors
    from interlingua.stores._origin import origin_of

    _check_is_file(source)
    check_outputs({"OUTPUT": out, "--log": log})
    if engine is Engine.RAY:
        unused = {
            "--shard": shard,
            "--resume": resume,
            "--force": force,
            "--key": key,
            "--id-column": id_column,
            "--dtype": dtype,
            "--scale": scale,
        }
        check_effect(
            unused, "has no effect with --engine ray, which reads, writes and resumes in its own manner; leave it out."
        )
        flags = {"inverse": inverse, "allow_foreign": allow_foreign}
        with open_log(log, (source,)) as record:
            _translate_with_ray(directory, source, out, column, workers, flags, record, as_json=as_json)
        return
    check_effect({"--workers": workers}, "has no effect without --engine ray; leave it out.")
    if force and resume:
        raise InputError("--resume continues an interrupted run and --force starts over; use one of the two.")
    translator = load(directory)
    note_verdict(translator, directory)
    with console.working("Reading"):
        file = open_vectors(source, column=column, key=key, id_column=id_column, scale=scale)
    _check_width(file, translator, inverse=inverse)
    if not allow_foreign:
        # Each batch is compared again, but these are refused before OUTPUT is begun.
        first = next(file.batches(_FIRST_ROWS)).vectors
        translator.check_space(first, inverse=inverse)
        # Copies are counted once, up to their lengths, as in that comparison.
        note_few_rows(len(distinct_rows(unit_rows(np.asarray(first, np.float32)))), translator, inverse=inverse)
    start, stop = _rows_of(shard, file.n)
    settings = {
        "input": file.fingerprint(),
        "translator": translator.fingerprint(),
        "direction": "inverse" if inverse else "forward",
        "first_row": start,
    }
    watch = console.Stopwatch()
    with open_log(log, (source,)) as record:
        writer = create_writer(
            out,
            d=translator.d_source if inverse else translator.d_target,
            dtype=dtype or file.dtype,
            n=stop - start,
            like=file,
            force=force,
            resume=resume,
            settings=settings,
            origin=origin_of(translator, text_of(source.name), file.vector_name, inverse=inverse),
        )
        kept = writer.rows
        with writer:
            # A shard would have to read the whole file for this; its own rows are checked as they are read.
            if shard is None and not kept:
                with console.show_progress("Checking", record=record, transient=True) as checking:
                    file.check(on_rows=checking.on_rows)
            flags = {"inverse": inverse, "allow_foreign": allow_foreign, "force": force}
            _stream(file, writer, translator, (start, stop), record, **flags)
        speed = (stop - start - kept) / max(watch.seconds, 1e-3)
        result = {
            "out": str(out),
            "rows": stop - start,
            "resumed_from": kept,
            "d": translator.d_source if inverse else translator.d_target,
            "seconds": watch.seconds,
            "rows_per_second": round(speed, 1),
        }
        record("done", **result)
    if as_json:
        console.emit_json(result)
    else:
        console.note(f"Wrote {out}: {count_of(stop - start)}, {time_taken(watch.seconds)}, {speed:,.0f} rows/s")


def _stream(
    file: VectorFile,
    writer: VectorWriter,
    translator: Translator,
    rows: tuple[int, int],
    record: EventLog,
    *,
    inverse: bool,
    allow_foreign: bool,
    force: bool,
) -> None:
    start, stop = rows
    go_on = f"run the same command with {resume_option(force=force)} to continue."
    convert = translator.invert if inverse else translator.translate
    record("start", rows=stop - start, resumed_from=writer.rows)
    try:
        with console.show_progress(f"Translating {file.path.name}", record=record) as progress:
            progress.on_rows("translating", writer.rows, stop - start)
            for batch in file.batches(start=start + writer.rows, stop=stop):
                try:
                    translated = convert(batch.vectors, allow_foreign=allow_foreign)
                except SpaceMismatchError as error:
                    last = batch.start + len(batch) - 1
                    raise error.at(f"{file.path}, rows {batch.start} to {last}") from error
                writer.write(translated, batch)
                progress.on_rows("translating", writer.rows, stop - start)
    except OSError:
        if writer.rows:
            console.note(f"{count_of(writer.rows)} {be(writer.rows)} kept; {go_on}")
        raise
    except KeyboardInterrupt as error:
        if not writer.rows:
            raise
        console.note(f"Interrupted after {count_of(writer.rows)}; {go_on}")
        raise console.ExplainedInterrupt from error


def _translate_with_ray(
    directory: Path,
    source: Path,
    out: Path,
    column: str | None,
    workers: int | None,
    flags: Mapping[str, bool],
    record: EventLog,
    *,
    as_json: bool,
) -> None:
    from interlingua.distributed.ray import translate_with_ray

    watch = console.Stopwatch()
    with console.show_progress(f"Translating {source.name}", record=record) as progress:
        done = translate_with_ray(
            directory, source, out, column=column, workers=workers, on_rows=progress.on_rows, **flags
        )
    speed = done.rows / max(watch.seconds, 1e-3)
    result = {**asdict(done), "seconds": watch.seconds, "rows_per_second": round(speed, 1)}
    record("done", **result)
    if as_json:
        console.emit_json(result)
    else:
        start = f"including {time_taken(done.starting_seconds)} to start Ray"
        console.note(f"Wrote {out}: {count_of(done.rows)}, {time_taken(watch.seconds)} ({start}), {speed:,.0f} rows/s")


def _check_is_file(source: Path) -> None:
    """Refuse the address of a store; as a path, its two slashes have become one."""
    scheme, colon, _ = str(source).partition(":/")
    if colon and scheme.lower() in {*store_names(), *ALIASES} and not source.exists():
        address = str(source).replace(":/", "://", 1)
        raise InputError(f"{address} is an address. `interlingua translate` reads files; use `migrate` for a store.")


def _check_width(file: VectorFile, translator: Translator, *, inverse: bool) -> None:
    widths = {"source": translator.d_source, "target": translator.d_target}
    side, other = ("target", "source") if inverse else ("source", "target")
    if file.d != widths[side]:
        hint = "Is it from another model?"
        if file.d == widths[other]:
            hint = "Leave out --inverse." if inverse else "Use --inverse to translate target vectors back."
        raise InputError(f"{file.path} has width {file.d}; this translator's {side} has {widths[side]}. {hint}")


def _rows_of(shard: str | None, n: int) -> tuple[int, int]:
    """Return first and last row of a shard; shards differ by one row at most and cover all rows."""
    if shard is None:
        return 0, n
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    part, parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= part <= parts:
        raise InputError(f"--shard is {shard!r}; i/n with 1 <= i <= n is needed, such as 1/4 for the first of four.")
    if parts > n:
        raise InputError(f"--shard {shard} has more parts than there are rows ({n:,}); use n of at most {n}.")
    return (part - 1) * n // parts, part * n // parts
