"""Methods of alignment, one module each, reached by name; :mod:`interlingua.aligners.base` has their contract."""

from __future__ import annotations

import difflib
import importlib
import inspect
from dataclasses import fields, is_dataclass
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, get_args

from interlingua.aligners.base import Aligner, Fit, OnStep, PairUse, Problem
from interlingua.core.errors import InputError

__all__ = [
    "ENTRY_POINTS",
    "METHODS",
    "Aligner",
    "Fit",
    "OnStep",
    "PairUse",
    "Problem",
    "available_methods",
    "create_aligner",
    "method_name",
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


def available_methods() -> tuple[str, ...]:
    """Return the names that ``method=`` accepts: ours, and those that installed packages add."""
    return METHODS + tuple(name for name in sorted(entry_points(group=ENTRY_POINTS).names) if name not in METHODS)


def create_aligner(method: Any, **settings: Any) -> Aligner:
    """Return an aligner by name with its settings, or the aligner that was passed.

    Args:
        method: a name of :func:`available_methods` other than ``"auto"``, or an object with
            ``fit(problem, *, seed, on_step)``.
        settings: of the method; an object that was passed has its own.

    Raises:
        InputError: no such method, a setting that it does not have, or an object that is no aligner.
        MissingExtraError: an optional dependency of the method is not installed.
    """
    if not isinstance(method, str):
        return _check_aligner(method, settings)
    kind = _load(method)
    names = list(inspect.signature(kind).parameters)
    unknown = [name for name in settings if name not in names]
    if unknown:
        close = difflib.get_close_matches(unknown[0], names, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"It takes {', '.join(names) or 'none'}."
        raise InputError(
            f"method {method!r} does not take these settings: {', '.join(unknown)}. {hint} "
            f"See help({kind.__module__}.{kind.__qualname__})."
        )
    return _check_aligner(kind(**settings), {})


def method_name(aligner: Aligner) -> str:
    """Return the name of an aligner for cards and reports."""
    return str(getattr(aligner, "name", type(aligner).__name__))


def pair_use(aligner: Aligner) -> PairUse:
    """Return whether an aligner refuses, accepts or requires known pairs."""
    use: PairUse = getattr(aligner, "pairs", "unused")
    return use


def settings_of(aligner: Any) -> dict[str, Any]:
    """Return the settings of an aligner for a card, without callables and without what belongs to one machine.

    A field of the dataclass whose metadata holds ``local=True`` (a folder, for example) is left out.
    """
    if not is_dataclass(aligner):
        return {}
    values = {f.name: getattr(aligner, f.name) for f in fields(aligner) if not f.metadata.get("local")}
    return {name: value for name, value in values.items() if not callable(value)}


def _load(name: str) -> Any:
    if name in _PATHS:
        module, _, attribute = _PATHS[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    found = entry_points(group=ENTRY_POINTS, name=name)
    if not found:
        names = available_methods()
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise InputError(f"There is no method {name!r}; choose from {', '.join(names)}. {hint}".rstrip())
    return next(iter(found)).load()


def _check_aligner(aligner: Any, settings: dict[str, Any]) -> Aligner:
    if isinstance(aligner, type) or not callable(getattr(aligner, "fit", None)):
        raise InputError(
            f"method is {aligner!r}; a name such as 'linear' or an object with fit(problem, *, seed, on_step) is "
            "needed. Pass an instance, not a class."
        )
    if settings:
        raise InputError(
            f"settings {', '.join(settings)} were given beside an aligner object. Set them in its constructor."
        )
    if str(pair_use(aligner)) not in get_args(PairUse):
        raise InputError(
            f"{method_name(aligner)}.pairs is {pair_use(aligner)!r}; choose from {', '.join(get_args(PairUse))}."
        )
    checked: Aligner = aligner
    return checked
