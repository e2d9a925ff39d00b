"""Settings of a method from text: values such as ``1e-4`` or ``none``, and whole files of them in YAML or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, get_args

from interlingua.aligners.registry import check_known_settings, describe_settings
from interlingua.core.arguments import check_path, check_text, shown
from interlingua.core.arrays import require
from interlingua.core.errors import InputError

__all__ = ["TYPES", "parse_setting", "read_settings"]

# Types that a text can express, by the annotation of a setting.
TYPES: Mapping[str, Any] = MappingProxyType(
    {kind.__name__: kind for kind in (int, float, bool, str)}
    | {f"{kind.__name__} | None": kind | None for kind in (int, float, bool, str)}
)
_NOUNS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_NULLS = ("none", "null", "~", "")
_EXTENSIONS = (".yaml", ".yml", ".json")
# Far more than the settings of any method; a file of vectors that was named by mistake is not parsed.
_LARGEST = 1_000_000


def parse_setting(name: str, text: str, kind: Any) -> Any:
    """Return the value of a setting that was written as text.

    Args:
        name: what to call the setting in a message.
        text: the value; ``none`` where the type allows it.
        kind: a value of :data:`TYPES`.

    Raises:
        InputError: the text is not a value of this type.
    """
    optional = NoneType in get_args(kind)
    plain = next(option for option in get_args(kind) or (kind,) if option is not NoneType)
    if optional and text.lower() in _NULLS:
        return None
    try:
        return {"true": True, "false": False}[text.lower()] if plain is bool else plain(text)
    except (ValueError, KeyError):
        wanted = _NOUNS[plain] + (", or none" if optional else "")
        raise InputError(f"{name} is {shown(text)}; {wanted} is needed.") from None


def read_settings(path: str | Path, method: str) -> dict[str, Any]:
    """Return the settings of a method from a file, ready for :func:`interlingua.align`.

    The file holds one mapping of names to values. Every value is read by the type of its setting, so ``1e-4`` is a
    number and ``precision: no`` is the text ``no``, whatever YAML would make of them.

    Args:
        path: a .yaml, .yml or .json file; YAML needs the extra ``yaml``.
        method: the method that the settings belong to, a name of :func:`available_methods` other than ``"auto"``.

    Returns:
        Values by name, in the order of the file.

    Raises:
        InputError: the file is not such a mapping, or it names a setting that the method does not have or that only
            Python can express.
        MissingExtraError: YAML or the method needs an extra that is not installed.

    Example:
        >>> settings = read_settings("without-cycle.yaml", "adversarial")  # doctest: +SKIP
        >>> alignment = il.align(source, target, method="adversarial", **settings)  # doctest: +SKIP
    """
    path, method = check_path(path), check_text(method, "method")
    texts = _read_texts(path)
    try:
        check_known_settings(method, texts)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    kinds = {setting.name: setting.type for setting in describe_settings(method)}
    for name in texts:
        if kinds[name] not in TYPES:
            raise InputError(f"{path}: {name} is {kinds[name]}, which cannot be written in a file; set it in Python.")
    return {name: parse_setting(f"{path}: {name}", text, TYPES[kinds[name]]) for name, text in texts.items()}


def _read_texts(path: Path) -> dict[str, str]:
    """Return the values of a file as texts.

    Raises:
        InputError: it cannot be read, or is not a mapping of names to plain values.
    """
    if path.suffix.lower() not in _EXTENSIONS:
        raise InputError(f"{path} has extension '{path.suffix}'; settings are {', '.join(_EXTENSIONS)}.")
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} has {path.stat().st_size:,} bytes, too many for settings; check the name.")
        # Editors on Windows begin a file with a byte order mark.
        text = path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text ({type(error).__name__}).") from error
    read = _pairs_of_json if path.suffix.lower() == ".json" else _pairs_of_yaml
    values: dict[str, str] = {}
    for name, value in read(path, text):
        if name in values:
            raise InputError(f"{path}: {name} is given more than once; give it once.")
        values[name] = value
    return values


def _pairs_of_json(path: Path, text: str) -> Iterable[tuple[str, str]]:
    try:
        # Pairs, because a dict would hide a name that is given twice.
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}.") from error
    if not isinstance(pairs, _Pairs):
        raise InputError(f'{path} holds {shown(pairs)}; an object of settings is needed, such as {{"lr": 1e-4}}.')
    for name, value in pairs:
        if isinstance(value, list):
            what = "an object" if isinstance(value, _Pairs) else shown(value)
            raise InputError(f"{path}: {name} is {what}; a number, true, false, null or text is needed.")
        yield name, value if isinstance(value, str) else json.dumps(value)


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object."""


def _pairs_of_yaml(path: Path, text: str) -> Iterable[tuple[str, str]]:
    yaml = require("yaml", "yaml")
    try:
        # Nodes are plain texts: nothing is constructed, and no value is guessed.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f", line {line + 1}"
        raise InputError(f"{path} is not YAML{where}: {getattr(error, 'problem', None) or error}.") from error
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{path} holds no mapping; write one setting in each line, such as lr: 1e-4.")
    for key, value in root.value:
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{path}, line {key.start_mark.line + 1}: the name of a setting is needed before a colon.")
        name = str(key.value)
        if not isinstance(value, yaml.ScalarNode):
            raise InputError(f"{path}: {name} is not a single value; a number, true, false, null or text is needed.")
        yield name, str(value.value)
