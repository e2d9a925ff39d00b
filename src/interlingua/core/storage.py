"""The folder of a saved translator: weights, card and model card, replaced so that it is readable at every moment."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_path, shown
from interlingua.core.atomic import atomic_file, atomic_folder, check_writable, is_empty_folder, write_text
from interlingua.core.errors import InputError, OutputExistsError
from interlingua.core.model_card import model_card

__all__ = [
    "CARD",
    "FORMAT",
    "README",
    "WEIGHTS",
    "check_destination",
    "check_not_edited",
    "read_folder",
    "read_tensors",
    "short_digest",
    "save_tensors",
    "write_folder",
]

FORMAT = 1
WEIGHTS = "translator.safetensors"
CARD = "card.json"
README = "README.md"
# Parts of a card that translations depend on; names and notes in card.json may be edited.
_CHECKED = ("kind", "maps", "calibration")
# Parts of a card that are objects, where a card has them.
_OBJECTS = ("source", "target", "verdict", "settings", "versions", "reduced")


def check_destination(folder: str | Path, *, overwrite: bool) -> None:
    """Refuse a folder that a translator cannot be written to.

    Raises:
        OutputExistsError: it exists and ``overwrite`` is not set.
        InputError: it exists, is not empty and does not hold a translator, or no folder can be made there.
    """
    folder = check_path(folder, "folder")
    check_writable(folder)
    if not folder.exists():
        return
    if not overwrite:
        raise OutputExistsError(f"{folder} exists.", "Choose another name, or replace it with {overwrite}.")
    if not is_empty_folder(folder) and not _holds_translator(folder):
        raise InputError(f"{folder} exists and is not a translator, so it is not replaced; choose another name.")


def write_folder(
    folder: Path, tensors: Mapping[str, npt.NDArray[Any]], card: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Write a translator's files into a new or empty folder, or over those of another translator.

    Each file is replaced in one step, the weights first. They carry a copy of their card, which `read_folder` uses
    where ``card.json`` is of another save: after a kill between two files, or when two processes save at once. Files
    of other names are left alone, and a symbolic link to a folder stays one.

    Args:
        folder: the folder; missing parents are made.
        tensors: arrays by name.
        card: everything else, as plain values.
        overwrite: whether a translator in the folder is replaced.

    Raises:
        OutputExistsError: as `check_destination`.
        InputError: as `check_destination`, or JSON has no form for a value in the card.
    """
    check_destination(folder, overwrite=overwrite)
    try:
        # As the card is read again: JSON turns every key into text.
        text = json.dumps(json.loads(json.dumps(card, allow_nan=False)), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"The card cannot be saved ({error}); it may hold plain values only.") from error
    # Equal content has an equal id, so that equal translators are equal files.
    card = {**card, "save_id": short_digest(text, tensors)}
    if not folder.exists() or is_empty_folder(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            with atomic_folder(folder) as fresh:
                _write_files(fresh, tensors, card, name=folder)
            return
        except OutputExistsError:
            # Another process was faster; check what it wrote.
            check_destination(folder, overwrite=overwrite)
    _write_files(folder, tensors, card, name=folder)


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]], list[str]]:
    """Return the card and the tensors of a folder; nothing in it is executed.

    The third value names the parts of ``card.json`` that translations depend on and that differ from its copy in the
    weights, which has a checksum: someone has edited them.

    Raises:
        InputError: a file is missing or damaged.
    """
    from safetensors import SafetensorError

    if not (folder / CARD).is_file() or not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{folder} is not a translator: a folder with {CARD} and {WEIGHTS} is needed.",
            "Make one with `interlingua fit`, or with Translator.save.",
        )
    try:
        edited: list[str] = []
        card = json.loads((folder / CARD).read_text("utf-8-sig"))
        header, tensors = read_tensors(folder / WEIGHTS)
        own = json.loads(header.get("card", "null"))
        if own is not None:
            text = json.dumps({name: value for name, value in own.items() if name != "save_id"}, sort_keys=True)
            if own["save_id"] != short_digest(text, tensors):
                raise ValueError(f"{WEIGHTS} does not hold what was saved: its checksum differs")
            card = own if own["save_id"] != card.get("save_id") else card
            edited = [name for name in _CHECKED if card.get(name) != own.get(name)]
        card.pop("save_id", None)
        _check_objects(card)
        for name, tensor in tensors.items():
            if tensor.dtype.kind != "f" or not np.isfinite(tensor).all():
                raise ValueError(f"the tensor {name} of dtype {tensor.dtype} does not hold finite real numbers")
        return dict(card), tensors, edited
    except (OSError, KeyError, TypeError, AttributeError, ValueError, RecursionError, SafetensorError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{folder} is damaged ({reason}); fit again or restore it from a copy.") from error


def _check_objects(card: Mapping[str, Any]) -> None:
    """Refuse a card with another value where an object is needed.

    Raises:
        ValueError: it has such a value.
    """
    for name in _OBJECTS:
        if not isinstance(card.get(name), Mapping | None):
            raise ValueError(f"{name} in the card is {shown(card[name])}; an object is needed")


def check_not_edited(edited: Sequence[str]) -> None:
    """Refuse a card of which parts were edited that translations depend on, as `read_folder` returns them.

    Raises:
        ValueError: there are such parts.
    """
    if edited:
        raise ValueError(f"{edited[0]} in {CARD} is not what was saved; its copy in {WEIGHTS} differs")


def short_digest(text: str, tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """Return 16 hex digits that identify a card, given as text, together with its tensors."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tensor.shape}".encode() + tensor.tobytes())
    return digest.hexdigest()[:16]


def read_tensors(path: str | Path) -> tuple[dict[str, str], dict[str, npt.NDArray[Any]]]:
    """Return the header's plain values and the tensors of a .safetensors file, with the errors of its library."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping


def save_tensors(
    file: Path, tensors: Mapping[str, npt.NDArray[Any]], values: Mapping[str, str], *, name: str | Path
) -> None:
    """Write a .safetensors file with plain values in its header.

    Args:
        file: the file, usually a temporary one.
        tensors: arrays by name.
        values: the header.
        name: what the message of an error calls the file.

    Raises:
        OSError: the disk is full, or another error of the system.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    path = Path(file)
    # Some versions of safetensors replace the file by one that only its owner can read.
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    try:
        save_file(dict(tensors), file, dict(values) or None)
        if mode is not None:
            path.chmod(mode)
    except SafetensorError as error:
        raise OSError(f"{name} could not be written: {error}") from error


def _write_files(folder: Path, tensors: Mapping[str, npt.NDArray[Any]], card: Mapping[str, Any], *, name: Path) -> None:
    # All texts are made before the first file is replaced: a card that cannot be written leaves the folder as it was.
    try:
        _check_objects(card)
        header, text = json.dumps(card, sort_keys=True), json.dumps(card, indent=2, sort_keys=True) + "\n"
        readme = model_card(card)
        for part in (header, text, readme):
            part.encode("utf-8")
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{name}: the card cannot be written ({error}); nothing was saved.") from error
    # A header of one entry: of several, the order in the file would be random.
    with atomic_file(folder / WEIGHTS) as fresh:
        save_tensors(fresh, tensors, {"card": header}, name=name / WEIGHTS)
    write_text(folder / CARD, text)
    write_text(folder / README, readme)


def _holds_translator(folder: Path) -> bool:
    """Return whether a folder has a card of ours beside weights; another program's card.json is not one."""
    try:
        card = json.loads((folder / CARD).read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
    is_ours = isinstance(card, dict) and {"format", "kind", "maps"} <= card.keys()
    return is_ours and (folder / WEIGHTS).is_file()
