"""Vectors in JSON objects: nested under a path, as lists of numbers, as base64 of float32 or as JSON text."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.io._checks import VECTOR_NAMES
from interlingua.io._formats import INT8, AnyArray

# Parts of a path that name the encoding of the vector.
_ENCODING_NAMES = ("values", "float", "dense")
_MAX_DEPTH = 8
_KINDS = {
    type(None): "null", int: "a number", float: "a number", str: "a text", list: "a list", tuple: "a list",
    dict: "an object", bytes: "bytes",
}  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """Where an embedding service puts the vector and the id in each line of a batch output."""

    vector: str
    ids: str | None


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        # OpenAI, Azure OpenAI, Mistral, Voyage and Together write the same lines.
        "openai-batch": Preset("response.body.data.0.embedding", "custom_id"),
        "bedrock-batch": Preset("modelOutput.embedding", "recordId"),
        "bedrock-cohere-batch": Preset("modelOutput.embeddings.0", "recordId"),
        "vertex-batch": Preset("predictions.0.embeddings.values", None),
        "gemini-batch": Preset("response.embedding.values", "key"),
        "cohere-embed-job": Preset("embeddings.float", None),
    }
)


@dataclass(frozen=True)
class VectorPath:
    """Keys and list positions that lead from a JSON object to its vector."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        """Return the path with dots between its parts."""
        return ".".join(self.parts)

    @property
    def name(self) -> str:
        """The last part that names the vector, which is its column name in an output."""
        names = [part for part in self.parts if not part.isdigit() and part not in _ENCODING_NAMES]
        return names[-1] if names else self.parts[0]

    def take(self, row: dict[str, Any]) -> tuple[bool, Any]:
        """Remove the vector from ``row``; return whether it exists, and its value.

        Raises:
            InputError: the object holds several vectors, and the path leads to the first of them only.
        """
        parent: Any = row
        for part in self.parts[:-1]:
            exists, parent = _step(parent, part)
            if not exists:
                return False, None
        last = self.parts[-1]
        exists, value = _step(parent, last)
        if exists:
            parent.pop(int(last) if isinstance(parent, list) else last)
        return exists, value


def choose_path(row: dict[str, Any], requested: str) -> VectorPath:
    """Return the path for a requested column: a key of ``row``, a preset, or a path with dots."""
    if requested in row:
        return VectorPath((requested,))
    preset = PRESETS.get(requested)
    return VectorPath(tuple((requested if preset is None else preset.vector).split(".")))


def find_paths(row: dict[str, Any]) -> list[VectorPath]:
    """Return the paths of all vectors: those at the top, or else those in nested objects and first list items."""
    top = [VectorPath((key,)) for key, value in row.items() if _is_vector(key, value)]
    return top or [VectorPath(parts) for parts in _nested(row, ())]


def decode_vector(value: Any) -> Any:
    """Return base64 of little-endian float32 as an array and JSON text as a list; other values as they are."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value
    return np.frombuffer(data, "<f4").tolist() if data and len(data) % 4 == 0 else value


def take_vector(path: Path, number: int, row: dict[str, Any], vector_path: VectorPath, d: int | None) -> list[float]:
    """Remove the vector from ``row`` and return it.

    Raises:
        InputError: no vector, several vectors, or one that is not ``d`` numbers.
    """
    name = str(vector_path)
    try:
        exists, values = vector_path.take(row)
    except InputError as error:
        raise InputError(f"{path}: line {number}: {name!r} {error}") from error
    values = decode_vector(values)
    if values is None:
        fault = "null" if exists else "missing"
        raise InputError(f"{path}: line {number}: {name!r} is {fault}; every row needs a vector. Drop such lines.")
    if not is_numbers(values):
        raise InputError(f"{path}: line {number}: {name!r} is not a list of numbers, as every vector must be.")
    if d is not None and len(values) != d:
        raise InputError(
            f"{path}: line {number}: {name!r} has {count_of(len(values), 'value')} and the first row has {d}; "
            "all rows need one width."
        )
    return cast(list[float], values)


def to_vector(path: Path, number: int, values: list[float], dtype: np.dtype[Any]) -> AnyArray:
    """Return the numbers as ``dtype``; those it cannot hold become infinite.

    Raises:
        InputError: int8 is needed and the numbers are others than integers of -128 to 127.
    """
    try:
        vector = np.asarray(values, np.float64)
    except OverflowError:
        vector = np.full(len(values), np.inf)
    if dtype == INT8 and not (np.clip(np.rint(vector), -128, 127) == vector).all():
        raise InputError(
            f"{path}: line {number}: a scale is for integers of -128 to 127 and the vector has others.",
            "Leave {scale=...} out.",
        )
    with np.errstate(over="ignore"):
        return vector.astype(dtype)


def json_kind(value: Any) -> str:
    """Return what a value is in JSON, with its article."""
    return "true or false" if isinstance(value, bool) else _KINDS.get(type(value), f"a {type(value).__name__}")


def is_numbers(value: Any) -> bool:
    """Return whether a value is a list of numbers only; the empty list is one."""
    return isinstance(value, list) and set(map(type, value)) <= {int, float}


def _is_vector(key: str, value: Any) -> bool:
    usual = key.lower() in VECTOR_NAMES
    if isinstance(value, str):
        # Any text of a suitable length is base64, so the name must say that it is a vector.
        return usual and is_numbers(decode_vector(value))
    return is_numbers(value) and (bool(value) or usual)


def _nested(value: Any, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if len(parts) > _MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if _is_vector(key, item) and len(item) > 1:
                yield (*parts, key)
            else:
                yield from _nested(item, (*parts, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict | list):
        if is_numbers(value[0]) and len(value[0]) > 1:
            yield (*parts, "0")
        else:
            yield from _nested(value[0], (*parts, "0"))


def _step(value: Any, part: str) -> tuple[bool, Any]:
    if isinstance(value, dict):
        return part in value, value.get(part)
    if isinstance(value, list) and part.isdigit() and int(part) < len(value):
        if part == "0" and len(value) > 1 and isinstance(value[0], dict | list):
            raise InputError(
                f"holds {len(value):,} vectors and only one per line is read. Write every vector in a line of its own."
            )
        return True, value[int(part)]
    return False, None
