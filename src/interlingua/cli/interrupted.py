"""What a command says after Ctrl-C or SIGTERM: what it has written, and how to go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from interlingua.cli.migrations import journal_of
from interlingua.core.errors import InterlinguaError

__all__ = ["advice_after", "output_version", "resume_option"]

_NOTHING = "Nothing was written."
# A value that changes when a file or folder is replaced; None if there is none.
_Version = tuple[int, int] | None


def output_version(params: Mapping[str, Any]) -> _Version:
    """Return a value that changes when the output of a command is replaced; None if there is none.

    Args:
        params: the parameters of the command.
    """
    path = params.get("out") or (params.get("directory") if params.get("fit") else None)
    if not isinstance(path, Path):
        return None
    try:
        found = path.stat()
    except OSError:  # there is none, or the command refuses such a path
        return None
    return found.st_ino, found.st_mtime_ns


def advice_after(command: str | None, params: Mapping[str, Any], before: _Version) -> str:
    """Return what an interrupted command has written and how to go on, with a space before it; empty for others.

    Args:
        command: its name.
        params: its parameters.
        before: the version of its output before it ran.
    """
    advice = _ADVICE.get(command or "")
    return "" if advice is None else f" {advice(params, before)}"


def _after_fit(params: Mapping[str, Any], before: _Version) -> str:
    if output_version(params) != before:
        return f"The translator {params['out']} is complete."
    run = params.get("run")
    return f"Go on from the checkpoints in {run} with --resume." if run else "No translator was written."


def _after_translate(params: Mapping[str, Any], before: _Version) -> str:
    from interlingua.io._checkpoint import partial_folder

    if output_version(params) != before:
        return f"{params['out']} is complete."
    if params["engine"] == "local" and partial_folder(params["out"]).exists():
        return f"Run the same command with {resume_option(force=params['force'])} to continue."
    return _NOTHING


def resume_option(*, force: bool) -> str:
    """Return the option that continues `translate`, and the option that it replaces if that was given."""
    return "--resume in place of --force" if force else "--resume"


def _after_migrate(params: Mapping[str, Any], before: _Version) -> str:
    journal = params["journal"] or journal_of(params["directory"], params["source"], params["target"])
    advice = _after_migration(params, journal)
    if advice == _NOTHING and output_version(params) != before:
        without = "--fit" if params["rows"] is None else "--fit and --rows"
        return f"The translator {params['directory']} is complete. Run the same command without {without} to go on."
    return advice


def _after_embed(params: Mapping[str, Any], before: _Version) -> str:
    maker = f"{params['encoder']}\n{params['text_column']}"
    return _after_migration(params, params["journal"] or journal_of(maker, params["source"], params["target"]))


def _after_migration(params: Mapping[str, Any], journal: Path) -> str:
    if params["dry_run"]:
        return "Nothing was dropped." if params["undo"] else _NOTHING
    if params["undo"]:
        return "Run the same command again to finish the rollback."
    if params["catch_up"]:
        return "Run the same command again to copy the other rows."
    phase = _phase(journal)
    if phase == "done":
        report = " and writes the report" if params.get("report") else ""
        return f"It is finished. The same command with --resume compares the rows once more{report}."
    if phase in (None, "rolled back"):
        return _NOTHING
    return "Run the same command with --resume to continue, or with --rollback to delete what it wrote."


def _phase(journal: Path) -> str | None:
    """Return the phase of a migration, None if there is no journal that can be read."""
    from interlingua.stores._journal import MigrationJournal

    with suppress(InterlinguaError), closing(MigrationJournal(journal, create=False)) as log:
        return log.phase
    return None


_ADVICE: Mapping[str, Callable[[Mapping[str, Any], _Version], str]] = MappingProxyType(
    {"fit": _after_fit, "translate": _after_translate, "migrate": _after_migrate, "embed": _after_embed}
)
