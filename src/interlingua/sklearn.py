"""`EmbeddingTranslator`: alignment and translation as one scikit-learn transformer."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted, validate_data

from interlingua._align import MAX_ROWS, align
from interlingua.aligners.base import Aligner, insufficient_rows_reason
from interlingua.core.alignment import AlignmentError, Status, Verdict, failed_fit_advice
from interlingua.core.arguments import check_choice, check_instance, shown
from interlingua.core.arrays import FloatArray, check_matrix, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap, VectorMap
from interlingua.core.spaces import EmbeddingSpace
from interlingua.core.statistics import sliced_wasserstein
from interlingua.core.translator import Translator

__all__ = ["EmbeddingTranslator"]

_ON_FAILURE = ("raise", "warn", "ignore")
_CONTENT = re.compile(r"(?<=instead):\narray=.*?\](?=\.\n)|(?<=string to float): .*", re.DOTALL)
_LABELS = (
    "y is the target space, and here it has one value for each row. If these are labels for a later step of a "
    "pipeline, fit the translator before, and put "
    "FrozenEstimator(EmbeddingTranslator.from_translator(translator)) in its place."
)
# Random directions of the sliced Wasserstein distance, and rows of each side that `score` reads.
_DIRECTIONS, _SCORED_ROWS = 200, 5_000
_KEYWORDS = frozenset(inspect.signature(align).parameters) - {"settings"}


class EmbeddingTranslator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Translate vectors of the space of ``X`` into the space of ``y``, fitted on unpaired samples of both.

    The target sample is passed as ``y``, but it has its own number of rows, and its rows do not correspond to rows of
    ``X``. Pipelines support this; `GridSearchCV` and other tools that split ``X`` and ``y`` together do not.

    Samples too small or too narrow for the unpaired solver (under 100 rows or 8 columns) are matched by their means and
    principal axes when ``method="auto"`` and no pairs are given. Nothing can confirm such a map, so its verdict is
    ``failed`` and ``on_failure`` decides what follows.

    Args:
        method: as in :func:`interlingua.align`, a name or an aligner object.
        random_state: a seed, a `RandomState`, or None for a fresh seed every time.
        max_rows: most rows per side that a fit reads; None for all.
        on_failure: the reaction to a ``failed`` verdict: ``"raise"`` an `AlignmentError`, ``"warn"`` with a
            `ConvergenceWarning` and keep the translator, or ``"ignore"``.
        settings: of the method by name, for example ``{"rounds": 20}`` or what :func:`interlingua.read_settings`
            returned; None for its defaults.

    Attributes:
        alignment_: the :class:`interlingua.Alignment` that the fit returned; missing after :meth:`from_translator`.
        translator_: its :class:`interlingua.Translator`, after a failed fit as well.
        verdict_: the verdict on the fit. Check it before using a translation.
        n_features_in_: width of ``X``.
        feature_names_in_: column names of ``X``, where it had any.

    ``y`` is the target space. In a pipeline whose ``y`` is labels, fit the translator before and use
    ``FrozenEstimator(EmbeddingTranslator.from_translator(translator))`` of scikit-learn.

    With metadata routing (``sklearn.set_config(enable_metadata_routing=True)``),
    ``set_fit_request(pairs=True, labels=True, views=True)`` brings known pairs, categories and views of the target
    through a pipeline. A fitted estimator can be pickled like any other, and like any other pickle, one from someone
    else can run code. To store or share a fitted estimator safely, save its translator as safetensors,
    ``estimator.translator_.save(folder)``, and read it with :meth:`from_translator`.

    Example:
        >>> import numpy as np
        >>> from interlingua import EmbeddingTranslator
        >>> rng = np.random.default_rng(0)
        >>> x = rng.standard_normal((400, 8)); rotation = np.linalg.qr(rng.standard_normal((8, 8)))[0]
        >>> translator = EmbeddingTranslator().fit(x, x @ rotation, pairs=[[i, i] for i in range(100)])
        >>> translator.transform(x[:3]).shape
        (3, 8)
    """

    def __init__(
        self,
        method: str | Aligner = "auto",
        random_state: int | np.random.RandomState | None = 0,
        max_rows: int | None = MAX_ROWS,
        on_failure: str = "warn",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.method = method
        self.random_state = random_state
        self.max_rows = max_rows
        self.on_failure = on_failure
        self.settings = settings

    @classmethod
    def from_translator(cls, translator: Translator) -> EmbeddingTranslator:
        """Return a fitted estimator of a saved translator, ready for `transform`; reading one executes nothing.

        Args:
            translator: as :func:`interlingua.load` returns it.

        Raises:
            InputError: another object, or a translator whose card has no verdict.
        """
        check_instance(translator, "translator", Translator, "a translator, as interlingua.load returns it,")
        try:
            verdict = Verdict.from_dict(translator.card["verdict"])
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError("The translator's card has no verdict that can be read; fit again.") from error
        estimator = cls()
        estimator.translator_, estimator.verdict_ = translator, verdict
        estimator.n_features_in_ = translator.d_source
        return estimator

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        pairs: npt.ArrayLike | None = None,
        labels: tuple[Any, Any] | None = None,
        views: Mapping[str, Any] | Sequence[Any] | None = None,
    ) -> EmbeddingTranslator:
        """Align the spaces of ``X`` and ``y``.

        Args:
            X: [n_source, d_source], source vectors.
            y: [n_target, d_target], target vectors of other texts; [n_target] is read as one column.
            pairs: [p, 2], known (row of ``X``, row of ``y``) of the same text, if any.
            labels: categories of the rows of ``X`` [n_source] and of ``y`` [n_target], as in :func:`interlingua.align`.
            views: vectors [n_target, d] of the rows of ``y`` by further models, as in :func:`interlingua.align`.

        Returns:
            The estimator itself.

        Raises:
            InputError: data or parameters that cannot be used.
            AlignmentError: the verdict is ``failed`` and ``on_failure="raise"``.

        Warns:
            ConvergenceWarning: the verdict is ``failed`` and ``on_failure="warn"``.
        """
        check_choice(self.on_failure, "on_failure", _ON_FAILURE)
        check_instance(self.settings, "settings", (Mapping, type(None)), "a mapping of names to values")
        if y is None:
            raise InputError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. "
                "Pass vectors of the target space; their rows need not match those of X."
            )
        with _input_errors():
            source = validate_data(self, X, dtype=FLOAT_DTYPES, ensure_min_samples=2)
        with _label_advice(y):
            target = _as_target(y, ensure_min_samples=2)
        sides = {"source": source, "target": target}
        seed = self._seed()
        # Samples too small for the unpaired solver still get a map, as scikit-learn expects of every estimator.
        reasons = [insufficient_rows_reason(name, rows) for name, rows in sides.items()]
        is_auto = isinstance(self.method, str) and self.method == "auto"
        too_small = is_auto and pairs is None and labels is None and views is None and any(reasons)
        method, settings = ("principal-axes", {}) if too_small else (self.method, dict(self.settings or {}))
        with _label_advice(y):
            spaces = [EmbeddingSpace(rows, name=name, allow_zero_rows=too_small) for name, rows in sides.items()]
        own = [name for name in settings if name in _KEYWORDS]
        if own:
            raise InputError(f"settings holds {own[0]}, which is an argument of align and not a setting of a method.")
        with _label_advice(y):
            alignment = align(
                *spaces,
                pairs=pairs,
                labels=labels,
                views=views,
                method=method,
                seed=seed,
                max_rows=self.max_rows,
                **settings,
            )
        try:
            translator = alignment.translator(force=self.on_failure != "raise")
        except AlignmentError as error:
            error.remedy = (
                f"{failed_fit_advice(alignment.verdict.evidence)}, or keep the translator with {{on_failure='warn'}}."
            )
            raise
        if self.on_failure == "warn" and alignment.verdict.status is Status.FAILED:
            warnings.warn(
                "The fit failed and its translations are likely no better than chance: "
                + " ".join([*alignment.verdict.reasons, *([_LABELS] if _is_one_column(y) else [])]),
                ConvergenceWarning,
                stacklevel=2,
            )
        self.alignment_ = alignment
        self.translator_ = translator
        self.verdict_ = alignment.verdict
        return self

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return source vectors [n, d_source] as target vectors [n, d_target], each row on its own.

        Floats keep their dtype, integers give float64, as everywhere in scikit-learn.
        """
        check_is_fitted(self)
        with _input_errors():
            rows = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        return _apply(rows, self.translator_.forward, self.translator_.translate)

    def inverse_transform(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return target vectors [n, d_target] as source vectors [n, d_source]; otherwise as :meth:`transform`."""
        check_is_fitted(self)
        return _apply(_as_target(X), self.translator_.backward, self.translator_.invert)

    def score(self, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """Return the negative distance between the distributions of translated rows of ``X`` and of ``y``; 0 is best.

        The distance is the sliced Wasserstein distance between unit rows, divided by the mean standard deviation of
        ``y``. It needs no pairs, and a high score confirms nothing: a translator that permutes the rows of the right
        distribution scores well too. Evidence for a fit is in ``verdict_``.

        Args:
            X: [n_source, d_source], source vectors, preferably held out from the fit.
            y: [n_target, d_target], target vectors, unpaired.
        """
        rng = np.random.default_rng(0)
        translated, target = (unit_rows(_at_most(rows, rng)) for rows in (self.transform(X), _as_target(y)))
        if target.shape[1] != translated.shape[1]:
            raise InputError(f"y has {target.shape[1]} columns; {translated.shape[1]} are needed, as in fit.")
        spread = float(target.std(axis=0).mean()) or 1.0
        return -sliced_wasserstein(translated, target, directions=_DIRECTIONS, rng=rng) / spread

    @property
    def _n_features_out(self) -> int:
        return self.translator_.d_target

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer) and not isinstance(self.random_state, bool):
            return int(self.random_state)
        if self.random_state is not None and not isinstance(self.random_state, np.random.RandomState):
            raise InputError(
                f"random_state is {shown(self.random_state)}; an integer, a RandomState or None is needed."
            )
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags


def _apply(
    rows: npt.NDArray[Any], mapping: VectorMap, translate: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> npt.NDArray[Any]:
    # Translators refuse zero rows, which have no direction; maps that do not normalize rows can take them.
    has_lengths = isinstance(mapping, AffineMap) and not mapping.unit_in
    if has_lengths:
        return mapping(check_matrix(rows, "the vectors", allow_zero_rows=True)).astype(rows.dtype, copy=False)
    return translate(rows)


@contextmanager
def _input_errors() -> Iterator[None]:
    """Turn a `ValueError` of scikit-learn's checks into an `InputError`; its protocol asks for their `TypeError`."""
    try:
        yield
    except ValueError as error:
        # Some of these messages print the vectors, or a text among them.
        raise InputError(_CONTENT.sub("", str(error))) from None


def _is_one_column(y: Any) -> bool:
    try:
        return np.asarray(y).ndim == 1
    except ValueError:  # rows of different lengths
        return False


@contextmanager
def _label_advice(y: Any) -> Iterator[None]:
    """Add to an error of the data that a target with one value for each row may be labels."""
    try:
        yield
    except InputError as error:
        if _is_one_column(y):
            error.remedy = f"{error.remedy} {_LABELS}".strip()
        raise


def _as_target(y: npt.ArrayLike, **settings: Any) -> npt.NDArray[Any]:
    with _input_errors():
        rows = check_array(y, dtype=FLOAT_DTYPES, ensure_2d=False, input_name="y", **settings)
    return np.asarray(rows[:, None] if rows.ndim == 1 else rows)


def _at_most(rows: npt.NDArray[Any], rng: np.random.Generator) -> FloatArray:
    picked = rows if len(rows) <= _SCORED_ROWS else rows[rng.choice(len(rows), _SCORED_ROWS, replace=False)]
    return np.asarray(picked, np.float64)
