"""Conversion of cosine scores between the scales of two models, so that thresholds on scores survive a translation.

The same cosine means different degrees of similarity in different models, and translated vectors have a scale of their
own. Scores are converted by quantiles, ``F_wanted^-1(F_given(score))`` with the distribution functions F of both kinds
of scores (equipercentile equating; Kolen and Brennan, Test Equating, Scaling, and Linking, 2014): the score that one
pair of texts in 10,000 exceeds with one model corresponds to the score that one in 10,000 exceeds with the other. This
needs texts of the same kind on both sides, and no pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_choice, check_flag, shown
from interlingua.core.arrays import FloatArray, as_array, check_matrix, unit_rows
from interlingua.core.errors import InputError, named_side
from interlingua.core.wording import count_of

if TYPE_CHECKING:
    from interlingua.core.maps import VectorMap

__all__ = [
    "MAX_ROWS",
    "MIN_ROWS",
    "QUANTILE_LEVELS",
    "SCORE_KINDS",
    "ScoreCalibration",
    "check_and_calibrate",
    "check_known",
    "kind_named",
    "match_quantiles",
    "quantiles_of",
]

# Which vectors are compared: two of the source model; two of the target model; a translated and a real one of the
# target model; two translated ones; an inverted and a real one of the source model; two inverted ones.
SCORE_KINDS = ("source", "target", "translated", "both-translated", "inverted", "both-inverted")
# The highest levels are densest, because search results and thresholds are there.
QUANTILE_LEVELS = np.concatenate([np.linspace(0, 0.9, 91), 1 - np.geomspace(0.1, 1e-6, 120), [1.0]])
# Fewer rows have too few pairs for the highest levels.
MIN_ROWS = 200
# Rows of a side whose scores are compared; they make two million pairs.
MAX_ROWS = 2_048
# Rows with a higher cosine are taken for copies of each other.
_COPY = 1 - 1e-5
_STEP = 1e-9
# Levels that fewer pairs exceed are not well determined. Steepness is measured from 100 times as many pairs to these.
_FEW_PAIRS, _SPAN = 10, 100
# How far a cosine can be beyond 1 by rounding, in float16 too.
_ROUNDING = 2e-3
_SIDES = ("source", "target")


@dataclass(frozen=True, eq=False)
class ScoreCalibration:
    """Quantiles of the scores of unrelated texts, of each kind of score.

    Attributes:
        quantiles: [6, k], scores at `QUANTILE_LEVELS` for each of `SCORE_KINDS`.
        rows: number of source rows and of target rows whose scores were compared.
        paired: whether these rows were pairs.
    """

    quantiles: FloatArray
    rows: tuple[int, int]
    paired: bool = False

    def __repr__(self) -> str:
        """Return the number of rows and whether they were pairs."""
        kind = "pairs" if self.paired else "unpaired rows"
        return f"ScoreCalibration({self.rows[0]:,} and {self.rows[1]:,} {kind})"

    @classmethod
    def fit(
        cls,
        maps: tuple[VectorMap, VectorMap],
        source: FloatArray,
        target: FloatArray,
        *,
        paired: bool = False,
        queries: tuple[FloatArray | None, FloatArray | None] = (None, None),
    ) -> ScoreCalibration | None:
        """Measure the scores among rows of both spaces.

        Copies within a side are left out, because a score of 1 says nothing about a scale.

        Args:
            maps: from source to target, and from target to source, which have not seen these rows.
            source: [n, d_source].
            target: [m, d_target], other texts of the same kind.
            paired: row i of both sides is the same text.
            queries: [q, d_source] and [p, d_target], whose scores with the rows are measured in place of those among
                the rows; None where there are none.

        Returns:
            The calibration, or None with fewer than 200 different rows on a side.
        """
        x, y = _distinct_rows(source, target, paired=paired)
        if min(len(x), len(y)) < MIN_ROWS:
            return None
        x_queries, y_queries = (
            side if given is None else unit_rows(np.asarray(given[:MAX_ROWS], np.float32))
            for given, side in zip(queries, (x, y), strict=True)
        )
        translated, inverted = _translate(maps[0], x), _translate(maps[1], y)
        inverted_queries = inverted if queries[1] is None else _translate(maps[1], y_queries)
        sides = {
            "source": (x_queries, x),
            "target": (y_queries, y),
            "translated": (y_queries, translated),
            "both-translated": (translated, translated),
            "inverted": (inverted_queries, x),
            "both-inverted": (inverted, inverted),
        }
        # Of pairs, row i of one side is the same text as row i of the other, so these scores are left out.
        between = {"translated", "inverted"} if paired and queries[1] is None else set()
        quantiles = [
            _quantiles(*sides[kind], others_only=kind in between or sides[kind][0] is sides[kind][1])
            for kind in SCORE_KINDS
        ]
        return cls(np.asarray(quantiles, np.float32), (len(x), len(y)), paired)

    def refit(
        self, translated: FloatArray, target: FloatArray, *, paired: bool = False, queries: FloatArray | None = None
    ) -> ScoreCalibration | None:
        """Measure the scores of translations that exist, such as those of a migrated collection.

        The scores of the target model, of translations with it, and among translations are measured. How those of the
        source model correspond to the target model's is as before, because there are no source vectors.

        Args:
            translated: [n, d_target], translations of source rows.
            target: [m, d_target], as in `fit`.
            paired: row i of both sides is the same text.
            queries: [q, d_target] by the target model, as in `fit`.

        Returns:
            The calibration, or None with fewer than 200 different rows on a side.
        """
        x, y = _distinct_rows(translated, target, paired=paired)
        if min(len(x), len(y)) < MIN_ROWS:
            return None
        asked = y if queries is None else unit_rows(np.asarray(queries[:MAX_ROWS], np.float32))
        own = _quantiles(asked, y, others_only=asked is y)
        found = {
            "target": own,
            "translated": _quantiles(asked, x, others_only=paired and asked is y),
            "both-translated": _quantiles(x, x, others_only=True),
            **{kind: self.convert(own, "target", kind) for kind in ("source", "inverted", "both-inverted")},
        }
        quantiles = np.asarray([found[kind] for kind in SCORE_KINDS], np.float32)
        return ScoreCalibration(quantiles, (len(x), len(y)), paired)

    def convert(self, scores: Any, kind: str, scale: str) -> npt.NDArray[np.float64]:
        """Return scores of one kind on the scale of another; the order of scores is kept.

        Args:
            scores: cosines of any shape.
            kind: what they are scores of, one of `SCORE_KINDS`.
            scale: the kind to convert to.

        Raises:
            InputError: another kind, no finite numbers, or numbers beyond -1 and 1.
        """
        first, second = self._of(kind, "kind"), self._of(scale, "scale")
        values = as_array(scores, "scores")
        if values.dtype.kind not in "fiu":
            raise InputError(f"scores has dtype {values.dtype}; finite real numbers are needed.")
        if not np.isfinite(values).all():
            raise InputError("scores holds NaN or infinity; finite real numbers are needed. Leave such scores out.")
        values = values.astype(np.float64)
        if values.size and np.abs(values).max() > 1 + _ROUNDING:
            beyond = values.flat[np.abs(values).argmax()]
            raise InputError(
                f"scores holds {beyond:.4g}; cosines from -1 to 1 are needed. Inner products and distances are no "
                "cosines."
            )
        return values if kind == scale else match_quantiles(values, first, second)

    def measured_up_to(self, kind: str) -> float:
        """Return the score up to which scores of a kind were measured well; conversions of higher ones are rough.

        It is the quantile at the level that 10 of the pairs within the smaller side exceed. Conversions of higher
        scores depend on few pairs, and on where the straight line from the highest of them to 1 goes.

        Args:
            kind: one of `SCORE_KINDS`.
        """
        return float(np.interp(self._highest_level, QUANTILE_LEVELS, self._of(kind, "kind")))

    def steepness(self, kind: str, scale: str) -> float:
        """Return how much a difference of high scores grows by the conversion to another scale.

        It is measured from the level that 1,000 of the pairs within the smaller side exceed to that of 10 pairs. Above
        1, the conversion also enlarges the differences between scores that have no meaning.

        Args:
            kind: of the scores, one of `SCORE_KINDS`.
            scale: the kind to convert to.
        """
        levels = 1 - (1 - self._highest_level) * np.array([_SPAN, 1])
        quantiles = self._of(kind, "kind"), self._of(scale, "scale")
        given, wanted = (np.interp(levels, QUANTILE_LEVELS, each) for each in quantiles)
        return float((wanted[1] - wanted[0]) / max(given[1] - given[0], _STEP))

    def _of(self, kind: str, name: str) -> FloatArray:
        """Return the quantiles of a kind of score, which is the argument of that name."""
        return np.asarray(self.quantiles[SCORE_KINDS.index(check_choice(kind, name, SCORE_KINDS))])

    @property
    def _highest_level(self) -> float:
        n = min(self.rows)
        return 1 - _FEW_PAIRS / (n * (n - 1) / 2)

    def curves(self, kind: str) -> dict[str, list[float]]:
        """Return points of the conversion from one kind of score to the scales of both models, for other programs.

        Linear interpolation between them, as ``numpy.interp(score, curves["scores"], curves["target"])``, is `convert`.

        Args:
            kind: one of `SCORE_KINDS`.
        """
        own = self._of(kind, "kind").astype(np.float64)
        points = np.unique(np.concatenate([[-1.0], np.clip(own, -1, 1), [1.0]]))
        scales = {scale: self.convert(points, kind, scale).tolist() for scale in ("source", "target")}
        return {"scores": points.tolist(), **scales}


def kind_named(name: Any, card: Mapping[str, Any]) -> Any:
    """Return the kind of scores of a model that is called by the name of its space; anything else as it is.

    Args:
        name: a kind of `SCORE_KINDS`, or the name of a space.
        card: of the translator.
    """
    sides = [side for side in _SIDES if isinstance(name, str) and (card.get(side) or {}).get("name") == name]
    return sides[0] if name not in SCORE_KINDS and len(sides) == 1 else name


def check_known(known: ScoreCalibration | None) -> ScoreCalibration:
    """Return the calibration that translated rows need.

    Raises:
        InputError: there is none.
    """
    if known is None:
        raise InputError(
            "This translator has no calibration, and translated vectors do not show the scores of the source model. "
            "Calibrate it on vectors of both models, or fit again with at least 1,000 rows."
        )
    return known


def check_and_calibrate(
    maps: tuple[VectorMap, VectorMap],
    source: Any,
    target: Any,
    *,
    queries: Any,
    paired: Any,
    translated: Any = False,
    known: ScoreCalibration | None = None,
) -> ScoreCalibration:
    """Check the arguments of `ScoreCalibration.fit` as a caller gives them, and return the calibration.

    Args:
        maps: from source to target, and from target to source, which have not seen these rows.
        source: [n, d_source], or [n, d_target] if they are translations.
        target: [m, d_target], other texts of the same kind.
        queries: vectors [q, d_source] and [p, d_target] of queries; None where there are none.
        paired: whether row i of both sides is the same text.
        translated: whether the rows of ``source`` are translations already.
        known: an earlier calibration, which says how scores of the source model correspond where there are no source
            vectors.

    Raises:
        InputError: vectors that cannot be used, too few different rows, pairs of different numbers of rows, or
            translated rows without an earlier calibration.
    """
    widths = maps[0].d_in, maps[0].d_out
    translated = check_flag(translated, "translated")
    if translated:
        widths = maps[0].d_out, maps[0].d_out
        known = check_known(known)
    sides = [
        check_matrix(side, f"{name} vectors", width=width)
        for name, side, width in zip(_SIDES, (source, target), widths, strict=True)
    ]
    if not isinstance(queries, tuple | list) or len(queries) != len(_SIDES):
        raise InputError(
            f"queries is {shown(queries)}; a pair is needed: vectors by the source and by the target model, or None."
        )
    asked = [
        None if side is None else check_matrix(side, f"{name} queries", width=width)
        for name, side, width in zip(_SIDES, queries, widths, strict=True)
    ]
    for name, side in zip(_SIDES, asked, strict=True):
        if side is not None and len(side) < MIN_ROWS:
            raise InputError(f"{name} queries have {count_of(len(side))}; at least {MIN_ROWS} are needed, or None.")
    if check_flag(paired, "paired") and len(sides[0]) != len(sides[1]):
        raise InputError(
            f"{named_side('source')} has {count_of(len(sides[0]))} and {named_side('target')} {len(sides[1]):,}; row i "
            "of both must be the same text. Without pairs, leave paired out."
        )
    if known is not None and translated:
        if asked[0] is not None:
            raise InputError(
                "source queries were given with translated rows, which they cannot be compared with. Leave them out, "
                "or give source vectors."
            )
        calibration = known.refit(sides[0], sides[1], paired=paired, queries=asked[1])
    else:
        calibration = ScoreCalibration.fit(maps, *sides, paired=paired, queries=(asked[0], asked[1]))
    if calibration is None:
        raise InputError(
            f"{named_side('source')} and {named_side('target')} have {len(sides[0]):,} and {count_of(len(sides[1]))}; "
            f"at least {MIN_ROWS} different ones on each side are needed for a calibration of scores. Give more rows."
        )
    return calibration


def quantiles_of(scores: FloatArray) -> npt.NDArray[np.float64]:
    """Return the scores at `QUANTILE_LEVELS` [k] among scores of any shape."""
    # One sort is many times faster than the selection of each level in numpy.quantile.
    ordered = np.sort(scores, axis=None)
    positions = QUANTILE_LEVELS * (len(ordered) - 1)
    below = np.floor(positions).astype(np.int64)
    above = np.minimum(below + 1, len(ordered) - 1)
    shares = positions - below
    return np.asarray((1 - shares) * ordered[below] + shares * ordered[above], np.float64)


def match_quantiles(scores: FloatArray, given: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return cosines on the scale of ``wanted``, given the quantiles [k] of both scales at the same levels.

    Beyond the outermost quantiles the result goes linearly to -1 and to 1.
    """
    # Interpolation needs increasing values.
    known = np.maximum.accumulate(np.asarray(given, np.float64)) + np.arange(len(given)) * _STEP
    matched = np.maximum.accumulate(np.asarray(wanted, np.float64))
    ends = min(-1.0, known[0] - _STEP), max(1.0, known[-1] + _STEP)
    known = np.concatenate([ends[:1], known, ends[1:]])
    matched = np.concatenate([[min(-1.0, matched[0])], matched, [max(1.0, matched[-1])]])
    return np.asarray(np.interp(scores, known, matched))


def _translate(function: VectorMap, rows: FloatArray) -> FloatArray:
    """Return rows [n, d] after a map, as unit rows."""
    return unit_rows(np.asarray(function(rows), np.float32))


def _quantiles(a: FloatArray, b: FloatArray, *, others_only: bool) -> npt.NDArray[np.float64]:
    """Return the quantiles of the cosines of unit rows a [n, d] with unit rows b [m, d].

    Args:
        a: [n, d].
        b: [m, d].
        others_only: compare row i of ``a`` with rows j > i of ``b`` only, where row i of both is the same text.
    """
    cosines = a @ b.T
    return quantiles_of(cosines[np.triu_indices(len(a), 1)] if others_only else cosines)


def _distinct_rows(source: FloatArray, target: FloatArray, *, paired: bool) -> tuple[FloatArray, FloatArray]:
    """Return at most `MAX_ROWS` unit rows of each side without copies; pairs stay in step."""
    x, y = (unit_rows(np.asarray(side[:MAX_ROWS], np.float32)) for side in (source, target))
    if paired:
        keep = ~(_is_copy(x) | _is_copy(y))
        return x[keep], y[keep]
    return x[~_is_copy(x)], y[~_is_copy(y)]


def _is_copy(rows: FloatArray) -> npt.NDArray[np.bool_]:
    """Return for each unit row [n, d] whether it is a copy of an earlier one."""
    return np.asarray((np.tril(rows @ rows.T, -1) > _COPY).any(axis=1))
