"""The ``--method`` option, and the settings of a method from ``--set NAME=VALUE`` and ``--settings FILE``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interlingua.core.arguments import did_you_mean
from interlingua.core.errors import InputError

__all__ = ["check_method", "complete_method", "fit_settings", "method_settings"]

# Options that have another name than their setting.
_OPTIONS = {"folder": "run"}


def check_method(name: str) -> None:
    """Refuse a method that does not exist, before anything is read.

    Raises:
        InputError: there is no method of this name.
    """
    from interlingua.aligners import check_method_name

    check_method_name(name)


def complete_method(incomplete: str) -> list[str]:
    """Return the methods that a shell can complete a name to."""
    from interlingua.aligners import available_methods

    return [name for name in available_methods() if name.startswith(incomplete)]


def method_settings(
    method: str,
    assignments: Sequence[str],
    options: Mapping[str, Any],
    *,
    file: Path | None = None,
    named: str | None = None,
) -> dict[str, Any]:
    """Return the settings of a method, from options of their own, from ``--set`` and from a file of settings.

    Args:
        method: the method that will run.
        assignments: ``NAME=VALUE``, as given to ``--set``.
        options: values by setting, None where the option was not given.
        file: of ``--settings``; options and ``--set`` replace what it says.
        named: the method as the user named it, for messages; ``method`` by default.

    Raises:
        InputError: no such setting, a value of another type, a setting given twice, or values that exclude each other.
        MissingExtraError: the method needs an extra that is not installed.
    """
    from interlingua.aligners import create_aligner, describe_settings
    from interlingua.aligners.setting_files import TYPES, parse_setting, read_settings

    described = {setting.name: setting.type for setting in describe_settings(method)}
    kinds = {name: TYPES[kind] for name, kind in described.items() if kind in TYPES}
    values: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        if name not in kinds:
            owner = {"device": "linear or adversarial", "budget": "linear"}.get(name, "adversarial")
            raise InputError(
                f"--{_OPTIONS.get(name, name)} belongs to --method {owner}; the method is {named or method}."
            )
        values[name] = value
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign or not name:
            raise InputError(f"--set {assignment!r} is not an assignment; write NAME=VALUE, such as rounds=20.")
        if name not in kinds and name in described:
            raise InputError(f"--set {name}: this setting of {method} can be given in Python only.")
        if name not in kinds:
            raise InputError(_unknown(name, named or method, list(kinds)))
        if name in values:
            raise InputError(f"{name} was given more than once; give it once.")
        values[name] = parse_setting(f"--set {name}", text, kinds[name])
    from_file = {} if file is None else read_settings(file, method)
    # Refuses values that no run could use, and missing packages, before the data is read.
    try:
        aligner: Any = create_aligner(method, **(from_file | values))
        if hasattr(aligner, "resolve_settings"):
            aligner.resolve_settings()
    except InputError as error:
        if str(error).split()[0] in from_file.keys() - values.keys():
            raise InputError(f"{file}: {error}") from error
        raise
    return from_file | values


def fit_settings(
    method: str, assignments: Sequence[str], file: Path | None, *, paired: bool, **options: Any
) -> dict[str, Any]:
    """Return the settings of the method of ``interlingua fit``; without pairs, auto is the linear method.

    Args:
        method: of ``--method``.
        assignments: of ``--set``.
        file: of ``--settings``.
        paired: whether there are known pairs.
        options: settings that have options of their own, None where they are not given.

    Raises:
        InputError: settings of a method that is chosen by the number of pairs, or such as `method_settings` refuses.
    """
    given = [name for name, value in options.items() if value is not None]
    given += ["set"] * bool(assignments) + ["settings"] * (file is not None)
    if method == "auto" and not given:
        return {}
    if method == "auto" and paired:
        option = _OPTIONS.get(given[0], given[0])
        raise InputError(
            f"--{option} needs --method NAME together with known pairs: auto chooses between linear and ridge by the "
            "number of pairs, and their settings differ."
        )
    return method_settings("linear" if method == "auto" else method, assignments, options, file=file, named=method)


def _unknown(name: str, method: str, known: Sequence[str]) -> str:
    from interlingua.aligners.registry import methods_with

    others = methods_with(name)
    if not known:
        return f"--set {name}: the method {method} has no settings. {others}".rstrip()
    parts = (
        f"--set {name}: the method {method} has no such setting.",
        others or did_you_mean(name, known),
        f"It has {', '.join(sorted(known))}.",
    )
    return " ".join(filter(None, parts))
