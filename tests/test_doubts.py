"""What an audit says where its result cannot be relied on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from interlingua.core.alignment import Status
from interlingua.evaluation import Interval
from interlingua.leakage._doubts import doubt, partial_doubt
from interlingua.leakage._headline import headline
from interlingua.leakage._order import signs_of_another_order
from interlingua.leakage.audit import audit
from interlingua.leakage.calibration import CalibrationError
from interlingua.leakage.defenses import NoDefense, Noise
from interlingua.leakage.findings import Audit, Leak
from interlingua.leakage.inputs import GroundTruth, KnownRecords, Labels, PublicCorpus, SecondLeak
from interlingua.leakage.kinds import KindFinding
from interlingua.leakage.severity import Severity, severity
from interlingua.report._statements import check_limit, unchecked_reason
from interlingua.report.annex import annex_sections, owasp_paragraph
from interlingua.report.audit import conclusion, write_audit
from test_audit import PROVENANCE, N, World


@pytest.fixture(scope="module")
def world() -> World:
    return World(np.random.default_rng(0))


@pytest.fixture(scope="module")
def estimated(world: World) -> Audit:
    return world.audit()


def far(found: Audit) -> Audit:
    """The findings with translations that are not similar to the public texts, as of contents of another kind."""
    near = replace(found.retrieval, nearest=Interval(0.27), public=Interval(0.62), control=Interval(0.19))
    return replace(found, retrieval=near, word_findings=found.words.without_errors(), foreign=(True,))


def test_an_estimate_of_translations_unlike_the_public_texts_is_not_relied_on(estimated: Audit, tmp_path: Path) -> None:
    assert estimated.retrieval.is_near
    assert doubt(estimated) == ""
    result = far(estimated)
    said = conclusion(result)
    assert "The fit was made on other vectors or with other public vectors, so its verdict is no evidence" in said
    assert "The mean similarity of the translations to the nearest public text is 0.27; it is 0.62 among" in said
    assert said.startswith(f"What can be read from these {N:,} vectors is not known. By estimate, without")
    assert "Protect the vectors" not in said
    assert "plausible" not in said
    assert severity(result).level == "not shown"
    assert severity(result).reasons[0].startswith("what was found cannot be relied on: the headline figure is")
    page = write_audit(tmp_path / "a.html", result, PROVENANCE, fail_above=1).read_text("utf-8")
    assert "The check does not pass" in page
    assert "plausible" not in page
    assert owasp_paragraph(result, PROVENANCE).startswith("There is nothing to cite: ")
    sections = {section.heading: " ".join(section.lines) for section in annex_sections(result, PROVENANCE)}
    assert "cannot be relied on" in sections["How sure this is"]
    # Where similarity is that of the corpus, a fit on other vectors is named and its estimate stands.
    other = replace(estimated, foreign=(True,))
    assert "so its verdict is no evidence about these" in conclusion(other)
    assert severity(other).level in ("high", "critical")
    assert "by fits that were made on other vectors" in severity(other).reasons[0]


@pytest.mark.parametrize(("nearest", "is_near"), [(0.46, True), (0.44, False), (0.27, False), (float("nan"), False)])
def test_similarity_is_judged_between_its_control_and_that_of_public_texts(
    estimated: Audit, nearest: float, is_near: bool
) -> None:
    found = replace(estimated.retrieval, nearest=Interval(nearest), public=Interval(0.62), control=Interval(0.19))
    assert found.is_near is is_near


def test_true_texts_in_another_order_take_severity_and_citation_away(world: World) -> None:
    shuffled = [world.texts[i] for i in np.random.default_rng(1).permutation(N)]
    # The second leak has the audited rows under another model.
    second = SecondLeak([world.fit()], world.vectors, world.texts[:N])
    result = world.audit(truth=GroundTruth(shuffled), second=second)
    (said,) = result.unordered.values()
    assert said.startswith("The true texts are probably in another order than the vectors: the nearest")
    assert doubt(result) == said
    assert said in conclusion(result)
    assert owasp_paragraph(result, PROVENANCE).startswith("There is nothing to cite: ")
    sections = {section.heading: " ".join(section.lines) for section in annex_sections(result, PROVENANCE)}
    assert "is measured against" not in sections["How sure this is"]
    assert "cannot be relied on" in sections["How sure this is"]
    assert result.linkage is not None
    assert result.linkage.measured is None
    assert f"How many links are right was not measured. {said}" in result.omitted
    alone = world.audit(truth=GroundTruth(shuffled))
    assert severity(alone).level == "not shown"


def test_true_texts_of_a_second_leak_in_another_order_measure_no_links(world: World) -> None:
    shuffled = [world.texts[i] for i in np.random.default_rng(1).permutation(N)]
    truth = GroundTruth(world.texts[:N])
    result = world.audit(truth=truth, second=SecondLeak([world.fit()], world.vectors, shuffled))
    assert result.linkage is not None
    assert result.linkage.measured is None
    assert any(
        said.startswith("How many links are right was not measured. The true texts of") for said in result.omitted
    )
    right = world.audit(truth=truth, second=SecondLeak([world.fit()], world.vectors, world.texts[:N]))
    assert right.linkage is not None
    assert right.linkage.measured is not None
    assert right.omitted == ()


def check_nothing_passes(result: Audit, folder: Path) -> None:
    """A figure of 0 that comes from truth in another order is neither a low severity nor below any limit."""
    assert severity(result).level == "not shown"
    assert doubt(result) in conclusion(result)
    assert owasp_paragraph(result, PROVENANCE).startswith("There is nothing to cite: ")
    page = write_audit(folder / "a.html", result, PROVENANCE, fail_above=1).read_text("utf-8")
    assert "Limit of 100% for the headline figure: cannot be checked: the figure cannot be relied on" in page


def check_estimate_stands(result: Audit, said: str, folder: Path) -> None:
    """An estimate of words does not need the true contents that are in another order, and no limit passes."""
    assert (result.leak.basis, doubt(result)) == ("estimated", "")
    assert result.leak.value == result.words.leak_rate.value > 0.5
    assert severity(result).level == "high"
    assert said in conclusion(result)
    page = write_audit(folder / "a.html", result, PROVENANCE, fail_above=1).read_text("utf-8")
    assert (
        "Limit of 100% for the headline figure: cannot be checked: a part of what was measured cannot be relied on"
        in page
    )


def test_labels_in_another_order_are_said(world: World, tmp_path: Path) -> None:
    labels = Labels.of_corpus(world.corpus.vectors, world.labels[N:])
    mixed = [world.labels[i] for i in np.random.default_rng(1).permutation(N)]
    shuffled = world.audit(labels=labels, truth=GroundTruth(labels=mixed))
    said = shuffled.unordered["labels"]
    assert "true labels may be in another order than the vectors, because the nearest neighbors" in said
    assert said.endswith("Check that the true labels are in the order of the vectors.")
    check_estimate_stands(shuffled, said, tmp_path)
    turned = Labels(labels.names, np.roll(labels.vectors, 5, axis=0))
    rolled = world.audit(labels=turned, truth=GroundTruth(labels=world.labels[:N]))
    said = rolled.unordered["labels"]
    assert said.endswith("Check that the vectors of the labels are in the order of their names.")
    check_estimate_stands(rolled, said, tmp_path)
    right = world.audit(labels=labels, truth=GroundTruth(labels=world.labels[:N]))
    assert right.unordered == {}
    assert severity(right).level == "high"
    # A fit that failed is the reason why labels are at chance.
    failed = world.audit(world.fit(right=False), labels=turned, truth=GroundTruth(labels=world.labels[:N]))
    assert failed.unordered == {}
    # Too few rows to tell whether neighbors share labels.
    few = [*mixed[:150], *([("none",)] * (N - 150))]
    assert world.audit(labels=labels, truth=GroundTruth(labels=few)).unordered == {}


@pytest.mark.parametrize("foreign", [False, True])
def test_true_vectors_in_another_order_are_said_of_every_fit(world: World, foreign: bool, tmp_path: Path) -> None:
    mixed = world.known[:N][np.random.default_rng(1).permutation(N)]
    result = replace(world.audit(truth=GroundTruth(vectors=mixed)), foreign=(foreign,))
    said = result.unordered["vectors"]
    assert said.startswith("The true vectors are probably in another order than the audited ones. The matrix")
    check_estimate_stands(result, said, tmp_path)
    unlike = replace(far(result), leak=Leak(0.0, "share of rows re-identified", "measured", N, "vectors"))
    assert doubt(unlike) == said
    check_nothing_passes(unlike, tmp_path)
    doubtful = replace(unlike, verdicts=("doubtful",))
    assert doubt(doubtful) == said
    part = world.known[:N].copy()
    part[: N // 10] = np.roll(part[: N // 10], 7, axis=0)
    assert "between 0% and 10% of the rows" in world.audit(truth=GroundTruth(vectors=part)).unordered["vectors"]


def test_a_figure_above_chance_is_the_least_that_is_read_where_texts_are_mixed_up(world: World, tmp_path: Path) -> None:
    part = world.texts[:N]
    part[: N // 10] = np.roll(part[: N // 10], 7).tolist()
    result = world.audit(truth=GroundTruth(part))
    assert list(result.unordered) == ["texts"]
    assert doubt(result) == ""
    assert result.unordered["texts"] in partial_doubt(result)
    assert severity(result).level == "high"
    assert owasp_paragraph(result, PROVENANCE).endswith(partial_doubt(result))
    assert check_limit(result, 0.99) == "unchecked"
    assert check_limit(result, 0.5) == "exceeded"
    medium = severity(replace(result, leak=replace(result.leak, value=0.05, high=None)))
    assert (medium.level, medium.reasons[1]) == (
        "medium", "a part of what was measured cannot be relied on and could raise the severity",
    )  # fmt: skip


def test_texts_in_another_order_leave_what_vectors_show(world: World) -> None:
    shuffled = [world.texts[i] for i in np.random.default_rng(1).permutation(N)]
    result = world.audit(truth=GroundTruth(shuffled, vectors=world.known[:N]))
    assert result.leak.source == "vectors"
    assert doubt(result) == ""
    assert severity(result).level == "high"
    cited = owasp_paragraph(result, PROVENANCE)
    assert "the headline figure is 99" in cited
    assert "or more was named" not in cited
    assert result.unordered["texts"] in cited


# A package of word lists reads its files by functions that are deprecated.
@pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")
def test_texts_in_another_order_measure_no_defense_no_curve_and_no_kind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One defense shows it as well as the whole suite does.
    for module in ("_defended", "_shares"):
        monkeypatch.setattr(f"interlingua.leakage.{module}.suite", lambda name, width: (NoDefense(), Noise(0.05)))
    shuffled = [world.texts[i] for i in np.random.default_rng(1).permutation(N)]
    result = world.audit(
        truth=GroundTruth(shuffled), defenses="quick", kinds=True, halvings=1,
        fit=lambda vectors, public, *, seed: world.fit(),
    )  # fmt: skip
    assert {score.decoded.basis for score in result.defenses if score.decoded} == {"estimated"}
    assert {point.basis for point in result.points} == {"estimated"}
    assert all(kind.right is None for kind in result.kinds)
    assert "Words of each kind, and words read with fewer rows or with a defense, are not compared" in result.omitted[0]
    baseline = result.defenses[0].decoded
    assert baseline is not None
    assert baseline.words.value > 0.8


def test_estimates_of_translations_unlike_the_public_texts_make_no_severity_critical(world: World) -> None:
    result = world.audit(truth=GroundTruth(vectors=world.known[:N]))
    name = KindFinding("name", Interval(0.3, 0.28, 0.32), Interval(0.01, 0.0, 0.02), None, 10, 20)
    result = replace(result, kinds=(name,), leak=Leak(0.9, "share of rows re-identified", "measured", N, "vectors"))
    near, unlike = result, far(result)
    assert severity(near).level == "critical"
    assert severity(unlike).level == "high"
    measured = replace(unlike, kinds=(replace(name, right=Interval(0.3, 0.28, 0.32)),))
    assert severity(measured).level == "critical"


def test_contents_in_another_order_leave_what_else_was_measured(world: World, tmp_path: Path) -> None:
    mixed = world.known[:N][np.random.default_rng(1).permutation(N)]
    result = world.audit(truth=GroundTruth(world.texts[:N], vectors=mixed))
    assert doubt(result) == ""
    assert result.unordered["vectors"] in conclusion(result)
    assert list(result.to_dict()["unordered"]) == ["vectors"]
    assert severity(result).level == "high"
    assert "least one correct word of probability 0.5 or more was named" in owasp_paragraph(result, PROVENANCE)
    sections = {section.heading: " ".join(section.lines) for section in annex_sections(result, PROVENANCE)}
    assert "A part of the measured figures cannot be relied on" in sections["How sure this is"]
    page = write_audit(tmp_path / "a.html", result, PROVENANCE, fail_above=1).read_text("utf-8")
    assert "cannot be checked: a part of what was measured cannot be relied on" in page
    assert severity(replace(result, leak=replace(result.leak, value=0.1, high=None))).level == "medium"
    little = replace(result, leak=replace(result.leak, value=0.01, high=None))
    assert severity(little).level == "not shown"
    assert severity(little).reasons[0].startswith("a part of what was measured cannot be relied on, and the headline")


def identities(world: World, *, of_each: int) -> tuple[PublicCorpus, Labels, list[tuple[str, ...]]]:
    """Public rows, a gallery of the audited rows, and whose each row is."""
    centers = world.known[: N // of_each]
    names = tuple(f"person {number}" for number in range(len(centers)))
    known: list[tuple[str, ...]] = [(name,) for name in names]
    return PublicCorpus.of_rows(world.known[N:]), Labels(names, centers), known * of_each


@pytest.mark.parametrize("of_each", [1, 4])
def test_identities_in_another_order_are_said(world: World, of_each: int, tmp_path: Path) -> None:
    public, gallery, known = identities(world, of_each=of_each)
    picked = np.tile(np.arange(N // of_each), of_each)
    noise = 0.05 * np.random.default_rng(2).standard_normal((N, world.vectors.shape[1]))
    vectors = world.vectors[picked] + noise.astype(np.float32)
    mixed = [known[i] for i in np.random.default_rng(1).permutation(N)]
    turned = Labels(gallery.names, np.roll(gallery.vectors, 5, axis=0))
    right = audit([world.fit()], vectors, public, labels=gallery, truth=GroundTruth(labels=known))
    assert doubt(right) == ""
    for labels, truth in ((gallery, mixed), (turned, known)):
        result = audit([world.fit()], vectors, public, labels=labels, truth=GroundTruth(labels=truth))
        result = replace(result, foreign=(False,))
        assert "Check that the" in doubt(result)
        check_nothing_passes(result, tmp_path)


def test_links_and_members_keep_a_severity_where_the_headline_figure_has_none(world: World) -> None:
    mixed = world.known[:N][np.random.default_rng(1).permutation(N)]
    second = SecondLeak([world.fit()], world.vectors, world.texts[:N])
    result = far(world.audit(truth=GroundTruth(vectors=mixed), second=second))
    found = severity(result)
    assert found.level == "high"
    assert found.reasons[0] == "rows can be linked with a second leak"
    assert found.reasons[1].endswith("cannot be relied on and does not count")


def test_failed_fits_do_not_count_where_others_are_used(estimated: Audit) -> None:
    mixed = replace(estimated, verdicts=("aligned", "failed"), foreign=(True, False))
    assert "The fit that was used was made on other vectors or with other public vectors, so its" in conclusion(mixed)
    assert "by fits that were made on other vectors or with other public vectors" in severity(mixed).reasons[0]
    own = replace(estimated, verdicts=("aligned", "failed"), foreign=(False, True))
    assert "no evidence about these" not in conclusion(own)
    assert "by fits that were made" not in severity(own).reasons[0]


def test_the_advice_depends_on_whose_fits_were_used(estimated: Audit) -> None:
    assert "Fit these vectors themselves with public texts of their kind, or give true" in doubt(far(estimated))
    own = replace(far(estimated), foreign=(False,))
    assert doubt(own).endswith("too high. Give more public texts of their kind, or true texts to measure with.")


@pytest.mark.parametrize(("rows", "sign"), [(300, ""), (600, "between 30% and 40% of the rows")])
def test_parts_of_few_rows_are_not_compared(rows: int, sign: str) -> None:
    # Chance decides which words are shared by the neighbors of 30 rows; here the texts of a part are shuffled.
    rng = np.random.default_rng(0)
    of = rng.integers(10, size=rows)
    vectors = rng.standard_normal((10, 24))[of] + 0.1 * rng.standard_normal((rows, 24))
    held = np.eye(10)[of]
    part = slice(3 * rows // 10, 4 * rows // 10)
    held[part] = np.roll(held[part], rng.integers(1, 10), axis=1)
    assert signs_of_another_order(vectors, held)[: len(sign)] == sign
    assert bool(signs_of_another_order(vectors, held)) == bool(sign)


def test_short_texts_in_order_are_not_refused() -> None:
    # Four words a text, half of them of its topic; parts of 30 of such rows were taken for another order.
    for seed in (30, 36):
        rng = np.random.default_rng(seed)
        of = rng.integers(10, size=300)
        vectors = rng.standard_normal((10, 24))[of] + 0.5 * rng.standard_normal((300, 24))
        held = np.zeros((300, 200))
        for row, topic in enumerate(of):
            for _ in range(4):
                held[row, topic * 20 + rng.integers(20) if rng.random() < 0.65 else rng.integers(200)] = 1
        assert signs_of_another_order(vectors.astype(np.float32), held) == ""


def test_little_that_was_measured_of_an_attack_that_did_not_work_is_no_low_severity(
    world: World, tmp_path: Path
) -> None:
    measured = world.audit(truth=GroundTruth(texts=world.texts[:N]))
    assert measured.leak.basis == "measured"
    assert doubt(measured) == ""
    leak = replace(measured.leak, value=0.01, high=None)
    little = replace(measured, leak=leak)
    assert severity(little).level == "low"
    unlike = replace(little, retrieval=far(measured).retrieval)
    alignment = replace(little.alignment, verdict=replace(little.alignment.verdict, status=Status.FAILED))
    failed = replace(little, alignment=alignment, verdicts=("failed",))
    for result, why in ((unlike, "nearest public text is 0.27"), (failed, "all fits failed. So this attack")):
        assert severity(result).level == "not shown"
        assert why in conclusion(result)
        assert "does not show that the vectors reveal nothing" in conclusion(result)
        assert unchecked_reason(result, 0.5) == "the figure cannot be relied on"
        assert owasp_paragraph(result, PROVENANCE).startswith("There is nothing to cite: ")
    # What was read all the same is leaked, and passes no limit that it does not exceed.
    for result in (failed, unlike):
        much = replace(result, leak=replace(leak, value=0.5, high=None))
        assert doubt(much) == ""
        assert severity(much).level in ("high", "critical")
        assert "So this attack did not work as it should, and another one can read more." in conclusion(much)
        assert unchecked_reason(much, 0.5) == "a part of what was measured cannot be relied on"
    cited = owasp_paragraph(replace(failed, leak=replace(leak, value=0.5, high=None)), PROVENANCE)
    assert "all fits failed. So this attack did not work as it should" in cited


def test_rows_without_words_say_nothing_of_the_order() -> None:
    rng = np.random.default_rng(5)
    topics = rng.integers(0, 20, 1_000)
    vectors = np.eye(20, dtype=np.float32)[topics] + 0.1 * rng.standard_normal((1_000, 20)).astype(np.float32)
    contents = np.eye(20)[topics]
    contents[450:] = 0
    assert signs_of_another_order(vectors, contents) == ""
    contents[:450] = np.roll(contents[:450], 1, axis=0)
    assert "share no more words with it than random rows" in signs_of_another_order(vectors, contents)
    contents[45:] = 0
    assert signs_of_another_order(vectors, contents) == ""


def test_what_was_measured_of_labels_or_vectors_does_not_hide_an_estimate_of_words(world: World) -> None:
    # The vectors of the labels say nothing, and every row has one of two labels, as in a task without a signal.
    rng = np.random.default_rng(3)
    labels = Labels(("even", "odd"), rng.standard_normal((2, world.known.shape[1])))
    coin = [(labels.names[side],) for side in rng.integers(2, size=N)]
    result = world.audit(labels=labels, truth=GroundTruth(labels=coin))
    assert result.label_findings is not None
    assert result.label_findings.measured is not None
    assert result.label_findings.measured.translated.top1.value < 0.6
    assert result.leak == Leak(
        result.words.leak_rate.value,
        "share of documents with a correct word of probability 0.5 or more",
        "estimated",
        N,
    )
    assert severity(result).level == "high"
    # True texts take the place of the estimate.
    both = world.audit(labels=labels, truth=GroundTruth(world.texts[:N], labels=coin))
    assert both.leak.basis == "measured"
    # Translations that are unlike the public texts have no estimate to rely on.
    failed = world.audit(world.fit(right=False), labels=labels, truth=GroundTruth(labels=coin))
    assert failed.leak.basis == "measured"
    assert severity(failed).level == "not shown"


def test_far_fewer_right_words_than_by_estimate_are_said(estimated: Audit, world: World) -> None:
    mixed = world.texts[:N]
    moved = np.random.default_rng(4).permutation(N)[: N * 3 // 4]
    for row, other in zip(moved, np.roll(moved, 1), strict=True):
        mixed[row] = world.texts[other]
    result = world.audit(truth=GroundTruth(mixed))
    assert result.unordered == {}
    error = CalibrationError(lowest=-0.1, median=0.0, highest=0.1, cases=20, corpora=6, pairs=3)
    words = replace(result.words, leak_rate=replace(result.words.leak_rate, error=error))
    result = replace(result, word_findings=words)
    assert "If some of the true texts belong to other vectors, the measured figure is too low" in partial_doubt(result)
    assert partial_doubt(result) in conclusion(result)
    assert owasp_paragraph(result, PROVENANCE).endswith(partial_doubt(result))
    assert unchecked_reason(result, 0.5) == "a part of what was measured cannot be relied on"
    right = world.audit(truth=GroundTruth(world.texts[:N]))
    words = replace(right.words, leak_rate=replace(right.words.leak_rate, error=error))
    assert partial_doubt(replace(right, word_findings=words)) == ""


def test_members_that_are_exchanged_pass_no_limit(world: World) -> None:
    records = KnownRecords(world.known[N : N + 300], world.known[:300])
    result = world.audit(records=records)
    assert result.membership is not None
    assert result.membership.is_reversed
    assert "Nonmembers look more like members than the members do" in conclusion(result)
    assert unchecked_reason(result, 0.5) == "a part of what was measured cannot be relied on"
    low = replace(result, leak=replace(result.leak, value=0.0, high=None))
    assert severity(low).level == "not shown"


def test_members_and_identities_decide_a_medium_severity(world: World) -> None:
    result = world.audit(
        truth=GroundTruth(world.texts[:N]), records=KnownRecords(world.known[:300], world.known[N : N + 600])
    )
    low = replace(result, leak=replace(result.leak, value=0.0, high=None))
    assert low.membership is not None
    few = replace(low.membership, found={0.01: Interval(0.05, 0.03, 0.07), 0.001: None})
    assert severity(replace(low, membership=few)).level == "medium"
    assert severity(replace(low, membership=few)).reasons == (
        "at least 3.0% of the members are found at 1% false alarms",
    )
    none = replace(low.membership, found={0.01: Interval(0.02, 0.01, 0.03), 0.001: None})
    assert severity(replace(low, membership=none)).level == "low"
    # Members count as much where the headline figure is in doubt; the figure itself does not.
    assert low.words.measured is not None
    at_chance = replace(low.words.measured.leak_rate, control=low.words.measured.leak_rate.interval)
    words = replace(low.words, measured=replace(low.words.measured, leak_rate=at_chance))
    for leak in (0.0, 0.01):
        doubtful = replace(
            low, leak=replace(low.leak, value=leak, high=None), word_findings=words,
            unordered={"texts": "The true texts are mixed up."},
        )  # fmt: skip
        assert doubt(doubtful) == "The true texts are mixed up."
        assert severity(replace(doubtful, membership=few)).level == "medium"
        assert severity(replace(doubtful, membership=few)).reasons == (
            "at least 3.0% of the members are found at 1% false alarms",
            f"the headline figure is {leak:.1%}, which cannot be relied on and does not count",
        )
        assert severity(replace(doubtful, membership=none)).level == "not shown"


def test_an_uncertain_figure_is_not_low_and_passes_no_limit_within_its_interval(world: World) -> None:
    result = world.audit(truth=GroundTruth(world.texts[:N]))
    few = replace(result, leak=replace(result.leak, value=0.0, high=0.138, rows=24))
    assert partial_doubt(few) == ""
    assert severity(few) == Severity(
        "not shown", ("the headline figure is 0.0%, measured on 24 rows, and its interval reaches 13.8%",)
    )
    assert check_limit(few, 0.1) == "unchecked"
    assert unchecked_reason(few, 0.1) == "the figure is measured on 24 rows, and its interval reaches 13.8%"
    assert check_limit(few, 0.2) == "kept"


def test_a_wrong_fit_does_not_spoil_the_translations_of_a_right_one(world: World) -> None:
    wrong = world.fit(right=False)
    wrong = replace(wrong, verdict=replace(wrong.verdict, status=Status.DOUBTFUL))
    alone, both = world.audit(), world.audit(world.fit(), wrong)
    assert both.leak == alone.leak
    assert both.omitted == (
        "1 of 2 fits was not used, because its translations are far less similar to the public texts than those of "
        "another fit.",
    )
    assert world.audit(world.fit(), world.fit(seed=1)).omitted == ()
    assert "(verdict: aligned)" in owasp_paragraph(both, PROVENANCE)
    # The better verdict does not help a fit whose translations are unlike the public texts.
    right, aligned = replace(world.fit(), verdict=wrong.verdict), replace(wrong, verdict=world.fit().verdict)
    turned = world.audit(right, aligned)
    assert turned.unlike == (True, False)
    assert "(verdict: doubtful)" in owasp_paragraph(turned, PROVENANCE)


def test_fits_none_of_which_is_near_are_all_used(world: World) -> None:
    failed = world.audit(*(world.fit(right=False, seed=seed) for seed in (2, 3)))
    assert failed.omitted == ()
    assert failed.unlike == ()


def test_a_second_leak_with_a_wrong_fit_passes_no_limit(world: World) -> None:
    wrong = world.fit(right=False)
    wrong = replace(wrong, verdict=replace(wrong.verdict, status=Status.DOUBTFUL))
    result = world.audit(truth=GroundTruth(world.texts[:N]), second=SecondLeak([wrong], world.vectors))
    assert "Links with the second leak may be missing: its translations are not similar to the public" in partial_doubt(
        result
    )
    assert check_limit(result, 1.0) == "unchecked"
    low = replace(result, leak=replace(result.leak, value=0.0, high=0.001))
    assert severity(low).level == "not shown"


def test_members_are_no_nonmembers(world: World) -> None:
    members = world.known[:300]
    apart = world.audit(records=KnownRecords(members, world.known[N : N + 300])).membership
    result = world.audit(
        records=KnownRecords(members, np.concatenate([world.known[200:300], world.known[N : N + 300]]))
    )
    assert apart is not None
    assert result.membership is not None
    assert result.membership.to_dict() == apart.to_dict()
    assert "100 nonmembers that are members too were left out." in result.omitted
    # Public rows that are members are not drawn as nonmembers either.
    vectors = np.concatenate([members, world.corpus.vectors[300:]])
    public = replace(world.corpus, vectors=vectors, texts=[*world.texts[:300], *world.corpus.texts[300:]])
    drawn = audit([world.fit()], world.vectors, public, records=KnownRecords(members)).membership
    alone = world.audit(records=KnownRecords(members)).membership
    assert drawn is not None
    assert alone is not None
    assert drawn.auc.value == pytest.approx(alone.auc.value, abs=0.06)


def test_a_figure_at_chance_is_no_severity(world: World) -> None:
    result = world.audit(truth=GroundTruth(vectors=world.known[:N]))
    assert result.reidentified is not None
    top1 = replace(result.reidentified.top1, interval=Interval(0.3, 0.28, 0.32), control=Interval(0.29, 0.27, 0.31))
    found = replace(
        far(result), reidentified=replace(result.reidentified, top1=top1), membership=None,
        leak=Leak(0.3, "share of rows re-identified", "measured", N, "vectors", 0.32),
    )  # fmt: skip
    assert doubt(found) == ""
    assert severity(found).level == "not shown"
    assert severity(found).reasons[0].endswith("which is no more than by chance and does not count")


def test_labels_that_are_recognized_and_not_the_most_frequent_are_medium(world: World) -> None:
    labels = Labels.of_corpus(world.corpus.vectors, world.labels[N:])
    result = world.audit(labels=labels, truth=GroundTruth(labels=world.labels[:N]))
    low = replace(result, leak=replace(result.leak, value=0.0, high=None))
    assert severity(low).level == "medium"
    assert severity(low).reasons[0].startswith("labels are recognized with a mean area under the ROC curve of")


def test_members_and_nonmembers_of_two_kinds_pass_no_limit(world: World) -> None:
    rng = np.random.default_rng(0)
    others = rng.standard_normal((600, world.known.shape[1])).astype(np.float32)
    result = world.audit(records=KnownRecords(world.known[:300], others))
    assert result.membership is not None
    assert not result.membership.same_kind
    assert "Members and nonmembers differ in kind, so it is not known whether members are" in partial_doubt(result)
    assert check_limit(result, 1.0) == "unchecked"


def test_identities_that_are_found_and_not_verified_are_said(world: World) -> None:
    public, gallery, known = identities(world, of_each=4)
    vectors = world.vectors[np.tile(np.arange(N // 4), 4)]
    vectors = vectors + 0.05 * np.random.default_rng(2).standard_normal(vectors.shape).astype(np.float32)
    result = audit([world.fit()], vectors, public, labels=gallery, truth=GroundTruth(labels=known))
    assert result.identities is not None
    mixed = replace(
        result.identities, rank1=Interval(0.02, 0.015, 0.025), rank1_control=Interval(0.001, 0.0, 0.002),
        equal_error_rate=Interval(0.5, 0.49, 0.51),
    )  # fmt: skip
    found = replace(result, identities=mixed, leak=replace(result.leak, value=0.019, high=None))
    assert "The nearest identity is right for 2.0% of the rows, more than by chance" in partial_doubt(found)
    assert severity(found).level == "not shown"
    # The headline figure is 0 where one identity is more frequent than identities are recognized.
    frequent = replace(
        result.identities, rank1=Interval(0.7, 0.68, 0.72), rank1_control=Interval(0.9, 0.88, 0.92),
        equal_error_rate=Interval(0.3, 0.28, 0.32),
    )  # fmt: skip
    found = replace(result, identities=frequent, leak=replace(result.leak, value=0.0, high=None))
    assert severity(found).level == "medium"
    assert severity(found).reasons == ("identities are verified with an equal error rate of 30%",)
    assert "That is little, but the severity is medium: identities are verified with an equal" in conclusion(found)


@pytest.mark.parametrize("foreign", [False, True])
def test_identities_of_one_row_each_in_another_order_are_said(world: World, foreign: bool) -> None:
    public, gallery, known = identities(world, of_each=1)
    turned = known[5:] + known[:5]
    result = audit([world.fit()], world.vectors, public, labels=gallery, truth=GroundTruth(labels=turned))
    result = replace(result, foreign=(foreign,))
    why = "the similarity of the translations to the public rows" if foreign else "the verdict of the fit"
    assert f"The share of identities recognized contradicts {why}: they are recognized no more often than by" in doubt(
        result
    )
    assert severity(result).level == "not shown"
    beside = audit(
        [world.fit()], world.vectors, public, labels=gallery,
        truth=GroundTruth(labels=turned, vectors=world.known[:N]),
    )  # fmt: skip
    assert "they are recognized no more often than by chance" in partial_doubt(beside)
    assert unchecked_reason(beside, 0.5) == "a part of what was measured cannot be relied on"


def test_the_annex_says_what_the_headline_figure_is_of(world: World, estimated: Audit) -> None:
    result = replace(estimated, leak=Leak(0.93, "share of rows re-identified", "measured", N, "vectors"))
    sections = {section.heading: " ".join(section.lines) for section in annex_sections(result, PROVENANCE)}
    sure = sections["How sure this is"]
    assert "The headline figure is measured against the true contents" in sure
    assert "The figures of words are estimates." in sure
    assert "the headline figure is 93.0%: share of rows re-identified. Neither the texts nor" in owasp_paragraph(
        result, PROVENANCE
    )
    assert "estimated without" in owasp_paragraph(estimated, PROVENANCE)


def test_the_citation_counts_the_rows_of_the_headline_figure_and_says_what_is_in_doubt(world: World) -> None:
    public, gallery, known = identities(world, of_each=1)
    some = [row if position < N // 2 else () for position, row in enumerate(known)]
    truth = GroundTruth(labels=some)
    result = audit([world.fit()], world.vectors, public, labels=gallery, truth=truth)
    assert result.identities is not None
    assert result.identities.probes == N // 2
    assert (result.leak.source, result.leak.rows) == ("labels", N // 2)
    assert f"Measured on {N // 2:,} rows, the" in owasp_paragraph(result, PROVENANCE)
    vectors = audit([world.fit()], world.vectors, public, truth=GroundTruth(vectors=world.known[:N]))
    assert (vectors.leak.source, vectors.leak.rows) == ("vectors", N)
    assert f"Measured on {N:,} rows, the" in owasp_paragraph(vectors, PROVENANCE)
    near = replace(result.retrieval, nearest=result.retrieval.control)
    weak = replace(result, retrieval=near)
    assert partial_doubt(weak).endswith("So this attack did not work as it should, and another one can read more.")
    assert owasp_paragraph(weak, PROVENANCE).endswith(partial_doubt(weak))


def test_a_figure_of_labels_is_of_the_rows_with_a_label(world: World) -> None:
    names = ("first", "second")
    labels = Labels(names, world.known[:2])
    known = [(names[row % 2],) if row < 100 else () for row in range(N)]
    measured = world.audit(labels=labels, truth=GroundTruth(labels=known))
    vectors = world.audit(truth=GroundTruth(vectors=world.known[:N]))
    of_labels = headline(True, N, None, measured.retrieval, measured.label_findings, None, None)
    assert of_labels.rows == 100
    assert headline(True, N, None, vectors.retrieval, None, vectors.reidentified, None).rows == N


def test_failed_fits_are_named_once_in_a_conclusion(world: World) -> None:
    result = world.audit(world.fit(right=False), truth=GroundTruth(world.texts[:N]))
    assert not result.has_usable_fit
    for value in (0.01, 0.3):
        said = conclusion(replace(result, leak=replace(result.leak, value=value, high=None)))
        assert said.startswith(f"Measured against the true contents of {N:,} rows, the headline figure is")
        assert said.count("all fits failed") == 1
        assert said.count("failed") == 1
    cited = owasp_paragraph(replace(result, leak=replace(result.leak, value=0.3, high=None)), PROVENANCE)
    assert cited.count("all fits failed") == 1


def test_a_figure_without_a_value_is_no_headline(estimated: Audit, world: World) -> None:
    measured = world.audit(truth=GroundTruth(world.texts[:N], vectors=world.known[:N]))
    assert measured.words.measured is not None
    rate = replace(measured.words.measured.leak_rate, interval=Interval(float("nan")))
    words = replace(measured.words, measured=replace(measured.words.measured, leak_rate=rate))
    found = headline(True, N, words, measured.retrieval, None, measured.reidentified, None)
    assert measured.reidentified is not None
    assert found.value == measured.reidentified.top1.value
