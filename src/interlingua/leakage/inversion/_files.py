"""Files of decoders: one .safetensors each, with the format's name and plain values in its header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from interlingua.core.arguments import check_path
from interlingua.core.atomic import atomic_file
from interlingua.core.errors import InputError
from interlingua.core.storage import read_tensors, save_tensors

__all__ = ["read_decoder", "write_decoder"]


def write_decoder(
    path: str | Path, kind: str, tensors: Mapping[str, npt.NDArray[Any]], values: Mapping[str, str]
) -> Path:
    """Write the tensors and values of a decoder of the format ``kind``, and return the path."""
    path = check_path(path)
    with atomic_file(path) as fresh:
        save_tensors(fresh, tensors, {"format": kind, **values}, name=path)
    return path


def read_decoder(
    path: str | Path, kind: str, needed: set[str], *, title: str, writer: str
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the values and the tensors of a decoder.

    Args:
        path: the file.
        kind: the format that it must have.
        needed: names of tensors that it must hold.
        title: what the decoder is called in messages.
        writer: the method that writes such files.

    Raises:
        InputError: the file cannot be read, has another format, or lacks a tensor.
    """
    from safetensors import SafetensorError

    path = check_path(path)
    try:
        values, tensors = read_tensors(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path} cannot be read as .safetensors ({error}); give a file that {writer} wrote."
        ) from error
    if values.get("format") != kind or not tensors.keys() >= needed:
        raise InputError(f"{path} is not a {title}; give a file that {writer} wrote.")
    return values, tensors
