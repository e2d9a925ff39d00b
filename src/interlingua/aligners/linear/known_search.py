"""The first search when pairs or categories are known.

A search that is guided by them comes first. If held-out pairs confirm its map, or held-out categories and the transport
similarity, no other search is needed. Otherwise the search without them runs too. If its map is accepted by label-free
evidence, all pairs and categories are tested against that map, because none of them took part in it. Those that
contradict it are not used, and pairs too few to refute a map are not used either. If it is not accepted, the guided map
or a refinement of the plain map is taken, and tested on parts that were held out of it; pairs that contradict it are
not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from interlingua.aligners.base import OnStep
from interlingua.aligners.coarse import CoarseSpaces, settle
from interlingua.aligners.linear.guide import (
    Guide,
    HeldOutSearches,
    HeldOutTranslations,
    Labels,
    search_held_out,
)
from interlingua.aligners.linear.known_evidence import (
    MIN_REFUTING_PAIRS,
    category_evidence,
    is_confirmed,
    pair_evidence,
)
from interlingua.aligners.linear.pairs import Pairs
from interlingua.aligners.linear.search import SearchResult, is_accepted, search
from interlingua.aligners.linear.starts import SearchContext
from interlingua.aligners.verdict import EXCESS_LIMITS
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import to_numpy

__all__ = ["KnownResult", "search_with_known", "settle_rotation"]


@dataclass(frozen=True, eq=False)
class KnownResult:
    """The result of a search with known pairs or categories.

    Attributes:
        matrices: coarse maps [w_source, w_target] for the full width, best first.
        spaces: the coarse rows, with codes of categories where these are used.
        pairs: the known pairs if they are used, otherwise None.
        searches: the maps by which pairs and categories are tested, none of which has seen them.
        held: their translations.
        plain: the search without them, or None where it was not needed.
    """

    matrices: Sequence[FloatArray]
    spaces: CoarseSpaces
    pairs: Pairs | None
    searches: HeldOutSearches
    held: HeldOutTranslations
    plain: SearchResult | None


def search_with_known(
    context: SearchContext, labels: Labels | None, *, rounds: int, rng: np.random.Generator, on_step: OnStep
) -> KnownResult:
    """Search for a coarse map with known pairs or categories.

    Args:
        context: rows, null and known pairs.
        labels: numbers of the categories of the rows, or None.
        rounds: most rounds of component starts of the search without them.
        rng: draws folds and batches of the guided searches.
        on_step: called with a dict of numbers and short words after each step.
    """
    spaces, pairs = context.null.spaces, context.pairs
    target = to_numpy(spaces.rows[1])
    guide = Guide.of(spaces, pairs, labels)
    searches = search_held_out(spaces, pairs, labels, rng)
    held = searches.translate(spaces, pairs)
    guided = guide.search(rng)
    if is_confirmed(held, target) and (held.pairs is not None or _stands_out(context, guided, rng.spawn(1)[0])):
        on_step(_step("guided", held, target, used=True))
        return KnownResult([guided], guide.spaces, pairs, searches, held, None)
    plain = search(replace(context, pairs=None), rounds=rounds, on_step=on_step)
    if is_accepted(context, plain):
        searches = _searched_without(plain.best.matrix, pairs, labels)
        held = searches.translate(spaces, pairs)
        chosen, matrices, used = "without", plain.leading, _is_supported(held, target)
        if used and _are_few(held):
            pairs, guide = None, Guide.of(spaces, None, labels)
            used = labels is not None and _is_supported(replace(held, pairs=None), target)
    else:
        candidates = {"both": guide.refine(plain.best.matrix, rng)}
        # A map that was searched with a single pair has seen the only one by which it could be tested.
        if held.pairs is not None or pairs is None or labels is not None:
            candidates["guided"] = guided
        chosen = max(candidates, key=lambda name: guide.objective(candidates[name]))
        matrices = [candidates[chosen]]
        if chosen == "both":
            searches = search_held_out(spaces, pairs, labels, rng, plain.best.matrix)
            held = searches.translate(spaces, pairs)
        # A map that was searched with few pairs is no judge of the one that was left out.
        used = held.pairs is None or (chosen == "guided" and _are_few(held)) or _is_supported(held, target)
        if not used:
            chosen, matrices = "without", [plain.best.matrix]
            searches = _searched_without(plain.best.matrix, pairs, labels)
            held = searches.translate(spaces, pairs)
    on_step(_step(chosen, held, target, used=used))
    if not used:
        return KnownResult(matrices, spaces, None, searches, held, plain)
    return KnownResult(matrices, guide.spaces, pairs, searches, held, plain)


def settle_rotation(spaces: CoarseSpaces, rotation: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a rotation [d_source, d_target] after refinement without pairs or categories, to compare it with a null.

    Maps from random starts are optima of the transport similarity. A map that was refined with known pairs is not one
    before this refinement, so their similarities could not be compared.
    """
    return spaces.lift(settle(spaces, spaces.reduce(rotation)[None], rng)[0])


def _stands_out(context: SearchContext, guided: FloatArray, rng: np.random.Generator) -> bool:
    """Return whether the transport similarity of a guided map exceeds that of null maps by as much as a verdict needs.

    If categories were renamed alike, held-out categories support a map that exchanges them in the same way. So they are
    not enough to leave out the search without them.
    """
    spaces = context.null.spaces
    settled = settle(spaces, guided[None], rng)
    return context.null.excess(float(spaces.similarity(settled)[0])) >= EXCESS_LIMITS[0]


def _searched_without(matrix: FloatArray, pairs: Pairs | None, labels: Labels | None) -> HeldOutSearches:
    """Return a map that was fitted without any pair or label as one that has not seen them."""
    of_pairs = () if pairs is None else ((matrix, np.ones(len(pairs[0]), np.bool_)),)
    return HeldOutSearches(of_pairs, () if labels is None else ((matrix, labels),))


def _are_few(held: HeldOutTranslations) -> bool:
    """Return whether there are pairs, and too few to refute a map."""
    return held.pairs is not None and len(held.pairs[0]) < MIN_REFUTING_PAIRS


def _is_supported(held: HeldOutTranslations, target: FloatArray) -> bool:
    """Return whether held-out pairs, or categories where there are no pairs, do not contradict the map."""
    if held.pairs is not None:
        return pair_evidence(held.pairs, target)[-1].passed
    return not held.rows or category_evidence(held.rows).passed


def _step(chosen: str, held: HeldOutTranslations, target: FloatArray, *, used: bool) -> dict[str, object]:
    step: dict[str, object] = {"step": "known", "search": chosen, "used": used}
    if held.pairs is not None:
        step["pairs"] = len(held.pairs[0])
        step |= {evidence.name: evidence.value for evidence in pair_evidence(held.pairs, target)}
    if held.rows:
        step["category_agreement"] = category_evidence(held.rows).value
    return step
