"""Ray Data as the engine: Parquet or Lance in, Parquet out, on as many machines as the cluster has.

Tasks and not actors: a worker that dies takes its batch along and nothing else, and Ray gives the batch to another.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlingua._arrays import require
from interlingua.errors import InputError, InterlinguaError, OutputExistsError

if TYPE_CHECKING:
    import pyarrow as pa

    from interlingua.translator import Translator

BATCH_ROWS = 8_192


@dataclass(frozen=True)
class Distributed:
    """What an engine did.

    Attributes:
        out: folder of Parquet files.
        rows: how many rows it holds.
    """

    out: str
    rows: int


def translate_with_ray(
    directory: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    column: str | None = None,
    inverse: bool = False,
    workers: int | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Distributed:
    """Translate a Parquet file, a folder of them or a Lance dataset with Ray Data.

    Uses the Ray that is running, or starts one on this machine. The folder ``out`` appears when it is complete.

    Args:
        directory: a translator's folder, which every worker must be able to read.
        source: ``.parquet`` file, folder of such files, or ``.lance`` folder.
        out: folder of Parquet files to make; it must not be there.
        column: the vectors, as in :func:`interlingua.batches.translate_batches`.
        inverse: translate from the target space back to the source space.
        workers: most batches at a time; as many as Ray has processors by default.
        batch_rows: rows of a batch.

    Raises:
        InputError: the source is not there or of another kind.
        OutputExistsError: ``out`` is there.
        MissingExtraError: the extra ``ray`` is not installed.
        InterlinguaError: a batch could not be translated; nothing is left behind.
    """
    import pyarrow.parquet as pq

    from interlingua.translator import load

    ray, source, out = require("ray", "ray"), Path(source), Path(out)
    data = require("ray.data", "ray")
    load(directory)  # refuse a bad folder here and not in every worker
    if not source.exists():
        raise InputError(f"{source}: no such file or folder. Check the path.")
    from_lance = source.name.endswith(".lance")
    if from_lance:
        require("lance", "ray")
    if out.suffix:
        raise InputError(f"{out}: the engine ray writes a folder of .parquet files; name it without an extension.")
    if source.is_file() and source.suffix.lower() != ".parquet":
        raise InputError(f"{source}: the engine ray reads .parquet files, folders of them, and .lance folders.")
    if out.exists():
        raise OutputExistsError(f"{out} exists; choose another name or remove it first.")
    if not out.parent.is_dir():
        raise InputError(f"The folder {out.parent} does not exist; create it or choose another.")
    if not ray.is_initialized():
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, configure_logging=False)
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    fresh = out.with_name(f".tmp.{out.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        rows = data.read_lance(str(source)) if from_lance else data.read_parquet(str(source))
        settings = {"directory": str(Path(directory).resolve()), "column": column, "inverse": inverse}
        done = rows.map_batches(
            _translate,
            batch_format="pyarrow",
            batch_size=batch_rows,
            fn_kwargs=settings,
            concurrency=workers,
            num_cpus=1,
        )
        done.write_parquet(str(fresh), min_rows_per_file=batch_rows)
    except ray.exceptions.RayError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        cause = getattr(error, "cause", None) or error.__cause__ or error
        raise InterlinguaError(f"{source} could not be translated: {_cause(cause)}") from error
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    fresh.rename(out)
    return Distributed(str(out), sum(pq.read_metadata(path).num_rows for path in out.glob("*.parquet")))


def _translate(table: pa.Table, directory: str, column: str | None, inverse: bool) -> pa.Table:
    import pyarrow as pa

    from interlingua.batches import translate_batches

    batches = table.combine_chunks().to_batches()
    return pa.Table.from_batches(list(translate_batches(batches, _loaded(directory), column=column, inverse=inverse)))


@lru_cache(maxsize=2)
def _loaded(directory: str) -> Translator:
    from interlingua.translator import load

    return load(directory)


def _cause(error: Any) -> str:
    """Return the line of a worker's traceback that names the error."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line for line in reversed(lines) if "Error: " in line), lines[-1]).strip()[:300]
