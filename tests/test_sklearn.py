"""The scikit-learn face: the protocol kept, nothing claimed that was not found."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.estimator_checks import parametrize_with_checks

import interlingua as il
from interlingua.aligners.paired import Ridge
from interlingua.core.alignment import AlignmentError, Status
from interlingua.core.errors import InputError
from interlingua.sklearn import EmbeddingTranslator
from planted import encode, rotation, topics

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def data() -> tuple[Array, Array, Array]:
    """Texts seen by both encoders, and the pairs among them."""
    rng = np.random.default_rng(0)
    content = topics(500, 12, rng)
    return encode(content, 16, rng), encode(content, 12, rng), np.stack([np.arange(400)] * 2, axis=1)


@pytest.fixture(scope="module")
def fitted(data: tuple[Array, Array, Array]) -> EmbeddingTranslator:
    return EmbeddingTranslator(on_failure="raise").fit(data[0], data[1], pairs=data[2])


# The samples of these checks are tiny, so every fit says that it failed: by the very warning scikit-learn knows.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [EmbeddingTranslator(), EmbeddingTranslator(random_state=None, on_failure="ignore")]
)
def test_the_scikit_learn_protocol_is_kept(estimator: Any, check: Any) -> None:
    check(estimator)


def test_a_fit_is_an_alignment(fitted: EmbeddingTranslator, data: tuple[Array, Array, Array]) -> None:
    alignment = il.align(data[0], data[1], pairs=data[2])
    assert np.array_equal(fitted.transform(data[0]), alignment.translator().translate(data[0]))
    assert np.array_equal(fitted.inverse_transform(data[1]), alignment.translator().invert(data[1]))
    assert fitted.verdict_ == alignment.verdict == fitted.alignment_.verdict
    assert fitted.verdict_.status is Status.ALIGNED
    assert fitted.n_features_in_ == 16


def test_settings_reach_the_alignment(data: tuple[Array, Array, Array]) -> None:
    x, y, pairs = data
    estimator = EmbeddingTranslator("procrustes", random_state=5, max_rows=300).fit(x, y, pairs=pairs)
    assert (estimator.alignment_.method, estimator.alignment_.seed) == ("procrustes", 5)
    assert estimator.alignment_.settings["max_rows"] == 300
    drawn = [EmbeddingTranslator(random_state=np.random.RandomState(3))._seed() for _ in range(2)]  # noqa: NPY002
    assert drawn[0] == drawn[1]


def test_parameters_are_stored_unchanged_and_cloned() -> None:
    estimator = EmbeddingTranslator(
        "ridge", random_state=None, max_rows=None, on_failure="ignore", settings={"alpha": 2.0}
    )
    assert clone(estimator).get_params() == estimator.get_params()
    assert estimator.get_params() == {
        "method": "ridge",
        "random_state": None,
        "max_rows": None,
        "on_failure": "ignore",
        "settings": {"alpha": 2.0},
    }


def test_the_unpaired_solver_takes_samples_of_different_sizes() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((150, 8)), rng.standard_normal((220, 9))
    estimator = EmbeddingTranslator(on_failure="ignore").fit(x, y)
    assert estimator.alignment_.method == "linear"
    assert estimator.transform(x).shape == (150, 9)
    assert estimator.inverse_transform(y).shape == (220, 8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_keep_their_dtype(fitted: EmbeddingTranslator, data: tuple[Array, Array, Array], dtype: Any) -> None:
    assert fitted.transform(data[0].astype(dtype)).dtype == dtype
    assert fitted.inverse_transform(data[1].astype(dtype)).dtype == dtype


def test_no_row_depends_on_another(fitted: EmbeddingTranslator, data: tuple[Array, Array, Array]) -> None:
    whole = fitted.transform(data[0])
    assert np.concatenate([fitted.transform(row[None]) for row in data[0][:20]]) == pytest.approx(whole[:20], abs=1e-5)
    assert fitted.transform(data[0][::-1]) == pytest.approx(whole[::-1], abs=1e-5)


def test_output_columns_have_names(fitted: EmbeddingTranslator) -> None:
    assert list(fitted.get_feature_names_out()) == [f"embeddingtranslator{i}" for i in range(12)]


def test_pipelines_carry_a_target_of_another_size(rng: np.random.Generator) -> None:
    pipeline = make_pipeline(Normalizer(), EmbeddingTranslator(on_failure="ignore"))
    pipeline.fit(rng.standard_normal((50, 6)), rng.standard_normal((80, 4)))
    assert pipeline.transform(rng.standard_normal((3, 6))).shape == (3, 4)


def test_a_failure_is_raised_warned_of_or_ignored_as_asked(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((50, 6)), rng.standard_normal((80, 4))
    with pytest.raises(AlignmentError, match="source has 50 rows; without pairs at least 100 are needed") as caught:
        EmbeddingTranslator(on_failure="raise").fit(x, y)
    assert str(caught.value).endswith("or keep the translator with on_failure='warn'.")
    assert "force" not in str(caught.value)
    with pytest.warns(ConvergenceWarning, match="The fit failed .*source has 50 rows; .*nothing confirms"):
        EmbeddingTranslator().fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator = EmbeddingTranslator(on_failure="ignore").fit(x, y)
    assert estimator.verdict_.status is Status.FAILED
    assert estimator.verdict_.score == 0
    assert estimator.alignment_.method == "principal-axes"


def test_small_samples_are_matched_by_principal_axes(rng: np.random.Generator) -> None:
    """Principal axes and their skewness are all that few rows hold; where they are clear, they are followed."""
    shape = rng.gamma(0.5, size=(90, 4)) * [8, 4, 2, 1]
    turn = rotation(4, 4, rng)
    y = 3 * shape @ turn + 5
    estimator = EmbeddingTranslator(on_failure="ignore").fit(shape, y)
    assert estimator.transform(shape) == pytest.approx(y, abs=1e-2)
    assert estimator.inverse_transform(y) == pytest.approx(shape, abs=1e-2)
    assert estimator.transform(np.zeros((1, 4))) == pytest.approx(np.full((1, 4), 5), abs=1e-2)
    assert estimator.score(shape, y) == pytest.approx(0, abs=0.01)


def test_the_fallback_replaces_auto_without_pairs_only(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((50, 6)), rng.standard_normal((50, 6))
    with pytest.raises(InputError, match="source has 50 rows; without pairs at least 100"):
        EmbeddingTranslator("linear").fit(x, y)
    with pytest.raises(InputError, match="source has 50 rows; without pairs at least 100"):
        EmbeddingTranslator().fit(x, y, pairs=[[0, 0]])


def test_the_score_falls_as_the_clouds_part(fitted: EmbeddingTranslator, data: tuple[Array, Array, Array]) -> None:
    x, y, _ = data
    good, turned, collapsed = (fitted.score(*pair) for pair in ((x[400:], y[:400]), (x, -y), (x[:1], y)))
    assert -0.5 < good < 0
    assert turned < good
    assert collapsed < good
    assert fitted.score(x, y) == fitted.score(x, y)


def test_the_score_cannot_tell_pairs_apart(fitted: EmbeddingTranslator, data: tuple[Array, Array, Array]) -> None:
    x, y, _ = data
    assert fitted.score(x, y) == pytest.approx(fitted.score(x, y[::-1]))


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({"on_failure": "cry"}, {}, "on_failure is 'cry'; choose from raise, warn, ignore"),
        ({"method": "magic"}, {}, "There is no method 'magic'"),
        ({"random_state": -1, "method": "identity"}, {}, "seed is -1"),
        ({"max_rows": -1, "method": "identity"}, {}, "max_rows is -1"),
        ({"settings": 5}, {}, "settings is 5; a mapping of names to values is needed"),
        ({"settings": {"round": 5}, "method": "linear"}, {}, r"unknown keyword 'round'. Did you mean rounds\?"),
        ({"settings": {"seed": 5}, "method": "linear"}, {}, "settings holds seed, which is an argument of align"),
        ({}, {"y": None}, "EmbeddingTranslator requires y to be passed, but the target y is None"),
    ],
)
def test_wrong_data_and_parameters_are_refused(
    settings: dict[str, Any], arguments: dict[str, Any], message: str, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((120, 8))
    with pytest.raises(InputError, match=message):
        EmbeddingTranslator(**settings).fit(**{"X": x, "y": x, **arguments})


def test_a_score_against_another_width_is_refused(
    fitted: EmbeddingTranslator, data: tuple[Array, Array, Array]
) -> None:
    with pytest.raises(InputError, match="y has 16 columns; 12 are needed, as in fit"):
        fitted.score(data[0], data[0])


def test_nothing_is_translated_before_a_fit(data: tuple[Array, Array, Array]) -> None:
    for method in ("transform", "inverse_transform"):
        with pytest.raises(NotFittedError):
            getattr(EmbeddingTranslator(), method)(data[0])


def test_messages_hold_no_vector_and_no_text(fitted: EmbeddingTranslator, data: tuple[Array, Array, Array]) -> None:
    with pytest.raises(InputError, match=r"Expected 2D array, got 1D array instead\.\nReshape your data") as caught:
        fitted.transform(data[0][0])
    assert "array=" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(InputError, match="could not convert string to float$"):
        EmbeddingTranslator().fit(data[0], [["a private text"] * 12] * 3)


def test_settings_of_the_method_and_objects_with_a_fit_reach_the_alignment(data: tuple[Array, Array, Array]) -> None:
    x, y, pairs = data
    estimator = EmbeddingTranslator("ridge", settings={"alpha": 7.0}).fit(x, y, pairs=pairs)
    assert estimator.alignment_.settings["alpha"] == 7.0
    own = EmbeddingTranslator(Ridge(alpha=7.0)).fit(x, y, pairs=pairs)
    assert np.array_equal(own.transform(x), estimator.transform(x))
    assert clone(own).method.alpha == 7.0


def test_a_fitted_estimator_is_pickled_with_its_verdict(
    fitted: EmbeddingTranslator, data: tuple[Array, Array, Array]
) -> None:
    pipeline = make_pipeline(Normalizer(), fitted)
    again = pickle.loads(pickle.dumps(pipeline))
    assert np.array_equal(again.transform(data[0]), pipeline.transform(data[0]))
    assert again[-1].verdict_ == fitted.verdict_
    assert again[-1].alignment_.card() == fitted.alignment_.card()


def test_a_translator_saved_as_safetensors_is_a_fitted_estimator_again(
    fitted: EmbeddingTranslator, data: tuple[Array, Array, Array], tmp_path: Path
) -> None:
    folder = fitted.translator_.save(tmp_path / "translator")
    again = EmbeddingTranslator.from_translator(il.load(folder))
    assert np.array_equal(again.transform(data[0]), fitted.transform(data[0]))
    assert np.array_equal(again.inverse_transform(data[1]), fitted.inverse_transform(data[1]))
    assert again.verdict_ == fitted.verdict_
    assert list(again.get_feature_names_out()) == list(fitted.get_feature_names_out())
    with pytest.raises(InputError, match="17 features, but EmbeddingTranslator is expecting 16"):
        again.transform(np.ones((2, 17)))


def test_what_is_no_saved_translator_is_refused(fitted: EmbeddingTranslator) -> None:
    with pytest.raises(InputError, match="translator is 5; a translator, as interlingua.load returns it"):
        EmbeddingTranslator.from_translator(5)  # type: ignore[arg-type]
    given = fitted.translator_
    bare = il.Translator(given.forward, given.backward, given.profiles, {})
    with pytest.raises(InputError, match="card has no verdict that can be read; fit again"):
        EmbeddingTranslator.from_translator(bare)


def test_output_is_a_data_frame_where_it_was_asked_for(
    fitted: EmbeddingTranslator, data: tuple[Array, Array, Array]
) -> None:
    pytest.importorskip("pandas")
    frame = clone(fitted).set_output(transform="pandas").fit(data[0], data[1], pairs=data[2]).transform(data[0][:3])
    assert list(frame.columns) == [f"embeddingtranslator{i}" for i in range(12)]
    assert np.array_equal(frame.to_numpy(), fitted.transform(data[0][:3]))


def test_known_pairs_are_routed_through_a_pipeline(data: tuple[Array, Array, Array]) -> None:
    x, y, pairs = data
    with config_context(enable_metadata_routing=True):
        step = EmbeddingTranslator("procrustes", on_failure="raise").set_fit_request(pairs=True)
        pipeline = make_pipeline(Normalizer(), step).fit(x, y, pairs=pairs)
    alone = EmbeddingTranslator("procrustes").fit(Normalizer().transform(x), y, pairs=pairs)
    assert np.array_equal(pipeline.transform(x), alone.transform(Normalizer().transform(x)))


def test_views_of_the_target_reach_the_fit_also_through_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    content = topics(320, 10, rng)
    x, y, view = (encode(content, d, rng, noise=0.3) for d in (14, 12, 16))
    x, y, views = x[:150], y[150:], {"other": view[150:]}
    settings = {"rounds": 0, "budget": 0}
    alone = EmbeddingTranslator(on_failure="ignore", settings=settings).fit(x, y, views=views)
    assert alone.alignment_.card()["settings"]["views"] == "other"
    with config_context(enable_metadata_routing=True):
        step = EmbeddingTranslator(on_failure="ignore", settings=settings).set_fit_request(views=True)
        pipeline = make_pipeline(Normalizer(), step).fit(x, y, views=views)
    assert pipeline[-1].alignment_.card()["settings"]["views"] == "other"
    with pytest.raises(InputError, match=r"views\[0\] has 170 rows and the target 100; a view has one row for each"):
        EmbeddingTranslator().fit(x, y[:100], views=list(views.values()))
    with pytest.raises(InputError, match="views"):
        EmbeddingTranslator().fit(x[:50], y, views=np.ones((3, 2, 2)))  # type: ignore[arg-type]
    # The fallback for few rows uses no views, so they are not ignored silently.
    with pytest.raises(InputError, match="source has 50 rows; without pairs at least 100"):
        EmbeddingTranslator().fit(x[:50], y, views=views)


def test_categories_of_both_sides_reach_the_fit_also_through_a_pipeline() -> None:
    rng = np.random.default_rng(0)
    content = topics(320, 10, rng)
    x, y = (encode(content, d, rng, noise=0.3) for d in (14, 12))
    x, y = x[:150], y[150:]
    labels = (["a", "b"] * 75, ["b", "a"] * 85)
    settings = {"rounds": 0, "budget": 0}
    alone = EmbeddingTranslator(on_failure="ignore", settings=settings).fit(x, y, labels=labels)
    assert any(item.name == "category_agreement" for item in alone.verdict_.evidence)
    with config_context(enable_metadata_routing=True):
        step = EmbeddingTranslator(on_failure="ignore", settings=settings).set_fit_request(labels=True)
        pipeline = make_pipeline(Normalizer(), step).fit(x, y, labels=labels)
    assert any(item.name == "category_agreement" for item in pipeline[-1].verdict_.evidence)
    with pytest.raises(InputError, match="labels"):
        EmbeddingTranslator().fit(x, y, labels=(labels[0][:-1], labels[1]))


@pytest.mark.parametrize("method", ["auto", "linear"])
def test_labels_as_the_target_are_named(method: str) -> None:
    """In a pipeline the labels of the last step arrive as y, which is the target space."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 8))
    labels = np.where(x[:, 0] > 0, 1, 0)
    advice = r"y is the target space, .* If these are labels .*FrozenEstimator\(EmbeddingTranslator\.from_translator"
    estimator = EmbeddingTranslator(method=method)
    if method == "auto":
        with pytest.warns(ConvergenceWarning, match=advice):
            estimator.fit(x, labels)
    else:
        with pytest.raises(InputError, match=f"target: .* rows are all zeros.*{advice}"):
            estimator.fit(x, labels)


def test_labels_that_are_no_numbers_are_named() -> None:
    x = np.random.default_rng(0).standard_normal((200, 8))
    with pytest.raises(InputError, match=r"If these are labels .*FrozenEstimator"):
        EmbeddingTranslator().fit(x, np.where(x[:, 0] > 0, "yes", "no"))


def test_a_fitted_translator_serves_in_a_pipeline_that_learns_labels() -> None:
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x, turn = rng.standard_normal((300, 8)), np.linalg.qr(rng.standard_normal((8, 8)))[0]
    fitted = EmbeddingTranslator().fit(x, x @ turn, pairs=[[i, i] for i in range(100)])
    step = FrozenEstimator(EmbeddingTranslator.from_translator(fitted.translator_))
    labels = x[:, 0] > 0
    assert make_pipeline(step, LogisticRegression()).fit(x, labels).score(x, labels) > 0.9
