"""The process that reads and translates files for the page and runs its fit: ``python -m interlingua.serve.child``.

The first argument is the action, ``read``, ``translate`` or ``fit``. ``read`` and ``translate`` take their arguments as
JSON and write one line of JSON; ``fit`` is the command ``interlingua fit`` with the arguments that follow.
"""

from __future__ import annotations

import errno
import json
import os
import runpy
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from interlingua.core.errors import InputError, InputWarning, cause_of
from interlingua.core.translator import load
from interlingua.io import EXTENSIONS, VectorWriter, create_writer, open_vectors
from interlingua.serve.jobs import argument_on_page
from interlingua.serve.progress import written_rows
from interlingua.serve.rows import store_rows

__all__ = ["main", "read", "translate"]

_BLOCK = 8_192
# Processor time for a file: enough for 2 GB of JSON Lines on a slow machine, and an end for what never ends.
_SECONDS, _SECONDS_PER_MIB = 300, 1
_WHOLE_NUMBERS = {".bvecs": ".fvecs", ".ivecs": ".fvecs", ".u8bin": ".fbin", ".i8bin": ".fbin"}


def read(path: Path) -> dict[str, Any]:
    """Check a file, store beside it what searches need, and return what the page shows of it.

    Raises:
        InputError: it cannot be used.
    """
    file = open_vectors(path)
    file.check()
    return {"rows": file.n, "width": file.d, **store_rows(file, path.parent)}


def translate(path: Path, translator: Path, *, inverse: bool, allow_foreign: bool) -> dict[str, Any]:
    """Translate a file into one beside it, with its ids and other columns, and return its name.

    The format is that of the file, or Parquet if that format cannot be written or cannot hold the columns.

    Raises:
        SpaceMismatchError: the vectors cannot be of the space that was fitted, and ``allow_foreign`` is not set.
        InputError: the file cannot be used.
    """
    loaded = load(translator)
    file, progress = open_vectors(path), written_rows(path.parent)
    file.check(on_rows=progress.on_rows)
    convert = loaded.invert if inverse else loaded.translate
    width = loaded.card["source" if inverse else "target"]["d"]

    def writer(out: Path) -> VectorWriter:
        return create_writer(out, d=width, dtype="float32", n=file.n, like=file, force=True)

    stem, dot, extension = path.name.partition(".")
    out = path.with_name(f"{stem}.translated{dot}{_written(extension.lower())}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        try:
            made = writer(out)
        except InputWarning:
            out = path.with_name(f"{stem}.translated.parquet")
            made = writer(out)
    with made:
        for batch in file.batches(_BLOCK):
            made.write(convert(batch.vectors, allow_foreign=allow_foreign), batch)
            progress.on_rows("translating", made.rows, file.n)
    return {"name": out.name}


def _written(extension: str) -> str:
    """Return the extension of the translated file of a file with this extension, both without the first dot."""
    whole = f".{extension}"
    known = whole if whole.endswith(tuple(EXTENSIONS)) else _WHOLE_NUMBERS.get(whole, ".parquet")
    return known.removeprefix(".")


def main(arguments: list[str]) -> None:
    """Run an action; see the module."""
    _end_with_server()
    action, *rest = arguments
    if action == "fit":
        sys.argv = ["interlingua", "fit", *rest]
        runpy.run_module("interlingua", run_name="__main__", alter_sys=True)
        return
    _give_way()
    facts = json.loads(rest[0])
    path = Path(facts.pop("path"))
    _limit_time(path)
    actions: Mapping[str, Callable[..., dict[str, Any]]] = {"read": read, "translate": translate}
    if "translator" in facts:
        facts["translator"] = Path(facts["translator"])
    sys.stdout.write(json.dumps(_answer(actions[action], path, facts)))


def _answer(action: Callable[..., dict[str, Any]], path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of an action, or its error in words with the status of the answer."""
    try:
        return action(path, **facts)
    except InputError as error:
        status, text = 400, error.render(argument_on_page)
    except MemoryError:
        status, text = 400, f"{path.name} does not fit into the memory of this machine. Use a smaller file."
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            status, text = 400, f"{path.name} cannot be read ({error.strerror or error})."
        else:
            status, text = 507, f"The disk is full: {path.name} needs more room than the temporary folder has."
    except Exception as error:  # noqa: BLE001 - a damaged file can make a library raise anything
        said = cause_of(error) or "no reason given"
        status, text = 400, f"{path.name} cannot be read as {path.suffix or 'a file of vectors'}: {said}."
    # Readers know the file by its name and not by its temporary folder.
    return {"status": status, "error": text.replace(f"{path.parent}{os.sep}", "")}


def _end_with_server() -> None:
    """End this process when the server goes away, however it does: then the other end of standard input is closed."""

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 1):
                pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _give_way() -> None:
    """Let the server answer first, and be the process that is ended where memory runs out."""
    with suppress(OSError, AttributeError):
        os.nice(2)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _limit_time(path: Path) -> None:
    """Let the system end this process if a file keeps it busy for too long."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        size = path.stat().st_size // 2**20
        seconds = _SECONDS + _SECONDS_PER_MIB * size
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
