"""Where reports go: checked before the work, written after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlingua.core.arrays import require
from interlingua.core.errors import InputError, OutputExistsError

if TYPE_CHECKING:
    from interlingua.core.alignment import Alignment
    from interlingua.core.translator import Translator

Report = Annotated[
    Path | None, typer.Option(metavar="FILE.html", help="Also write a report with pictures (extra: report).")
]
ReplaceReport = Annotated[bool, typer.Option("--force", help="Replace the report that is there.")]


def check_report(path: Path, *, force: bool) -> None:
    """Refuse a report that could not be written.

    Raises:
        InputError: another extension, or no such folder.
        OutputExistsError: it is there and overwriting was not asked for.
        MissingExtraError: the extra ``report`` is not installed.
    """
    if path.suffix.lower() not in {".html", ".htm"}:
        raise InputError(f"The report {path} has extension '{path.suffix}'; reports are .html.")
    if not path.parent.is_dir():
        raise InputError(f"The report's folder {path.parent} does not exist; create it or choose another.")
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists; choose another name, or overwrite it with --force.")
    for module in ("matplotlib", "jinja2"):
        require(module, "report")


def write(path: Path, fit: Alignment | Translator, **parts: Any) -> Path:
    """Write the report of a fit or a translator; ``parts`` as :func:`interlingua.report.write_report` takes them."""
    from interlingua.report import write_report

    write_report(path, fit, **parts)
    return path
