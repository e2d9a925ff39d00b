"""The methods by name, with their settings; installed packages can add methods of their own."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Any, get_args

import numpy as np

from interlingua.aligners.base import OPTIONAL_INPUTS, Aligner, OptionalInput, OptionalUse, PairUse
from interlingua.core.arguments import (
    Bounds,
    check_bounds,
    check_choice,
    check_text,
    class_bounds,
    describe_bounds,
    did_you_mean,
    shown,
)
from interlingua.core.entrypoints import check_not_taken, declared, load_entry_point
from interlingua.core.errors import InputError
from interlingua.core.wording import listed

__all__ = [
    "ENTRY_POINTS",
    "METHODS",
    "Setting",
    "available_methods",
    "check_known_settings",
    "check_method_name",
    "constructor_settings",
    "create_aligner",
    "describe_settings",
    "method_name",
    "methods_with",
    "optional_use",
    "pair_use",
    "settings_of",
]

_PATHS = MappingProxyType(
    {
        "linear": "interlingua.aligners.linear.aligner:Linear",
        "adversarial": "interlingua.neural.aligner:Adversarial",
        "mini-vec2vec": "interlingua.aligners.baselines.mini_vec2vec:MiniVec2Vec",
        "centroids": "interlingua.aligners.baselines.centroids:CentroidConsensus",
        "self-learning": "interlingua.aligners.baselines.self_learning:SelfLearning",
        "adversarial-rotation": "interlingua.aligners.baselines.adversarial_rotation:AdversarialRotation",
        "gromov": "interlingua.aligners.baselines.gromov:Gromov",
        "procrustes": "interlingua.aligners.paired:Procrustes",
        "ridge": "interlingua.aligners.paired:Ridge",
        "identity": "interlingua.aligners.baselines.controls:Identity",
        "mean-shift": "interlingua.aligners.baselines.controls:MeanShift",
        "random-rotation": "interlingua.aligners.baselines.controls:RandomRotation",
        "principal-axes": "interlingua.aligners.baselines.controls:PrincipalAxes",
    }
)

METHODS: tuple[str, ...] = ("auto", *_PATHS)
# Packages add methods of their own under this group: name = "package.module:Class".
ENTRY_POINTS = "interlingua.aligners"


@dataclass(frozen=True)
class Setting:
    """One setting of a method.

    Attributes:
        name: the keyword of :func:`interlingua.align`.
        type: its annotation, such as ``"int"`` or ``"float | None"``.
        default: its default value.
        meaning: one or two sentences.
        range: the accepted values in words; empty where the type says it all.
        paper: the value in the text of the method's paper; None where it does not apply.
        code: the value in the paper's released code; None where it does not apply.
        presets: the value in each preset and start, such as ``"annealed cold"``; empty for a method without presets.
    """

    name: str
    type: str
    default: Any
    meaning: str
    range: str = ""
    paper: Any = None
    code: Any = None
    presets: Mapping[str, Any] = field(default_factory=dict, hash=False)


def available_methods() -> tuple[str, ...]:
    """Return the names that ``method=`` accepts: ours, and those that installed packages add.

    Raises:
        InputError: a package declares a method with the name of another one.
    """
    names = _names()
    _check_not_taken(*names)
    return names


def check_method_name(name: str) -> None:
    """Refuse a method that does not exist.

    Raises:
        InputError: there is no method of this name, or there are several, because of a package.
    """
    names = _names()
    if name not in names:
        raise InputError(
            f"There is no method {name!r}; choose from {', '.join(names)}. {did_you_mean(name, names)}".rstrip()
        )
    _check_not_taken(name)


def _names() -> tuple[str, ...]:
    return tuple(dict.fromkeys([*METHODS, *(point.name for point in declared(ENTRY_POINTS))]))


def _check_not_taken(*names: str) -> None:
    """Refuse entry points with one of these names that have the name of another method."""
    points = [point for point in declared(ENTRY_POINTS) if point.name in names]
    check_not_taken(points, METHODS, "has the name of another method")


def create_aligner(method: Any, **settings: Any) -> Aligner:
    """Return an aligner by name with its settings, or the aligner that was passed.

    Args:
        method: a name of :func:`available_methods` other than ``"auto"``, or an object with
            ``fit(problem, *, seed, on_step)``.
        settings: of the method; an object that was passed has its own.

    Raises:
        InputError: no such method, a setting that it does not have, or an object that is not an aligner.
        MissingExtraError: an optional dependency of the method is not installed.
    """
    if not isinstance(method, str):
        return _check_aligner(method, settings)
    check_known_settings(method, settings)
    kind = _load(method)
    try:
        inspect.signature(kind).bind(**settings)
    except TypeError as error:
        raise InputError(
            f"method {method!r} cannot be made of the settings {', '.join(settings) or '(none)'}: {error}. "
            f"describe_settings({method!r}) lists all."
        ) from error
    return _check_aligner(kind(**settings), {})


def check_known_settings(method: Any, settings: Iterable[str], own: Iterable[str] = ()) -> None:
    """Refuse keywords that are not settings of a method.

    Args:
        method: as `create_aligner` takes it.
        settings: the names that were given.
        own: keywords of the caller, which a misspelled name may stand for.

    Raises:
        InputError: no such method, or a name that is not a setting of it.
        MissingExtraError: an optional dependency of the method is not installed.
    """
    is_named = isinstance(method, str)
    if not is_named:
        _check_aligner(method, {})
    names = _setting_names(_load(method)) if is_named else []
    kind = type(method)
    for name in settings:
        if name in names:
            continue
        if not is_named and name in inspect.signature(kind).parameters:
            raise InputError(
                f"{name!r} is a setting of the method object that was passed. Set it in its constructor: "
                f"method={kind.__name__}({name}=...)."
            )
        others = methods_with(name) if is_named else ""
        question = did_you_mean(name, [*own, *names])
        if question and not others:
            raise InputError(f"unknown keyword {shown(name)}. {question}")
        if is_named:
            raise InputError(
                f"unknown keyword {shown(name)}: method {method!r} takes {', '.join(names) or 'no settings'}. "
                f"describe_settings({method!r}) explains them. {others}".rstrip()
            )


def methods_with(setting: str) -> str:
    """Return a sentence that says which methods have a setting, empty where none has; only ours are searched."""
    found = [name for name in _PATHS if setting in _setting_names(_load(name))]
    return f"{setting} is a setting of {listed(found)}." if found else ""


def describe_settings(method: str) -> tuple[Setting, ...]:
    """Return the settings of a method with their types, defaults, ranges and meanings.

    Args:
        method: a name of :func:`available_methods`; ``"auto"`` describes ``"linear"``.

    Raises:
        InputError: no such method.
        MissingExtraError: an optional dependency of the method is not installed.
    """
    check_text(method, "method")
    kind = _load("linear" if method == "auto" else method)
    if hasattr(kind, "describe_settings"):
        described: tuple[Setting, ...] = kind.describe_settings()
        return described
    return constructor_settings(kind)


def constructor_settings(kind: type) -> tuple[Setting, ...]:
    """Return the keywords of a constructor as settings.

    The meanings are those in the ``Attributes`` of the docstring. The ranges are those of the class attribute
    ``bounds``, by which `interlingua.core.arguments.check_settings` checks the values; a class without it has none.
    """
    meanings = _attribute_docs(kind)
    bounds: Bounds | None = class_bounds(kind) if hasattr(kind, "bounds") else None
    return tuple(
        Setting(
            name,
            _annotation(parameter),
            None if parameter.default is parameter.empty else parameter.default,
            meanings.get(name, ""),
            "" if bounds is None else _range(_annotation(parameter), bounds.get(name, {})),
        )
        for name, parameter in inspect.signature(kind).parameters.items()
    )


def _range(annotation: str, bounds: Mapping[str, float]) -> str:
    """Return which numbers or flags a setting accepts, in words; empty for other types."""
    kind, _, optional = annotation.partition(" | ")
    if kind == "bool":
        words = "True or False"
    elif kind in ("int", "float"):
        words = describe_bounds({"minimum": 0.0, **bounds} if kind == "int" else bounds)
    else:
        return ""
    return (words or "any finite number") + (", or None" if optional else "")


def _annotation(parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _attribute_docs(kind: type) -> dict[str, str]:
    """Return the text of each attribute in the ``Attributes`` section of a class docstring."""
    _, _, section = inspect.cleandoc(kind.__doc__ or "").partition("\nAttributes:\n")
    texts: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith("    "):
            break
        head, colon, text = line.strip().partition(": ")
        if colon and not line.startswith("     "):
            name, line = head, text
        if name:
            texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
    return texts


def method_name(aligner: Aligner) -> str:
    """Return the name of an aligner for cards and reports."""
    return str(getattr(aligner, "name", type(aligner).__name__))


def pair_use(aligner: Aligner) -> PairUse:
    """Return whether an aligner refuses, accepts or requires known pairs."""
    use: PairUse = getattr(aligner, "pairs", "unused")
    return use


def optional_use(aligner: Aligner, name: OptionalInput) -> OptionalUse:
    """Return whether an aligner refuses or accepts labels, or views of the target."""
    use: OptionalUse = getattr(aligner, name, "unused")
    return use


def settings_of(aligner: Any) -> dict[str, Any]:
    """Return the settings of an aligner for a card, without callables and without what belongs to one machine.

    A field of the dataclass whose metadata holds ``local=True`` (a folder, for example) is left out. An aligner with
    a method ``settings_for_card`` decides itself.

    Raises:
        InputError: ``settings_for_card`` is not a method, or returns something other than a mapping.
    """
    if hasattr(aligner, "settings_for_card"):
        made = aligner.settings_for_card() if callable(aligner.settings_for_card) else aligner.settings_for_card
        if not isinstance(made, Mapping):
            raise InputError(
                f"{method_name(aligner)}.settings_for_card gives {shown(made)}; a method that returns a dict is needed."
            )
        return dict(made)
    if not is_dataclass(aligner):
        return {}
    values = {f.name: getattr(aligner, f.name) for f in fields(aligner) if not f.metadata.get("local")}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    return {name: value for name, value in plain.items() if not callable(value)}


def _setting_names(kind: Any) -> list[str]:
    """Return the names of the settings of a class: its own list, or the parameters of its constructor."""
    return list(kind.setting_names()) if hasattr(kind, "setting_names") else list(inspect.signature(kind).parameters)


def _load(name: str) -> Any:
    check_method_name(name)
    if name in _PATHS:
        module, _, attribute = _PATHS[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    if name == "auto":
        raise InputError(
            "method 'auto' chooses among several methods; pass the name of the method that the settings belong to."
        )
    kind = load_entry_point(next(point for point in declared(ENTRY_POINTS) if point.name == name))
    if not callable(kind):
        raise InputError(f"method {name!r} is {shown(kind)}; a class of aligners is needed. Correct its package.")
    return kind


def _check_aligner(aligner: Any, settings: dict[str, Any]) -> Aligner:
    if isinstance(aligner, type) or not callable(getattr(aligner, "fit", None)):
        raise InputError(
            f"method is {shown(aligner)}; a name such as 'linear' or an object with fit(problem, *, seed, on_step) is "
            "needed. Pass an instance, not a class."
        )
    if settings:
        raise InputError(
            f"settings {', '.join(settings)} were given beside an aligner object. Set them in its constructor."
        )
    kind = type(aligner).__name__
    name = check_text(getattr(aligner, "name", kind), f"{kind}.name")
    if not name.strip() or not name.isprintable():
        raise InputError(f"{kind}.name is {shown(name)}; a name in one line is needed, for cards and reports.")
    check_choice(pair_use(aligner), f"{name}.pairs", get_args(PairUse))
    for given in OPTIONAL_INPUTS:
        check_choice(optional_use(aligner, given), f"{name}.{given}", get_args(OptionalUse))
    _check_signature(aligner, name)
    check_bounds(aligner)
    _check_card(settings_of(aligner), name)
    checked: Aligner = aligner
    return checked


def _check_signature(aligner: Any, name: str) -> None:
    """Refuse a ``fit`` that cannot be called as `align` calls it, before the problem is built."""
    try:
        signature = inspect.signature(aligner.fit)
    except (TypeError, ValueError):  # a callable of an extension module may have none
        return
    try:
        signature.bind(None, seed=0, on_step=None)
    except TypeError as error:
        raise InputError(
            f"{name}.fit{signature} cannot be called as fit(problem, seed=..., on_step=...): {error}. Define it as "
            "fit(self, problem, *, seed, on_step)."
        ) from error


def _check_card(settings: Mapping[str, Any], name: str) -> None:
    """Refuse settings that no card can hold, before a fit whose translator could not be saved."""
    for setting, value in settings.items():
        try:
            json.dumps({setting: value}, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"{name}: the setting {shown(setting)} is {shown(value)}, which JSON cannot store, so no card can "
                "hold it. Use plain values; or leave it out of the card with field(metadata={'local': True}), or with "
                "a method settings_for_card."
            ) from error
