"""Options that several commands share, each explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ".npy, .npz, .parquet, .jsonl, .jsonl.gz, .safetensors or .fvecs"

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")
]
Seed = Annotated[int, typer.Option(min=0, help="Decides every random draw; the same seed gives the same result.")]
Log = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.jsonl", help="Append progress to this file, one JSON object a line; no vectors, no texts."
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME",
        help="The column or field that holds the vectors, in .parquet and .jsonl. "
        "Give it twice when source and target differ.",
    ),
]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="NAME",
        help="The array inside .npz and .safetensors. Give it twice when source and target differ.",
    ),
]
Scales = Annotated[
    list[str] | None,
    typer.Option(
        "--scale",
        metavar="NUMBER",
        help="What int8 vectors are multiplied with. Give it twice when source and target differ; none for no scale.",
    ),
]
