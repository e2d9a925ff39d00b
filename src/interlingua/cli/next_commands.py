"""The commands that follow a fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from interlingua._texts_in_part import row_options
from interlingua.cli import console
from interlingua.cli.collections import file_of
from interlingua.io import EXTENSIONS

__all__ = ["commands_after_fit", "show_commands"]


def commands_after_fit(
    out: Path,
    source: str | None,
    *,
    where: str | None = None,
    skip_bad: bool = False,
    nulls: int = 0,
    layout: Sequence[tuple[str, str]] = (),
    encoder: bool = False,
    paired: bool = False,
) -> list[str]:
    """Return the commands that measure a translator, search with it, and translate the source.

    Args:
        out: folder of the translator.
        source: the fitted source; ``None`` for a fit on public texts alone, and ``-`` for a pipe, which is read now.
        where: the condition that its rows had to meet.
        skip_bad: whether rows without a usable vector were left out.
        nulls: number of rows of a store without a vector.
        layout: options that say where the vectors are in a file, with their values.
        encoder: whether the new model was named, so that it can embed queries. A command is not repeated in the
            output, because its arguments can hold a key.
        paired: whether rows with the same id were known pairs. The condition then chose which pairs the fit may read,
            so that the others can be evaluated, and says nothing about which rows to translate.
    """
    translator, given = quote(str(out)), "OLD.npy" if source in {None, "-"} else str(source)
    # A file that exists is written like any other; an address of a store is migrated.
    path, read = file_of(given), "".join(f" {option} {quote(value)}" for option, value in layout)
    bad = " --skip-bad" if skip_bad else ""
    evaluated, migrated = ("KEPT_APART", None) if paired and where is not None else (where, where)
    commands = [
        # Rows of a store are paired by their ids, and rows of two files by their order.
        f"interlingua evaluate {translator} OLD_PAIRS.npy NEW_PAIRS.npy"
        if path is not None
        else f"interlingua evaluate {translator} {quote(given)} REEMBEDDED{row_options(evaluated)}{bad}"
    ]
    if not (skip_bad or read):
        # A search refuses a collection with rows that it cannot rank, and takes no layout of a file.
        queries = "--text 'A QUERY' --encoder NEW_MODEL" if encoder else "--query NEW_QUERIES.npy"
        commands.append(f"interlingua search {translator} {quote(given)} {queries}")
    if path is None or (skip_bad and not read):
        left_out = " --skip-bad" if skip_bad else " --skip-null" if nulls else ""
        commands.append(
            f"interlingua migrate {translator} {quote(given)} TARGET{row_options(migrated)}{left_out} --dry-run"
        )
    elif not skip_bad:
        # `translate` refuses a file with rows that cannot be used, and `migrate` takes no layout of a file.
        extension = path.suffix if path.suffix in EXTENSIONS else ".parquet"
        commands.append(f"interlingua translate {translator} {quote(given)} --out translated{extension}{read}")
    return commands


def show_commands(commands: Sequence[str]) -> None:
    """Print commands, and what the words in capitals stand for."""
    meanings = {
        "OLD_PAIRS": "OLD_PAIRS and NEW_PAIRS are files with vectors of the same texts in the same order, by the old "
        "and by the new model. Texts that the fit has not read are the fairest test. Without such vectors, leave out "
        "the evaluation.",
        "REEMBEDDED": "REEMBEDDED is a file or a collection of rows that the new model embedded again under their old "
        "ids. Rows that the fit has not read are the fairest test. Without such rows, leave out the evaluation.",
        "KEPT_APART": "KEPT_APART is a condition that selects only rows whose pairs the fit has not read.",
        "NEW_QUERIES": "NEW_QUERIES holds queries that the new model embedded.",
        "NEW_MODEL": "NEW_MODEL is the model that was given as --target-encoder.",
        "TARGET": "TARGET is the address of a new collection, column or file.",
    }
    used = [said for word, said in meanings.items() if any(word in command for command in commands)]
    console.note(f"Next commands. {' '.join(used)}")
    for command in commands:
        console.note(f"  {command}")
