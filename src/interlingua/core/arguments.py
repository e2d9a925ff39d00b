"""Checks of arguments: each returns the value in its plain type, or refuses it and says what is needed."""

from __future__ import annotations

import difflib
import inspect
import math
import operator
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from interlingua.core.errors import InputError

__all__ = [
    "Bounds",
    "check_bounds",
    "check_callable",
    "check_choice",
    "check_count",
    "check_flag",
    "check_instance",
    "check_number",
    "check_on_rows",
    "check_path",
    "check_settings",
    "check_text",
    "check_texts",
    "class_bounds",
    "describe_bounds",
    "described",
    "did_you_mean",
    "keyword_names",
    "read_number",
    "read_whole",
    "shown",
]

# Bounds of number fields by name, as keywords of `check_number` and `check_count`.
Bounds = Mapping[str, Mapping[str, float]]
_LIMITS = {"minimum": "at least", "above": "above", "maximum": "at most", "below": "below"}

_SHOWN_CHARACTERS = 60
# Evaluating the annotations of a class takes most of the time of `check_settings`.
_type_hints = cache(get_type_hints)
# Libraries take counts and seeds as integers of 64 bits.
_LARGEST = 2**63 - 1


def check_count(
    value: Any,
    name: str,
    *,
    minimum: float = 0,
    maximum: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> int:
    """Return an integer.

    Args:
        value: an int, or anything that is one exactly, such as a NumPy integer; not a bool and not a float.
        name: the argument's name, for the message.
        minimum: the smallest number accepted.
        maximum: the largest number accepted.
        above: a bound that is itself refused.
        below: a bound that is itself refused.

    Raises:
        InputError: another type, a number outside the bounds, or one that 64 bits do not hold.
    """
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: tensors with several elements
        number = None
    largest = min(maximum, _LARGEST)
    if number is None or not (minimum <= number <= largest and above < number < below):
        # The largest number of 64 bits is not named where another bound is the reason.
        is_large = number is not None and number > largest
        signs = {">=": minimum, ">": above, "<=": largest if is_large else maximum, "<": below}
        limits = " and ".join(f"{sign} {bound}" for sign, bound in signs.items() if math.isfinite(bound))
        raise InputError(f"{name} is {shown(value)}; an integer {limits} is needed.")
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
    number = _as_float(value) if is_number else math.nan
    if math.isfinite(number) and minimum <= number <= maximum and above < number < below:
        return number
    limits = describe_bounds({"minimum": minimum, "above": above, "maximum": maximum, "below": below})
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
        InputError: anything else; the message ends with the closest choice, if one is close.
    """
    if not isinstance(value, str) or value not in choices:
        question = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise InputError(f"{name} is {shown(value)}; choose from {', '.join(choices)}. {question}".rstrip())
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
        raise InputError(f"{name} is {described(value)}; a sequence of texts is needed.")
    for number, member in enumerate(value):
        if not isinstance(member, str):
            raise InputError(f"{name}[{number}] is {described(member)}; a text is needed.")
    return [str(member) for member in value]


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


def check_callable(value: Any, name: str, needed: str, method: str = "__call__") -> None:
    """Refuse an object without a method; by default anything that is not a function. A class is refused, too.

    Args:
        value: the object.
        name: the argument's name, for the message.
        needed: what is needed, for the message: "a function of one dict".
        method: the method that it must have.

    Raises:
        InputError: it has no such method.
    """
    if isinstance(value, type) or not callable(getattr(value, method, None)):
        raise InputError(f"{name} is {shown(value)}; {needed} is needed.")


def check_on_rows(value: Any) -> None:
    """Refuse an ``on_rows`` that is neither a function nor None.

    Raises:
        InputError: it is something else.
    """
    if value is not None:
        check_callable(value, "on_rows", "a function of a phase and two numbers, or None,")


def keyword_names(function: Callable[..., Any]) -> list[str]:
    """Return the keyword-only parameters of a function, without those that it passes on as ``**settings``."""
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]


def check_settings(settings: Any) -> None:
    """Check all fields of a dataclass against their annotations, and store plain values.

    A NumPy number becomes the Python number that it equals, so that a card with the settings can be written as JSON.
    ``int`` fields take integers, ``float`` fields finite numbers, ``bool`` fields True or False, ``str`` fields
    texts, each with or without ``| None``. Fields of any other type are left to the class. Bounds of number fields are
    in the class attribute ``bounds``, where `interlingua.describe_settings` reads them too; without a bound, an ``int``
    field is at least 0.

    Args:
        settings: an instance; called from ``__post_init__``.

    Raises:
        InputError: a field holds something else, or ``bounds`` cannot be used.
    """
    owner: Any = type(settings)
    hints, bounds = _type_hints(owner), class_bounds(owner)
    for name in bounds:
        if name not in hints or _without_none(hints[name])[0] not in (int, float):
            raise InputError(
                f"{type(settings).__name__} has bounds for {name!r}, which is not a field of type int or float."
            )
    for field in fields(settings):
        value = getattr(settings, field.name)
        kind, is_optional = _without_none(hints[field.name])
        if value is None and is_optional:
            continue
        if kind is int:
            value = check_count(value, field.name, **bounds.get(field.name, {}))
        elif kind is float:
            value = check_number(value, field.name, **bounds.get(field.name, {}))
        elif kind is bool:
            value = check_flag(value, field.name)
        elif kind is str:
            value = check_text(value, field.name)
        # Not by assignment, which a frozen dataclass refuses.
        object.__setattr__(settings, field.name, value)


def class_bounds(kind: type) -> Bounds:
    """Return the class attribute ``bounds`` of a class of settings; empty where it has none.

    Raises:
        InputError: it names a setting that does not exist, or a limit other than ``minimum``, ``above``, ``maximum``
            and ``below``, or a limit is not a number.
    """
    bounds: Any = getattr(kind, "bounds", {})
    if not isinstance(bounds, Mapping) or not all(isinstance(limits, Mapping) for limits in bounds.values()):
        raise InputError(f"{kind.__name__}.bounds is {shown(bounds)}; {{setting: {{limit: number}}}} is needed.")
    own_names = getattr(kind, "setting_names", None)
    known = list(own_names() if callable(own_names) else inspect.signature(kind).parameters) if bounds else []
    for name, limits in bounds.items():
        if name not in known:
            raise InputError(
                f"{kind.__name__}.bounds names {shown(name)}, which is not a setting; choose from {', '.join(known)}."
            )
        for limit, number in limits.items():
            if limit not in _LIMITS:
                raise InputError(
                    f"{kind.__name__}.bounds[{name!r}] has the limit {shown(limit)}; choose from {', '.join(_LIMITS)}."
                )
            check_number(number, f"{kind.__name__}.bounds[{name!r}][{limit!r}]")
    return bounds


def describe_bounds(bounds: Mapping[str, float]) -> str:
    """Return the finite bounds of a number in words, such as "at least 0 and below 1"; empty without any."""
    finite = {limit: bound for limit, bound in bounds.items() if math.isfinite(bound)}
    return " and ".join(f"{words} {finite[limit]:g}" for limit, words in _LIMITS.items() if limit in finite)


def check_bounds(settings: Any) -> None:
    """Check the attributes of an object against the ``bounds`` of its class; None is not checked.

    Raises:
        InputError: a number is outside its bounds or is not a number, or ``bounds`` cannot be used.
    """
    for name, limits in class_bounds(type(settings)).items():
        value = getattr(settings, name, None)
        if value is not None:
            check_number(value, name, **limits)


def shown(value: Any) -> str:
    """Return a short form of a value for a message: large values are named by type and shape, long ones cut.

    Use `described` for data such as documents, which no message may repeat.
    """
    if getattr(value, "shape", ()) or isinstance(value, bytes | bytearray | memoryview):
        return described(value)
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - a broken repr of the user's must not hide the message
        text = described(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."


def described(value: Any) -> str:
    """Return a number as it is, and anything else by its type and shape or length, without any of its content."""
    kind = type(value).__name__
    shape = getattr(value, "shape", ())
    # Arrays without dimensions have no length although they have the method.
    if shape or (isinstance(value, Sized) and hasattr(value, "shape")):
        return f"{kind} of shape {tuple(shape)}"
    if isinstance(value, Sized):
        return f"{kind} of length {len(value)}"
    # Python refuses to write integers of thousands of digits.
    if value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**18):
        return repr(value)
    return f"an object of type {kind}"


def read_number(text: str | bytes) -> float:
    """Return a number that a file or a program wrote in ASCII; Python would also read ``7_7`` and other digits.

    Raises:
        ValueError: it is none.
    """
    _check_plain(text)
    return float(text)


def read_whole(text: str) -> int:
    """Return a whole number as `read_number` reads it.

    Raises:
        ValueError: it is none.
    """
    _check_plain(text)
    return int(text)


def _check_plain(text: str | bytes) -> None:
    if not text.isascii() or (b"_" if isinstance(text, bytes) else "_") in text:  # type: ignore[operator]
        raise ValueError("it is not a number in decimal digits from 0 to 9")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question whether the known name closest to ``name`` was meant; an empty text if none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]}?" if close else ""


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond the range of float
        return math.inf


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return (kinds[0] if len(kinds) == 1 else None), len(kinds) < len(get_args(hint))
