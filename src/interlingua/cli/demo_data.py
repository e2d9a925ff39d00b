"""The data of the demo: a folder of files, as in a checkout, or the smaller data that the package contains."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.core.arguments import shown
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.errors import InputError

__all__ = ["FILES", "DemoData", "read_demo", "read_folder", "read_packaged"]

_SIDES = ("source", "target")
_VECTORS = ("source", "target", "eval-source", "eval-target")
FILES = tuple(f"{name}.npy" for name in _VECTORS)
# SHA-256 of the texts in demo/data of the repository. Any other folder can hold texts that are not public.
_PUBLIC_TEXTS = {
    "names.json": "58cf2f5b41955e1fb212bcc7abcaafae635275d0771d591bf657abd8c454575d",
    "sections.json": "ccb35083a2071568c66fee8dfd934de041ee3c8399da3244e7c0b602dc14152e",
}


@dataclass(frozen=True, eq=False)
class DemoData:
    """Two embedding spaces with held-out pairs.

    Attributes:
        name: a short name of the data.
        what: one sentence about the data, for those who read its figures.
        report: where the report is written by default.
        source: vectors [n, d_source]; no row has the text of a row of ``target``.
        target: vectors [m, d_target].
        source_eval: vectors [p, d_source] of held-out texts.
        target_eval: vectors [p, d_target] of the same texts, row by row.
        card: encoders and paired ceiling.
        sections: labels of the rows of ``source``, ``target`` and ``eval``, where the data has them.
        names: names of the rows of ``source`` and ``target``, where the data has them.
        eval_names: names of the held-out rows, where the data has them.
        is_public: whether names and sections are those of the repository or the package, which are public.
    """

    name: str
    what: str
    report: Path
    source: FloatArray
    target: FloatArray
    source_eval: FloatArray
    target_eval: FloatArray
    card: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, list[str]] | None = None
    names: Mapping[str, list[str]] | None = None
    eval_names: list[str] | None = None
    is_public: bool = False

    def encoder(self, side: str) -> str:
        """Return the title of the encoder of ``source`` or ``target``, or the side if the card does not name it."""
        encoders = self.card.get("encoders")
        about = encoders.get(side) if isinstance(encoders, dict) else None
        return str(about.get("title", side)) if isinstance(about, dict) else side


def read_demo(folder: Path | None) -> DemoData:
    """Return the data of a folder, or by default the full data of a checkout, or the smaller data of the package.

    Raises:
        InputError: a file of the folder is missing or damaged.
    """
    if folder is not None:
        return read_folder(folder)
    checkout = Path(__file__).resolve().parents[3]
    for candidate in (Path("demo/data"), checkout / "demo" / "data"):
        if not _missing(candidate):
            return read_folder(candidate)
    return read_packaged()


def read_folder(folder: Path) -> DemoData:
    """Return the data of a folder with the files of ``demo/data``; all but the four files of vectors are optional.

    Raises:
        InputError: a file of vectors is missing, or a file is damaged.
    """
    from interlingua.io import open_vectors

    missing = _missing(folder)
    if missing:
        arrived = f"lacks {', '.join(missing)}" if folder.is_dir() else "is not a folder"
        raise InputError(
            f"{folder} {arrived}. Give a folder with {', '.join(FILES)}, or leave --data out for the data of the demo."
        )
    card, sections, names = (_mapping(folder / f"{name}.json") for name in ("CARD", "sections", "names"))
    held_out = folder / "eval-ids.json"
    eval_names = _parse(held_out) if held_out.is_file() else None
    labels = _labels(sections, folder / "sections.json")
    source, target, source_eval, target_eval = (open_vectors(folder / name).vectors() for name in FILES)
    counts = {"source": len(source), "target": len(target), "eval": len(source_eval)}
    _check_parts(labels or {}, counts, folder / "sections.json")
    _check_parts(names, counts, folder / "names.json")
    if eval_names is not None:
        _check_part(eval_names, counts["eval"], "it", held_out)
    return DemoData(
        name=f"data of {folder}",
        what=f"The data of {folder}.",
        report=folder.parent / "report.html",
        source=source,
        target=target,
        source_eval=source_eval,
        target_eval=target_eval,
        card=card,
        sections=labels,
        names=names or None,
        eval_names=eval_names,
        is_public=all(_digest(folder / name) == digest for name, digest in _PUBLIC_TEXTS.items()),
    )


def read_packaged() -> DemoData:
    """Return the data that the package contains: fewer rows than the full data and 128 axes of each space."""
    with (files("interlingua") / "demo.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        source, target, source_eval, target_eval = (unit_rows(stored[name].astype(np.float32)) for name in _VECTORS)
        card, sections, names, eval_names = (
            json.loads(stored[name].tobytes()) for name in ("card", "sections", "names", "eval-ids")
        )
    what = (
        f"The small data of the package: {card['reduced']['what']}. "
        "A checkout of the repository has more rows and all axes (make demo)."
    )
    labels = _labels(sections, Path("demo.npz"))
    return DemoData(
        name="small data of the package",
        what=what,
        report=Path("interlingua-demo.html"),
        source=source,
        target=target,
        source_eval=source_eval,
        target_eval=target_eval,
        card=card,
        sections=labels,
        names=names,
        eval_names=eval_names,
        is_public=True,
    )


def _missing(folder: Path) -> list[str]:
    return [name for name in FILES if not (folder / name).is_file()]


def _digest(path: Path) -> str:
    # A checkout on Windows may have other line ends.
    return sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest() if path.is_file() else ""


def _mapping(path: Path) -> dict[str, Any]:
    """Return the object in an optional JSON file, or an empty dict if there is none.

    Raises:
        InputError: the file is not JSON, or holds no object.
    """
    content = _parse(path) if path.is_file() else {}
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {shown(content)}; an object is needed. Restore it, or remove it.")
    return content


def _parse(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}). Restore it, or remove it.") from error


def _check_parts(parts: Mapping[str, Any], counts: Mapping[str, int], path: Path) -> None:
    """Refuse parts that do not have one text for every row.

    Raises:
        InputError: a part is no list of as many texts as its vectors have rows.
    """
    for part, count in counts.items():
        if part in parts:
            _check_part(parts[part], count, part, path)


def _check_part(values: Any, count: int, part: str, path: Path) -> None:
    if not isinstance(values, list) or len(values) != count or not all(isinstance(value, str) for value in values):
        raise InputError(
            f"{path}: {part} is {shown(values)}; a list of {count:,} texts is needed, one for each row. Restore the "
            "file, or remove it."
        )


def _labels(sections: Mapping[str, Any], path: Path) -> dict[str, list[str]] | None:
    """Return the section of every row, by part, if the data has sections.

    Raises:
        InputError: it is not ``{"names": [...], "source": [index, ...], ...}``.
    """
    names: Sequence[str] | None = sections.get("names")
    if not names:
        return None
    try:
        return {part: [str(names[i]) for i in rows] for part, rows in sections.items() if part != "names"}
    except (IndexError, KeyError, TypeError) as error:
        raise InputError(f"{path}: indices into its names are needed for every row ({error}). Remove it.") from error
