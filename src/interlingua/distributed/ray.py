"""Translation of Parquet or Lance datasets on a Ray cluster.

Every task reads, translates and writes one part, so no vector passes through Ray itself. The work is done in tasks and
not in actors: a worker that dies loses only its part, which Ray gives to another worker.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlingua.core.arguments import check_count, check_flag, check_path, check_text, shown
from interlingua.core.arrays import require
from interlingua.core.atomic import atomic_folder, check_parent
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError

if TYPE_CHECKING:
    from interlingua.core.translator import Translator
    from interlingua.distributed.parts import Part

__all__ = ["DistributedResult", "translate_with_ray"]

_BATCH_ROWS = 8_192


@dataclass(frozen=True)
class DistributedResult:
    """Result of a distributed translation.

    Attributes:
        out: folder of Parquet files, or Lance dataset.
        rows: number of rows in the output.
        parts: number of parts.
        starting_seconds: time to start Ray; almost zero if it was running.
        working_seconds: time to read, translate and write all parts.
    """

    out: str
    rows: int
    parts: int
    starting_seconds: float
    working_seconds: float


def translate_with_ray(
    directory: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    column: str | None = None,
    inverse: bool = False,
    allow_foreign: bool = False,
    workers: int | None = None,
    batch_rows: int = _BATCH_ROWS,
    on_rows: OnRows | None = None,
) -> DistributedResult:
    """Translate a Parquet file, a folder of them or a Lance dataset with Ray Data.

    Uses the Ray that is running, or starts one on this machine. Rows keep their order and their columns; ``out``
    appears when it is complete. Every worker must be able to read and write the folders.

    Args:
        directory: a translator's folder.
        source: ``.parquet`` file, folder of such files, or ``.lance`` folder.
        out: must not exist yet. A Lance dataset if its name ends in ``.lance``, otherwise a folder of Parquet files,
            whose names in order hold the rows in order.
        column: the vectors, as in :func:`interlingua.distributed.arrow.translate_batches`.
        inverse: translate from the target space back to the source space.
        allow_foreign: as in :func:`interlingua.distributed.arrow.translate_batches`.
        workers: most parts at a time; as many as Ray has processors by default.
        batch_rows: rows read, translated and written at a time.
        on_rows: called with the phase, the rows done and the number of rows, after each part.

    Raises:
        InputError: the source does not exist, has another format, is empty or damaged.
        OutputExistsError: ``out`` exists.
        MissingExtraError: the extra ``ray`` is not installed.
        InterlinguaError: a batch could not be translated; nothing is left behind.
    """
    from interlingua.core.translator import load
    from interlingua.distributed.parts import WrittenPart, finish, is_lance, parts_of

    folder, source, out = (
        check_path(path, name).resolve() for path, name in ((directory, "directory"), (source, "source"), (out, "out"))
    )
    column = None if column is None else check_text(column, "column")
    workers = None if workers is None else check_count(workers, "workers", minimum=1)
    flags = {"inverse": check_flag(inverse, "inverse"), "allow_foreign": check_flag(allow_foreign, "allow_foreign")}
    batch_rows = check_count(batch_rows, "batch_rows", minimum=1)
    if on_rows is not None and not callable(on_rows):
        raise InputError(f"on_rows is {shown(on_rows)}; a function or None is needed.")
    ray = require("ray", "ray")
    data = require("ray.data", "ray")
    load(folder)  # refuse a bad folder once instead of in every worker
    if out.suffix and not is_lance(out):
        raise InputError(
            f"{out}: the engine ray writes a folder of .parquet files, or a dataset whose name ends in .lance; "
            "name it without another extension."
        )
    if out.exists():
        raise OutputExistsError(f"{out} exists; choose another name or remove it first.")
    check_parent(out)
    parts_of(source, 1)  # refuse a bad source before Ray takes its seconds to start
    start = time.perf_counter()
    if not ray.is_initialized():
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, configure_logging=False)
    started = time.perf_counter()
    data.DataContext.get_current().enable_progress_bars = False
    parts = parts_of(source, workers or int(ray.cluster_resources().get("CPU", 1)))
    rows, report = sum(part.stop - part.start for part in parts), on_rows or (lambda phase, done, rows: None)
    try:
        with atomic_folder(out) as fresh:
            settings = {"directory": str(folder), "column": column, **flags}
            done = data.range(len(parts), override_num_blocks=len(parts)).map_batches(
                _translate_parts,
                batch_size=None,
                fn_kwargs={**settings, "parts": parts, "out": str(fresh), "batch_rows": batch_rows},
                compute=data.TaskPoolStrategy(size=workers),
                num_cpus=1,
            )
            written: list[WrittenPart] = []
            report("translating", 0, rows)
            for row in done.iter_rows():
                written.append(WrittenPart(**row))
                report("translating", sum(part.rows for part in written), rows)
            finish(fresh, written)
    except ray.exceptions.RayError as error:
        raise InterlinguaError(f"{source} could not be translated: {_cause(error)}") from error
    seconds = round(started - start, 2), round(time.perf_counter() - started, 2)
    return DistributedResult(str(out), sum(part.rows for part in written), len(parts), *seconds)


def _translate_parts(
    picked: dict[str, Any],
    directory: str,
    column: str | None,
    inverse: bool,
    allow_foreign: bool,
    parts: Sequence[Part],
    out: str,
    batch_rows: int,
) -> dict[str, list[Any]]:
    """Read, translate and write the parts of these numbers, and return the results as columns."""
    from interlingua.distributed.arrow import translate_batches
    from interlingua.distributed.parts import write_part

    done = []
    for number in picked["id"]:
        rows = parts[int(number)].batches(batch_rows)
        batches = translate_batches(
            rows, _loaded(directory), column=column, inverse=inverse, allow_foreign=allow_foreign
        )
        done.append(asdict(write_part(batches, int(number), Path(out))))
    return {name: [part[name] for part in done] for name in done[0]}


@lru_cache(maxsize=2)
def _loaded(directory: str) -> Translator:
    from interlingua.core.translator import load

    return load(directory)


def _cause(error: Exception) -> str:
    """Return the line of a worker's traceback that names the error; errors of this package come first."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    ours = [line.split("Error: ", 1)[1] for line in lines if line.startswith("interlingua.core.errors.")]
    theirs = [line for line in lines if "Error: " in line]
    return [*lines[-1:], *theirs[-1:], *ours[-1:]][-1].strip()[:300]
