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
    find = _ADVICE.get(command or "")
    advice = "" if find is None else find(params, before)
    return f" {advice}" if advice else ""


def _after_fit(params: Mapping[str, Any], before: _Version) -> str:
    if output_version(params) != before:
        return f"The translator {params['out']} is saved."
    run = params.get("run")
    return f"Go on from the checkpoints in {run} with --resume." if run else "No translator was written."


def _after_translate(params: Mapping[str, Any], before: _Version) -> str:
    from interlingua.core.atomic import follow_link
    from interlingua.io._checkpoint import unfinished_settings

    if output_version(params) != before:
        return f"{params['out']} is complete."
    # A writer follows links, and keeps unfinished rows beside the file that a link points to.
    if params["engine"] == "local" and unfinished_settings(follow_link(params["out"])) is not None:
        return f"Run the same command with {resume_option(force=params['force'])} to continue."
    return _NOTHING


def resume_option(*, force: bool) -> str:
    """Return the option that continues `translate`, and the option that it replaces if that was given."""
    return "--resume in place of --force" if force else "--resume"


def _after_migrate(params: Mapping[str, Any], before: _Version) -> str:
    journal = params["journal"] or journal_of(params["directory"], params["source"], params["target"])
    advice = _after_migration(params, journal)
    if advice is None and output_version(params) != before:
        without = "--fit" if params["rows"] is None else "--fit and --rows"
        return f"The translator {params['directory']} is saved. Run the same command without {without} to go on."
    return _NOTHING if advice is None else advice


def _after_embed(params: Mapping[str, Any], before: _Version) -> str:
    maker = f"{params['encoder']}\n{params['text_column']}"
    journal = params["journal"] or journal_of(maker, params["source"], params["target"])
    advice = _after_migration(params, journal)
    return _NOTHING if advice is None else advice


def _after_migration(params: Mapping[str, Any], journal: Path) -> str | None:
    """Return what to do after a migration, None if nothing was written, or an empty text if that is not known."""
    if params["dry_run"]:
        return "Nothing was dropped." if params["undo"] else None
    if params["undo"]:
        return "Run the same command again to finish the rollback."
    if params["catch_up"]:
        return "Run the same command again to copy the remaining rows."
    if not journal.exists():
        return None
    phase = _phase(journal)
    if phase is None:
        return ""
    if phase == "done":
        report = " and writes the report" if params.get("report") else ""
        return f"All rows are written; the same command with --resume compares them once more{report}."
    if phase == "rolled back":
        return None
    return "Run the same command with --resume to continue, or with --rollback to delete what it wrote."


def _phase(journal: Path) -> str | None:
    """Return the phase of a migration, None if another run has opened its journal or it cannot be read."""
    from interlingua.stores._journal import MigrationJournal

    with suppress(InterlinguaError), closing(MigrationJournal(journal, create=False)) as log:
        return log.phase
    return None


_ADVICE: Mapping[str, Callable[[Mapping[str, Any], _Version], str]] = MappingProxyType(
    {"fit": _after_fit, "translate": _after_translate, "migrate": _after_migrate, "embed": _after_embed}
)
