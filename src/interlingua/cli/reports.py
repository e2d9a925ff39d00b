"""The ``--report`` option: its file is checked before the work and written after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlingua.cli import console
from interlingua.cli.inputs import side_columns
from interlingua.cli.options import check_effect, check_once
from interlingua.core.arrays import require
from interlingua.core.atomic import check_parent, check_writable
from interlingua.core.errors import InputError, OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interlingua.cli.inputs import Side
    from interlingua.core.alignment import Alignment
    from interlingua.core.translator import Translator

__all__ = [
    "ReplaceReport",
    "ReportFile",
    "check_annex",
    "check_optional_report",
    "check_report",
    "shown_columns",
    "write",
]

ReportFile = Annotated[
    Path | None, typer.Option(metavar="FILE.html", help="Also write a report with pictures (extra: report).")
]
ReplaceReport = Annotated[bool, typer.Option("--force", help="Replace an existing report.")]


def check_optional_report(path: Path | None, *, force: bool) -> None:
    """Refuse a report that could not be written, and ``--force`` without a report to replace.

    Raises:
        InputError: as :func:`check_report`, or ``--force`` without ``--report``.
        OutputExistsError: as :func:`check_report`.
        MissingExtraError: as :func:`check_report`.
    """
    if path is None:
        check_effect({"--force": force}, "replaces an existing report and needs --report.")
    else:
        check_report(path, force=force)


def check_report(path: Path, *, force: bool) -> None:
    """Refuse a report that could not be written.

    Raises:
        InputError: another extension, or no such folder.
        OutputExistsError: it exists and ``force`` is not set.
        MissingExtraError: the extra ``report`` is not installed.
    """
    if path.suffix.lower() not in {".html", ".htm"}:
        raise InputError(f"The report {path} has extension '{path.suffix}'; reports are .html.")
    check_writable(path)
    check_parent(path)
    check_writable(path)
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists.", "Choose another name, or overwrite it with {force}.")
    for module in ("matplotlib", "jinja2"):
        require(module, "report")


def check_annex(annex: Path, *, force: bool) -> None:
    """Refuse an annex that could not be written, or that would replace other files.

    Raises:
        InputError: not an .html file.
        OutputExistsError: the annex exists.
    """
    if annex.suffix != ".html":
        raise InputError(f"--annex is {annex}; a name that ends in .html is needed, FILE.md is written beside it.")
    check_report(annex, force=force)
    markdown = annex.with_suffix(".md")
    if markdown.exists() and not force:
        raise OutputExistsError(f"{markdown} exists.", "Choose another --annex, or overwrite it with {force}.")


def shown_columns(given: Sequence[str] | None, files: Sequence[Side]) -> list[str | None]:
    """Return the column of each file whose values name its rows in a report, as ``--show`` names it.

    A single name is not asked of a file without columns, such as ``.npy``, if another file has some.

    Args:
        given: the values of the option.
        files: the source, and each target that is a file.

    Raises:
        InputError: the option was given more than twice.
    """
    columns = side_columns("--show", given)
    if columns is None:
        return [None] * len(files)
    if len(files) == 1:
        check_once("--show", given)
    named = [columns[0], *[columns[1]] * (len(files) - 1)]
    if len(given or ()) > 1 or not any(file.names for file in files):
        return list(named)
    return [column if file.names else None for column, file in zip(named, files, strict=True)]


def write(path: Path, fit: Alignment | Translator, *, done: str = "", **parts: Any) -> Path:
    """Write the report of a fit or a translator.

    Args:
        path: the file.
        fit: the fit or the translator.
        done: what is complete by then, which is said where the report cannot be written.
        **parts: as :func:`interlingua.report.write_report` takes them.
    """
    from interlingua.report import write_report

    try:
        write_report(path, fit, **parts)
    except OSError:
        if done:
            console.note(f"{done} Only the report was not written.")
        raise
    return path
