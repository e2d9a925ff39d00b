"""Maps that learn nothing from the other side: the floor under every score, and the control at chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from interlingua.aligners.frames import Frame, affine_maps, polar, refuse_pairs
from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.maps import AffineMap


@dataclass(frozen=True)
class Identity:
    """The vectors as they are; to another width by zero-padding or by cutting the last coordinates off.

    It is right where both sides are one space and at chance elsewhere, whatever its cosine says.
    """

    name: ClassVar[str] = "identity"

    def maps(
        self, source: FloatArray, target: FloatArray, *, pairs: IntArray | None = None, seed: int = 0
    ) -> tuple[AffineMap, AffineMap, dict[str, Any]]:
        """Return forward map, backward map and trace; only the widths are looked at.

        Args:
            source: [n_source, d_source].
            target: [n_target, d_target].
            pairs: not used; must be ``None``.
            seed: not used.

        Raises:
            InputError: pairs were given.
        """
        refuse_pairs(pairs, self.name)
        matrix = np.eye(source.shape[1], target.shape[1], dtype=np.float32)
        here, there = (np.zeros(width, np.float32) for width in matrix.shape)
        return AffineMap(here, matrix, there), AffineMap(there, matrix.T, here), {}


@dataclass(frozen=True)
class MeanShift:
    """The identity between centered spaces: subtract one mean, add the other.

    Its raw cosine shows how much of a cosine the two means are worth.
    """

    name: ClassVar[str] = "mean-shift"

    def maps(
        self, source: FloatArray, target: FloatArray, *, pairs: IntArray | None = None, seed: int = 0
    ) -> tuple[AffineMap, AffineMap, dict[str, Any]]:
        """Return forward map, backward map and trace.

        Args:
            source: [n_source, d_source].
            target: [n_target, d_target].
            pairs: not used; must be ``None``.
            seed: not used.

        Raises:
            InputError: pairs were given.
        """
        refuse_pairs(pairs, self.name)
        matrix = np.eye(source.shape[1], target.shape[1], dtype=np.float32)
        return *affine_maps(Frame.of(source), Frame.of(target), matrix), {}


@dataclass(frozen=True)
class RandomRotation:
    """A (semi-)orthogonal matrix drawn at random between centered spaces: the control for every other method.

    It has the right means, the right spread and nothing else, so what it scores is what chance scores.
    """

    name: ClassVar[str] = "random-rotation"

    def maps(
        self, source: FloatArray, target: FloatArray, *, pairs: IntArray | None = None, seed: int = 0
    ) -> tuple[AffineMap, AffineMap, dict[str, Any]]:
        """Return forward map, backward map and trace.

        Args:
            source: [n_source, d_source].
            target: [n_target, d_target].
            pairs: not used; must be ``None``.
            seed: decides the matrix, drawn uniformly.

        Raises:
            InputError: pairs were given.
        """
        refuse_pairs(pairs, self.name)
        normal = np.random.default_rng(seed).standard_normal((source.shape[1], target.shape[1]), np.float32)
        return *affine_maps(Frame.of(source), Frame.of(target), polar(normal)), {}
