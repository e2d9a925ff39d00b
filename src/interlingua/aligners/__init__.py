"""Ways to align two spaces, one file a method, reached by name."""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import Any

from interlingua.core.errors import InputError

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
    }
)

METHODS: tuple[str, ...] = ("auto", *_PATHS)
PAIRED: frozenset[str] = frozenset({"procrustes", "ridge"})


def aligner(name: str, **settings: Any) -> Any:
    """Return the aligner called ``name`` with its settings.

    Raises:
        InputError: no such method, or a setting it does not have.
    """
    if name not in _PATHS:
        raise InputError(f"There is no method {name!r}; choose from {', '.join(METHODS)}.")
    module, _, attribute = _PATHS[name].partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    try:
        return kind(**settings)
    except TypeError as error:
        raise InputError(f"method {name!r} does not take these settings: {error}. See help({_PATHS[name]}).") from error
