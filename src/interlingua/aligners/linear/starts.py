"""Starts of the search: a table of cheap ones, and rounds of matched independent components.

A start is a rough cross-covariance [d_source, d_target]; the search takes its polar factor in coarse coordinates. The
name of a start is the origin of the maps refined from it. Maps of different origins make independent errors, which is
why their agreement confirms them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from interlingua.aligners.coarse import COARSE_WIDTH
from interlingua.aligners.frames import principal_axes, skewness_signs
from interlingua.aligners.linear.components import ComponentRound, component_count, find_round, match_components
from interlingua.aligners.linear.pairs import Pairs
from interlingua.aligners.null import NullMaps
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import parallel_map

__all__ = [
    "MIN_RANK",
    "STARTS",
    "SearchContext",
    "Start",
    "components_of_round",
    "identity",
    "match_last_round",
    "skewed_principal_axes",
]

MIN_RANK = 8
_MATCHINGS_KEPT = 3
_RANDOM_MATCHINGS = 400
# Number of components, and the factor on it in each round. Rounds with equal factors are also matched with each other.
_COMPONENTS_PER_ROOT_ROW, _MAX_COMPONENTS = 0.75, 80
_ROUND_FACTORS = (1.0, 1.0, 0.8, 1.25, 1.0, 0.8, 1.25, 1.0)


@dataclass(frozen=True, eq=False)
class SearchContext:
    """The input of the starts, of the search, and of the steps after it.

    Attributes:
        x: [n_source, d_source], centered unit rows in random order.
        y: [n_target, d_target], likewise.
        null: maps from random starts on the same rows, with the coarse coordinates.
        rng: decides every random draw.
        pairs: rows of known pairs, if any. The starts and the fast search do not use them.
    """

    x: FloatArray
    y: FloatArray
    null: NullMaps
    rng: np.random.Generator
    pairs: Pairs | None = None

    @property
    def n(self) -> int:
        """Rows of the smaller side."""
        return min(len(self.x), len(self.y))


# Returns cross-covariances [d_source, d_target], none where the start does not apply.
Start = Callable[[SearchContext], list[FloatArray]]


def skewed_principal_axes(first_row: int) -> Start:
    """Return the start that matches principal axes by rank of variance, signed so that their skewness is positive.

    This start alone finds the rotation between two spaces of one encoder, one of which was rotated. The axes of the two
    halves of the rows make two starts.

    Args:
        first_row: 0 for the even rows, 1 for the odd rows.
    """

    def start(context: SearchContext) -> list[FloatArray]:
        signed_axes = []
        for z in (context.x[first_row::2], context.y[first_row::2]):
            leading = principal_axes(z)[0][:, :COARSE_WIDTH]
            signed_axes.append(leading * skewness_signs(z, leading))
        k = min(axes.shape[1] for axes in signed_axes)
        return [signed_axes[0][:, :k] @ signed_axes[1][:, :k].T]

    return start


def identity(context: SearchContext) -> list[FloatArray]:
    """Return the identity where both sides have the same width."""
    d = context.x.shape[1]
    return [np.eye(d, dtype=np.float32)] if d == context.y.shape[1] else []


STARTS: Mapping[str, Start] = MappingProxyType(
    {
        "principal axes of even rows": skewed_principal_axes(0),
        "principal axes of odd rows": skewed_principal_axes(1),
        "identity": identity,
    }
)


def components_of_round(context: SearchContext, number: int) -> ComponentRound:
    """Return the independent components of both sides in a round; their number differs from round to round."""
    density = _ROUND_FACTORS[number % len(_ROUND_FACTORS)] * _COMPONENTS_PER_ROOT_ROW
    k = component_count(context.null.spaces, density, least=MIN_RANK, most=_MAX_COMPONENTS)
    return find_round(context.x, context.y, k, context.rng)


def match_last_round(context: SearchContext, rounds: Sequence[ComponentRound]) -> dict[str, list[FloatArray]]:
    """Match the last round's components with each other and with those of earlier rounds of the same number.

    Returns:
        The best matchings as cross-covariances, by origin.
    """
    last, newest = rounds[-1], len(rounds) - 1
    partners = []
    for number, other in enumerate(rounds):
        if other.k == last.k:
            partners.append((newest, number, last.source, other.target))
            if number != newest:
                partners.append((number, newest, other.source, last.target))
    matched = parallel_map(
        lambda partner, rng: match_components(*partner[2:], starts=_RANDOM_MATCHINGS, keep=_MATCHINGS_KEPT, rng=rng),
        partners,
        context.rng.spawn(len(partners)),
    )
    origins = (f"components of rounds {i} and {j}" for i, j, _, _ in partners)
    return dict(zip(origins, matched, strict=True))
