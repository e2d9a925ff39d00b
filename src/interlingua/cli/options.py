"""Options that several commands share, each explained once, and the refusal of options without effect."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from interlingua.core.errors import InputError

__all__ = [
    "FORMATS",
    "STORE_ADDRESSES",
    "AllowForeign",
    "AsJson",
    "Columns",
    "Inverse",
    "Keys",
    "Log",
    "Scales",
    "SampleRows",
    "Seed",
    "Show",
    "SkipBad",
    "TargetWhere",
    "TranslatorFolder",
    "Where",
    "check_effect",
    "check_once",
    "check_outputs",
]

FORMATS = ".npy, .npz, .parquet, .jsonl, .safetensors, .fvecs, .csv, .arrow, .h5 and more, see docs/formats.md"

_ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:/")
STORE_ADDRESSES = "the address of a store, as migrate takes it"


def _translator_folder(path: Path) -> Path:
    """Refuse an address or a file of vectors in the place of the translator, which comes first.

    Raises:
        InputError: such an argument.
    """
    # A path has one slash where an address has two.
    if (_ADDRESS.match(str(path)) and not path.exists()) or path.is_file():
        # Of an address the scheme alone, because the rest can hold a key.
        kind = f"a file, {path}," if path.is_file() else f"the address of a store, {str(path).split(':')[0]}://...,"
        raise InputError(
            f"The first argument is {kind} and it must be DIR, the folder of a translator. "
            "Give the folder that `interlingua fit` wrote with --out first, and the vectors after it."
        )
    return path


TranslatorFolder = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="The folder of a translator, as `fit` wrote it.", callback=_translator_folder),
]
Inverse = Annotated[
    bool,
    typer.Option(
        "--inverse", help="Translate from the target space back to the source space; in Python, Translator.invert."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]
Seed = Annotated[
    int,
    typer.Option(metavar="N", min=0, help="Random seed. On one machine the same seed gives the same result."),
]
SampleRows = Annotated[int, typer.Option("--rows", "--sample", metavar="N", min=50, help="Size of the sample of rows.")]
AllowForeign = Annotated[
    bool,
    typer.Option("--allow-foreign", help="Go on although the vectors do not look like those of the fit."),
]
_CONDITION = "Read only the rows of {}, a store, that meet this SQL condition."
Where = Annotated[
    str | None,
    typer.Option("--where", metavar="CONDITION", help=_CONDITION.format("SOURCE"), rich_help_panel="Input"),
]
TargetWhere = Annotated[
    str | None,
    typer.Option("--target-where", metavar="CONDITION", help=_CONDITION.format("TARGET"), rich_help_panel="Input"),
]
Show = Annotated[
    list[str] | None,
    typer.Option(
        "--show",
        metavar="COLUMN",
        help="With --report: the column whose values name the rows in it, beside their ids. Give it twice when the two "
        "sides use different names.",
        rich_help_panel="Input",
    ),
]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad",
        help="Leave out rows whose vector is missing, zero, not finite or of another width, and lines that cannot be "
        "read. The result counts them and names the first. What belongs to a row stays in step.",
        rich_help_panel="Input",
    ),
]
Log = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.jsonl",
        help="Append progress to this file, one JSON object per line. It holds no vectors and no texts.",
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME",
        help="The column or field that holds the vectors, in files such as .parquet and .jsonl. "
        "Give it twice when source and target differ.",
        rich_help_panel="Input",
    ),
]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="NAME",
        help="The array inside .npz, .safetensors and .h5. Give it twice when source and target differ.",
        rich_help_panel="Input",
    ),
]
Scales = Annotated[
    list[str] | None,
    typer.Option(
        "--scale",
        metavar="NUMBER",
        help="Dequantization scale of int8 vectors. Give it twice when source and target differ; "
        "none for a side that has no scale.",
        rich_help_panel="Input",
    ),
]


def check_effect(options: Mapping[str, object], reason: str) -> None:
    """Refuse the first option that was given although it would have no effect.

    Args:
        options: values by option; None, False and empty ones were not given.
        reason: why it has no effect, as the rest of a sentence that starts with the option.

    Raises:
        InputError: one was given.
    """
    for name, value in options.items():
        # 0 counts as given.
        if value is not None and value is not False and value not in ((), []):
            raise InputError(f"{name} {reason}")


def check_once(option: str, given: Sequence[str] | None) -> None:
    """Refuse an option that was given for each side where SOURCE is the only file.

    Raises:
        InputError: it was given more than once.
    """
    if len(given or ()) > 1:
        raise InputError(f"{option} was given {len(given or ())} times, and SOURCE is the only file; give it once.")


def check_outputs(outputs: Mapping[str, Path | None]) -> None:
    """Refuse two outputs of a command that are one file, also through a link or another spelling of its path.

    Args:
        outputs: paths by option; None was not given.

    Raises:
        InputError: one of them would be written over the other.
    """
    seen: dict[Path, str] = {}
    for name, path in outputs.items():
        if path is None:
            continue
        real = path.resolve()
        same = next((file for file in seen if file == real or _is_same_file(file, real)), None)
        if same is not None:
            raise InputError(f"{seen[same]} and {name} both name {path}; give two names.")
        seen[real] = name


def _is_same_file(first: Path, second: Path) -> bool:
    return first.exists() and second.exists() and first.samefile(second)
