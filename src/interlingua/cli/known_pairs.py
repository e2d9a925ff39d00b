"""Known pairs of rows as the option ``--pairs`` reads them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from interlingua.aligners.base import pairs_enough_alone
from interlingua.cli.collections import Collection
from interlingua.cli.inputs import SIDES, Side
from interlingua.cli.options import check_effect
from interlingua.core.alignment import unsupported_pairs_advice
from interlingua.core.arguments import read_whole, shown
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.core.arrays import IntArray
    from interlingua.core.spaces import EmbeddingSpace

__all__ = ["KNOWN", "PairById", "Pairs", "advise_on_pairs", "are_enough", "check_pairs", "read_pairs"]

# A panel of the help.
KNOWN = "Known pairs and categories"
Pairs = Annotated[
    Path | None,
    typer.Option(
        "--pairs",
        metavar="FILE",
        help="Known pairs: .npy [p, 2], or .csv or .tsv with two columns: row of SOURCE, row of TARGET, from 0.",
        rich_help_panel=KNOWN,
    ),
]
PairById = Annotated[
    bool,
    typer.Option(
        "--pair-by-id",
        help="Take rows of SOURCE and TARGET with the same id, compared as text, as known pairs. For stores, and for "
        "files with ids.",
        rich_help_panel=KNOWN,
    ),
]


def check_pairs(pairs: Path | None, targets: Sequence[str] | None, *, by_id: bool) -> None:
    """Refuse known pairs that are named in two ways, and ids of several targets.

    Raises:
        InputError: such options together.
    """
    if by_id:
        check_effect({"--pairs": pairs}, "and --pair-by-id exclude each other; both name the known pairs.")
        check_effect(
            {"--target": targets},
            "cannot be combined with --pair-by-id; leave one of them out. Rows that were embedded again are given "
            "beside other vectors of the new model by --reembedded.",
        )


def are_enough(pairs: IntArray | None, spaces: Sequence[EmbeddingSpace]) -> bool:
    """Return whether a map fitted on pairs [p, 2] alone would be supported if they were of the same texts.

    Pairs with a row in common count once.
    """
    if pairs is None:
        return False
    return min(len(np.unique(column)) for column in pairs.T) >= pairs_enough_alone(*(space.d for space in spaces))


def advise_on_pairs(*, enough: bool | None, by_id: bool, reembedded: bool) -> str:
    """Return what to do where known pairs support no map.

    Args:
        enough: as `are_enough` returns it; None for a fit on vectors of the same texts by two encoders.
        by_id: rows of both sides with the same id are the pairs.
        reembedded: rows that were embedded again are the pairs.
    """
    if enough is None:
        return (
            "The vectors of the same texts by both encoders support no map. Give more texts, and check that each "
            "encoder gives a text the same vector every time."
        )
    option = "--pair-by-id" if by_id else "--reembedded" if reembedded else "--pairs"
    rows = "Rows of both sides with the same id" if by_id or reembedded else "The pairs of rows that --pairs names"
    return f"{unsupported_pairs_advice(rows, enough=enough, without=f'leave {option} out')}."


def read_pairs(path: Path, files: Sequence[Side], *, rows: int | None) -> IntArray:
    """Read known pairs [p, 2] of (source row, target row).

    Raises:
        InputError: the file cannot be read, holds anything but two columns of row numbers, or names missing rows.
    """
    if rows is not None:
        raise InputError(
            "--rows and --sample draw rows at random and --pairs names rows of the whole files; use one of the two."
        )
    for file in files:
        if isinstance(file, Collection):
            raise InputError(
                f"--pairs names rows by their number, and the rows of {file.path} have none. Pair rows with the same "
                "id by --pair-by-id instead."
            )
    if not path.is_file():
        raise InputError(f"--pairs {path} is not a file; give a .npy, .csv or .tsv of (source row, target row).")
    delimiter = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower())
    if delimiter is not None:
        pairs = _read_table(path, delimiter)
    elif path.suffix.lower() == ".npy":
        try:
            pairs = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise InputError(f"--pairs {path} cannot be read as .npy ({error}).") from error
    else:
        raise InputError(f"--pairs {path} has extension '{path.suffix}'; .npy, .csv or .tsv is needed.")
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu" or not len(pairs):
        raise InputError(f"--pairs {path} holds {pairs.dtype} {pairs.shape}; integers [p, 2] with p >= 1 are needed.")
    for side, file, column in zip(SIDES, files, pairs.T, strict=True):
        wrong = column[(column < 0) | (column >= file.n)]
        if len(wrong):
            raise InputError(f"--pairs {path} names {side} row {wrong[0]}; {file.path} has rows 0 to {file.n - 1}.")
    return np.asarray(pairs, np.int64)


def _read_table(path: Path, delimiter: str) -> IntArray:
    """Return two columns of integers; a first line without numbers is a header."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = [line for line in csv.reader(stream, delimiter=delimiter) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--pairs {path} cannot be read as a table ({error}).") from error
    if lines and not any(map(_looks_like_number, lines[0])):
        del lines[0]
    pairs = []
    for number, line in enumerate(lines, 1):
        try:
            source, target = (read_whole(cell.strip()) for cell in line)
            pairs.append(np.array((source, target), np.int64))
        except (ValueError, OverflowError) as error:
            cells = ", ".join(map(shown, line[:2])) + (", ..." if line[2:] else "")
            raise InputError(f"--pairs {path}: pair {number} reads {cells}; two row numbers are needed.") from error
    return np.array(pairs, np.int64).reshape(-1, 2)


def _looks_like_number(cell: str) -> bool:
    """Return whether Python would read a number, also one that `read_whole` refuses, such as ``7_7``."""
    return cell.strip().lstrip("-").replace("_", "").isdecimal()
