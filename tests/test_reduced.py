"""Spaces that were reduced by PCA: vectors of another model are noticed, and other topics of the same model are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import interlingua as il
from command_line import Run
from interlingua.cli.demo_data import DemoData, read_packaged
from interlingua.core import structure
from interlingua.core.arrays import unit_rows
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator, load
from interlingua.identification import find_mixture, looks_reduced

Rows = npt.NDArray[np.float32]
DEMO = Path(__file__).parents[1] / "demo" / "data"


@pytest.fixture(scope="module")
def demo() -> DemoData:
    """Two models, each reduced to 128 columns."""
    return read_packaged()


@pytest.fixture(scope="module")
def profile(demo: DemoData) -> SpaceProfile:
    return SpaceProfile.of(demo.source)


@pytest.fixture(scope="module")
def alignment(demo: DemoData) -> il.Alignment:
    pairs = np.stack([np.arange(300)] * 2, axis=1)
    source, target = (np.concatenate([side[:300], rows[:2_700]]) for side, rows in (
        (demo.source_eval, demo.source), (demo.target_eval, demo.target)
    ))  # fmt: skip
    return il.align(source, target, pairs=pairs, method="procrustes")


@pytest.fixture(scope="module")
def translator(alignment: il.Alignment, tmp_path_factory: pytest.TempPathFactory) -> Translator:
    return load(alignment.translator(force=True).save(tmp_path_factory.mktemp("reduced") / "translator"))


def test_only_reduced_vectors_look_reduced(demo: DemoData) -> None:
    assert looks_reduced(demo.source)
    assert looks_reduced(demo.target[:1_000])
    for side in ("source", "target"):
        whole = np.load(DEMO / f"{side}.npy")[:4_000].astype(np.float32)
        assert not looks_reduced(whole)
        assert SpaceProfile.of(whole).check == "axes"
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((128, 128)))[0]
    assert not looks_reduced(demo.source @ turn)


def test_vectors_of_another_model_that_were_reduced_too_are_refused(translator: Translator, demo: DemoData) -> None:
    own, other = demo.source_eval[300:], demo.target_eval[300:]
    assert len(translator.translate(own)) == len(own)
    with pytest.raises(il.SpaceMismatchError, match="they are hardly nearer to its clusters than by chance"):
        translator.translate(other)
    with pytest.raises(il.SpaceMismatchError, match="They look like the other space of this translator"):
        translator.translate(other)
    with pytest.raises(il.SpaceMismatchError, match="are not of the space that this translator was fitted on"):
        translator.invert(own)
    assert len(translator.translate(other, allow_foreign=True)) == len(other)


@pytest.mark.filterwarnings("error")
def test_fifty_rows_of_another_model_are_warned_of(translator: Translator, demo: DemoData) -> None:
    translator.translate(demo.source_eval[300:350])
    with pytest.raises(il.SpaceMismatchWarning, match="or another model made them"):
        translator.translate(demo.target_eval[300:350])


def test_changed_vectors_are_refused(profile: SpaceProfile, demo: DemoData) -> None:
    rng, rows = np.random.default_rng(0), demo.source_eval[:256]
    changes = {
        "opposite": -rows,
        "rotated": rows @ np.linalg.qr(rng.standard_normal((128, 128)))[0],
        "permuted": rows[:, rng.permutation(128)],
    }
    assert {name for name, changed in changes.items() if not profile.compare(changed).foreign} == set()
    # Random signs keep every variance. Scores of 1 and more, which some reach by chance, are only warned of.
    signed = [profile.compare(rows * rng.choice([-1, 1], 128)) for _ in range(20)]
    assert all(one.doubtful for one in signed)
    assert sum(one.foreign for one in signed) > 10


def test_other_topics_of_the_same_model_are_not_refused(demo: DemoData) -> None:
    assert demo.sections is not None
    sections = np.array(demo.sections["source"])
    names, counts = np.unique(sections, return_counts=True)
    common = [name for name, n in zip(names, counts, strict=True) if n >= 60]
    assert len(common) >= 10
    fitted = np.isin(sections, common[::2])
    profile = SpaceProfile.of(demo.source[fitted])
    assert profile.check == "clusters"
    compared = [profile.compare(demo.source[sections == name]) for name in common[1::2]]
    assert not any(one.foreign for one in compared)
    # The variance along the axes, which decides elsewhere, says nothing about the model here.
    assert all(np.isnan(one.spectrum) for one in compared)


def test_few_rows_leave_the_check_blind_and_the_card_says_so(demo: DemoData, alignment: il.Alignment) -> None:
    few = SpaceProfile.of(demo.target[:300])
    assert (few.check, few.clusters.shape) == ("none", (0, 0))
    assert not few.compare(demo.source_eval[:256]).foreign
    assert alignment.card()["reduced"] == {"source": "clusters", "target": "clusters"}
    assert "The source vectors look reduced by PCA." in alignment.summary()
    fit = il.align(demo.source[:300], demo.target[:300], pairs=[[i, i] for i in range(300)], method="procrustes")
    assert "that were reduced too are not noticed" in " ".join(fit.summary().split())


def test_a_saved_translator_keeps_the_clusters(translator: Translator, alignment: il.Alignment, tmp_path: Path) -> None:
    for kept, own in zip(translator.profiles, alignment.profiles, strict=True):
        assert np.array_equal(kept.clusters, own.clusters)
    text = (translator.save(tmp_path / "t") / "README.md").read_text()
    assert (
        "- The source vectors look reduced by PCA. This matters only if the translator could be given, by mistake"
        in text
    )


@pytest.mark.parametrize("copies", [1, 8, 100])
def test_no_row_can_be_read_from_the_clusters(copies: int) -> None:
    rng = np.random.default_rng(0)
    centers = unit_rows(rng.standard_normal((19, 64)).astype(np.float32))
    groups = np.repeat(centers[:16], 14, axis=0) + 0.01 * rng.standard_normal((224, 64)).astype(np.float32)
    outliers = centers[16:]
    rows = np.concatenate([groups, np.repeat(outliers, copies, axis=0)])
    for order in (rng.permutation(len(rows)) for _ in range(20)):
        found = structure.find_clusters(rows[order])
        cosines = unit_rows(found[:, :-1]) @ outliers.T
        assert len(found) > 5
        assert cosines.max() < 0.9
        assert (found[:, -1] * 227 >= 5.5).all()


def test_few_different_rows_have_no_clusters() -> None:
    rows = np.repeat(np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32), 80, axis=0)
    assert structure.find_clusters(rows).shape == (0, 9)


def test_a_score_of_structure_is_zero_for_unrelated_rows_and_high_for_own() -> None:
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((20, 16))

    def draw(n: int) -> Rows:
        noise = 0.3 * rng.standard_normal((n, 16))
        return np.asarray(unit_rows(centers[rng.integers(20, size=n)] + noise), np.float32)

    clusters = structure.find_clusters(draw(2_000))
    assert structure.structure_score(draw(200), clusters) > 5
    unrelated = [
        structure.structure_score(rng.standard_normal((200, 16)).astype(np.float32), clusters) for _ in range(20)
    ]
    assert abs(np.mean(unrelated)) < 1
    assert structure.structure_score(-draw(200), clusters) < -2


def test_one_reduced_model_is_no_mixture_and_the_commands_say_that_two_are_not_noticed(
    run: Run, demo: DemoData, tmp_path: Path
) -> None:
    assert find_mixture(demo.source) is None
    np.save(tmp_path / "mixed.npy", np.concatenate([demo.source[:1_500], demo.target[:500]]))
    for command in ("plan", "identify"):
        ran = run(command, tmp_path / "mixed.npy", "--json")
        assert ran.json["reduced"] is True
        assert (
            "it is not known whether the collection holds two such models" in run(command, tmp_path / "mixed.npy").out
        )
    np.save(tmp_path / "whole.npy", np.load(DEMO / "source.npy")[:500])
    assert run("plan", tmp_path / "whole.npy", "--json").json["reduced"] is False


def test_a_reduced_model_of_two_topics_is_no_mixture_and_one_with_an_unreduced_model_is(demo: DemoData) -> None:
    assert demo.sections is not None
    sections = np.array(demo.sections["source"])
    for name in np.unique(sections)[:5]:
        assert (
            find_mixture(np.concatenate([demo.source[sections == name], demo.source[sections != name][:1_500]])) is None
        )
    turned = demo.target[:800] @ np.linalg.qr(np.random.default_rng(0).standard_normal((128, 128)))[0]
    found = find_mixture(np.concatenate([demo.source[:3_000], turned]))
    assert found is not None
    assert len(np.setxor1d(found.rows, np.arange(3_000, 3_800))) < 190
