"""Checks of arguments: each returns the value in its plain type, or refuses it and says what is needed."""

from __future__ import annotations

import difflib
import math
import operator
import os
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from interlingua.core.errors import InputError

__all__ = [
    "Bounds",
    "check_choice",
    "check_count",
    "check_flag",
    "check_instance",
    "check_number",
    "check_path",
    "check_settings",
    "check_text",
    "check_texts",
    "did_you_mean",
    "shown",
]

# Bounds of number fields by name, as keywords of `check_number`; of an integer, the minimum only.
Bounds = Mapping[str, Mapping[str, float]]

_SHOWN_CHARACTERS = 60


def check_count(value: Any, name: str, *, minimum: int = 0) -> int:
    """Return an integer.

    Args:
        value: an int, or anything that is one exactly, such as a NumPy integer; not a bool and not a float.
        name: the argument's name, for the message.
        minimum: the smallest number accepted.

    Raises:
        InputError: another type, or a smaller number.
    """
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: tensors with several elements
        number = None
    if number is None or number < minimum:
        raise InputError(f"{name} is {shown(value)}; an integer >= {minimum} is needed.")
    return number


def check_number(
    value: Any,
    name: str,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Return a finite real number.

    Args:
        value: an int, a float or a NumPy number; not a bool.
        name: the argument's name, for the message.
        minimum: the smallest number accepted.
        maximum: the largest number accepted.
        above: a bound that is itself refused.
        below: a bound that is itself refused.

    Raises:
        InputError: another type, NaN or infinity, or a number outside the bounds.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if is_number and math.isfinite(value):
        number = float(value)
        if minimum <= number <= maximum and above < number < below:
            return number
    bounds = {"at least": minimum, "above": above, "at most": maximum, "below": below}
    limits = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound))
    raise InputError(f"{name} is {shown(value)}; a finite number{limits and ' '}{limits} is needed.")


def check_flag(value: Any, name: str) -> bool:
    """Return True or False.

    Raises:
        InputError: anything else; a text such as "no" would count as true.
    """
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name} is {shown(value)}; True or False is needed.")
    return bool(value)


def check_text(value: Any, name: str) -> str:
    """Return a text.

    Raises:
        InputError: another type.
    """
    if not isinstance(value, str):
        raise InputError(f"{name} is {shown(value)}; a text is needed.")
    return str(value)


def check_choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """Return one of ``choices``.

    Raises:
        InputError: anything else.
    """
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} is {shown(value)}; choose from {', '.join(choices)}.")
    return str(value)


def check_path(value: Any, name: str = "path") -> Path:
    """Return a path.

    Raises:
        InputError: not a text or a path, or a text that no file can be named.
    """
    if not isinstance(value, str | os.PathLike) or isinstance(path := os.fspath(value), bytes):
        raise InputError(f"{name} is {shown(value)}; a path is needed, as a text or a pathlib.Path.")
    if not path or "\0" in path:
        raise InputError(f"{name} is {shown(value)}; no file can have that name.")
    return Path(path)


def check_texts(value: Any, name: str) -> list[str]:
    """Return a list of texts.

    Raises:
        InputError: a single text, anything that is not a sequence, or a member that is not a text.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray):
        raise InputError(f"{name} is {shown(value)}; a sequence of texts is needed.")
    return [check_text(member, f"{name}[{number}]") for number, member in enumerate(value)]


def check_instance(value: Any, name: str, kind: type | tuple[type, ...], needed: str) -> None:
    """Refuse an object of another class.

    Args:
        value: the object.
        name: the argument's name, for the message.
        kind: the class, or several.
        needed: what is needed, for the message: "a store, as open_store returns it".

    Raises:
        InputError: it is of another class.
    """
    if not isinstance(value, kind):
        raise InputError(f"{name} is {shown(value)}; {needed} is needed.")


def check_settings(
    settings: Any, *, minimum: Mapping[str, int] | None = None, ranges: Mapping[str, Mapping[str, float]] | None = None
) -> None:
    """Check all fields of a dataclass against their annotations, and store plain values.

    A NumPy number becomes the Python number that it equals, so that a card with the settings can be written as JSON.
    ``int`` fields take integers, ``float`` fields finite numbers, ``bool`` fields True or False, ``str`` fields
    texts, each with or without ``| None``. Fields of any other type are left to the class. A class may declare its
    bounds once, in the class attribute ``bounds``, where `interlingua.describe_settings` reads them too.

    Args:
        settings: an instance; called from ``__post_init__``.
        minimum: the smallest number accepted of an ``int`` field, where it is not 0.
        ranges: bounds of ``float`` fields by name, as keywords of `check_number`.

    Raises:
        InputError: a field holds something else.
    """
    hints = get_type_hints(type(settings))
    bounds: Bounds = {**getattr(type(settings), "bounds", {}), **(ranges or {})}
    for field in fields(settings):
        value = getattr(settings, field.name)
        kind, is_optional = _without_none(hints[field.name])
        if value is None and is_optional:
            continue
        if kind is int:
            least = int(bounds.get(field.name, {}).get("minimum", 0))
            value = check_count(value, field.name, minimum=(minimum or {}).get(field.name, least))
        elif kind is float:
            value = check_number(value, field.name, **bounds.get(field.name, {}))
        elif kind is bool:
            value = check_flag(value, field.name)
        elif kind is str:
            value = check_text(value, field.name)
        # Not by assignment, which a frozen dataclass refuses.
        object.__setattr__(settings, field.name, value)


def shown(value: Any) -> str:
    """Return a short form of a value for a message: large values are named by type and shape, long ones cut."""
    shape = getattr(value, "shape", ())
    if shape:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - a broken repr of the user's must not hide the message
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question whether the known name closest to ``name`` was meant; an empty text if none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]}?" if close else ""


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return (kinds[0] if len(kinds) == 1 else None), len(kinds) < len(get_args(hint))
