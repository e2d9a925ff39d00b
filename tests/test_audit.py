from __future__ import annotations

import json
import re
import stat
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from interlingua import align
from interlingua.core.alignment import Alignment, Diagnosis, Evidence, Status
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.core.maps import VectorMap
from interlingua.evaluation import Interval
from interlingua.identification import Candidate, Identification
from interlingua.leakage._doubts import doubt, partial_doubt
from interlingua.leakage._predictions import attacked_rows, read_words
from interlingua.leakage.audit import audit
from interlingua.leakage.calibration import BASES, ERRORS, MIN_CASES, CalibrationError
from interlingua.leakage.defenses import NoDefense, Noise
from interlingua.leakage.findings import Audit, Estimate
from interlingua.leakage.input_checks import check_inputs
from interlingua.leakage.inputs import GroundTruth, KnownRecords, Labels, PublicCorpus, SecondLeak
from interlingua.leakage.inversion.keywords import held_out_rows
from interlingua.leakage.inversion.words import Vocabulary
from interlingua.leakage.row_curves import RowPoint, Side
from interlingua.leakage.severity import severity
from interlingua.report._statements import error_range
from interlingua.report.annex import annex_sections, owasp_paragraph
from interlingua.report.audit import Provenance, conclusion, figure_rows, model_statement, write_audit, write_audit_json

N, D, TOPICS = 1_200, 24, 12
WORDS = tuple(f"{a}{b}" for a in ("alpha", "beta", "gamma", "delta") for b in ("one", "two", "three"))
PROVENANCE = Provenance("R. <Owner>", "2026-01-02T03:04:05+00:00", "vectors.npy", "public.txt", "an encoder")


class World:
    """Texts of two words each in two spaces, an exact rotation apart: a public half and a half to audit."""

    def __init__(self, rng: np.random.Generator) -> None:
        topics = np.stack([rng.permutation(TOPICS)[:2] for _ in range(2 * N)])
        centers = rng.standard_normal((TOPICS, D))
        known = centers[topics].sum(axis=1) + 0.3 * rng.standard_normal((2 * N, D))
        rotation = np.linalg.qr(rng.standard_normal((D, D)))[0]
        self.known = unit_rows(known.astype(np.float32))
        self.secret = np.asarray(self.known @ rotation, np.float32)
        self.texts = [f"{WORDS[a]} {WORDS[b]}" for a, b in topics]
        self.labels = [(WORDS[a], WORDS[b]) for a, b in topics]
        vocabulary = Vocabulary.of(self.texts, max_share=0.5)
        self.corpus = PublicCorpus(self.known[N:], self.texts[N:], vocabulary=vocabulary)
        self.vectors = self.secret[:N]
        # The verdict of a fit takes longest.
        self.fit = cache(self._fit)

    def _fit(self, *, right: bool = True, seed: int = 0) -> Alignment:
        if right:
            return align(self.secret, self.known, pairs=[[i, i] for i in range(400)], method="ridge", seed=seed)
        return align(self.secret, self.known, method="random-rotation", seed=seed)

    def audit(self, *fits: Alignment, **settings: Any) -> Audit:
        return audit(fits or [self.fit()], self.vectors, self.corpus, **settings)


class Rolled:
    """A map that gives each row the translation of another."""

    def __init__(self, inner: VectorMap) -> None:
        self.inner = inner
        self.d_in, self.d_out = inner.d_in, inner.d_out

    def __call__(self, x: Any) -> Any:
        return np.roll(self.inner(x), 1, axis=0)


class Offset:
    """A map whose unit outputs are all moved by one offset [1, d]."""

    def __init__(self, inner: VectorMap, offset: Any) -> None:
        self.inner, self.offset = inner, offset
        self.d_in, self.d_out = inner.d_in, inner.d_out

    def __call__(self, x: Any) -> Any:
        return unit_rows(self.inner(x)) + self.offset


@pytest.fixture(scope="module")
def world() -> World:
    return World(np.random.default_rng(0))


@pytest.fixture(scope="module")
def found(world: World) -> Audit:
    labels = Labels.of_corpus(world.corpus.vectors, world.labels[N:])
    truth = GroundTruth(world.texts[:N], world.labels[:N], world.known[:N])
    return world.audit(labels=labels, truth=truth)


def test_estimates_come_close_to_what_the_truth_measures(found: Audit) -> None:
    assert found.words.measured is not None
    leak = found.words.measured.leak_rate.value
    assert leak > 0.9
    assert found.words.leak_rate.value == pytest.approx(leak, abs=0.1)
    assert found.words.precision.value == pytest.approx(found.words.measured.precision.value, abs=0.1)
    assert found.words.leak_rate.control.value < 0.7 * leak
    assert 0 < found.words.precision.control.value < 0.5 * found.words.precision.value


def test_labels_are_inferred_and_rows_re_identified(found: Audit) -> None:
    assert found.label_findings is not None
    assert found.label_findings.measured is not None
    assert found.label_findings.measured.translated.top1.value > 0.9
    assert sum(found.label_findings.shares.values()) == pytest.approx(1)
    assert found.reidentified is not None
    assert found.reidentified.top1.value > 0.99
    assert found.leak.basis == "measured"
    assert found.leak.value > 0.99


def test_without_a_truth_the_leak_is_the_calibrated_estimate(world: World) -> None:
    result = world.audit()
    assert result.leak.basis == "estimated"
    assert result.leak.value == result.words.leak_rate.value > 0.8
    assert result.words.measured is None
    assert result.retrieval.nearest.value > result.retrieval.control.value


def test_an_offset_common_to_all_translations_changes_no_finding(world: World) -> None:
    # 240 held-out public texts calibrate the decoder, and 1,200 translations are audited, in blocks.
    right = world.fit()
    offset = 0.6 * unit_rows(np.random.default_rng(7).standard_normal((1, D)).astype(np.float32))
    moved = replace(right, forward=Offset(right.forward, offset))
    truth = GroundTruth(texts=world.texts[:N])
    plain, shifted = (world.audit(fit, truth=truth).words for fit in (right, moved))
    assert plain.measured is not None
    assert shifted.measured is not None
    for name in ("leak_rate", "precision"):
        assert getattr(shifted.measured, name).value == pytest.approx(getattr(plain.measured, name).value, abs=0.01)
    assert shifted.leak_rate.value == pytest.approx(plain.leak_rate.value, abs=0.02)


def test_estimates_fall_where_fits_disagree(world: World) -> None:
    right = world.fit()
    wrong = replace(right, forward=Rolled(right.forward), seed=1)  # wrong, and as similar to the public texts
    alone, both = world.audit(right), world.audit(right, wrong)
    assert alone.agreement is None
    assert both.agreement is not None
    assert abs(both.agreement) < 0.5
    assert both.words.leak_rate.value < 0.7 * alone.words.leak_rate.value


def test_an_estimate_says_about_and_names_the_errors_of_such_estimates(world: World, tmp_path: Path) -> None:
    result = world.audit()
    unknown = replace(result.words.leak_rate, error=None)
    without = replace(result, word_findings=replace(result.words, leak_rate=unknown))
    assert without.words.leak_rate.plausible is None
    assert "about" in conclusion(without)
    assert "the errors of such estimates were not measured, and it is probably too high" in conclusion(without)
    error = CalibrationError(-0.2, -0.05, 0.1, 20, 7, 3)
    leak_rate = replace(result.words.leak_rate, error=error, interval=Interval(0.5, 0.48, 0.52))
    carried = conclusion(replace(result, word_findings=replace(result.words, leak_rate=leak_rate)))
    assert "about 50% of the documents (30% to 60%, by the errors of such estimates in 20 cases" in carried
    assert "at least" not in carried
    page = write_audit(tmp_path / "a.html", result, PROVENANCE).read_text("utf-8")
    assert f"about {result.leak.value:.0%}</span>" in page


def test_an_aligned_stand_in_calibrates(world: World) -> None:
    noise = np.random.default_rng(3).standard_normal(world.corpus.vectors.shape) / 8
    stand_in = np.asarray(world.corpus.vectors + noise, np.float32)
    pairs = [[i, i] for i in range(400)]
    fit = align(stand_in, world.corpus.vectors, pairs=pairs, method="ridge")
    corpus = replace(world.corpus, stand_in=stand_in, stand_in_fit=fit)
    result = audit([world.fit()], world.vectors, corpus)
    assert "translated without pairs" in result.words.calibration
    assert result.words.leak_rate.error == ERRORS.get("unpaired", {}).get("leak_rate")


def test_estimates_carry_the_errors_of_their_calibration(world: World, tmp_path: Path) -> None:
    result = world.audit()
    for estimate in (result.words.leak_rate, result.words.precision):
        assert estimate.plausible is not None
        assert (estimate.plausible.low or 0) <= estimate.value <= 1
    page = write_audit(tmp_path / "a.html", result, PROVENANCE).read_text("utf-8")
    assert "plausible:" in page
    error = ERRORS["corpus"]["leak_rate"]
    assert f"In {error.cases} cases with known truth" in page
    assert error.certainty in page
    assert f"documents was {error_range(error)}, and the measured precision between 0.45 and 0.08 below" in page
    found = result.to_dict()["words"]
    assert found["precision"]["calibration_error"] == ERRORS["corpus"]["precision"].to_dict()


def test_a_stand_in_is_used_only_if_its_own_fit_is_aligned(world: World) -> None:
    stand_in = np.random.default_rng(3).standard_normal(world.corpus.vectors.shape).astype(np.float32)
    wrong = align(stand_in, world.corpus.vectors, method="random-rotation")
    corpus = replace(world.corpus, stand_in=stand_in, stand_in_fit=wrong)
    assert not corpus.stand_in_translates
    result = audit([world.fit()], world.vectors, corpus)
    assert result.words.leak_rate.error == ERRORS["corpus"]["leak_rate"]
    assert "the stand-in was not used, because its own fit without pairs is failed" in result.words.calibration
    assert corpus.fit_decoder().calibrated_with == "corpus"
    assert corpus.align_stand_in() is corpus
    with pytest.raises(InputError, match="stand_in_fit is a fit of the stand-in; give the vectors"):
        replace(corpus, stand_in=None)


def test_the_errors_of_estimates_are_those_of_the_records() -> None:
    folder = Path(__file__).parents[1] / "benchmarks" / "results"
    lines = (folder / "leakage-calibration.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    cases = Counter(record["calibrated_with"] for record in records if set(record["verdicts"]) != {"failed"})
    assert {basis for basis in BASES if cases[basis] >= MIN_CASES} == set(ERRORS)
    for basis, errors in ERRORS.items():
        assert {figure: CalibrationError.from_records(records, figure, basis) for figure in errors} == errors


def test_failed_fits_are_left_out_of_the_errors_of_estimates() -> None:
    def record(measured: float, *verdicts: str) -> dict[str, Any]:
        words = {"leak_rate": {"value": [0.5, 0.4, 0.6]}, "measured": {"leak_rate": {"value": [measured, 0, 1]}}}
        case = {"corpus": "a", "victim": "b", "known": "c", "calibrated_with": "unpaired"}
        return {**case, "verdicts": verdicts, "words": words}

    records = [record(0.4, "aligned", "failed"), record(0.45, "doubtful"), record(0.55, "aligned"), record(0, "failed")]
    error = CalibrationError.from_records(records, "leak_rate", "unpaired")
    assert error == CalibrationError(-0.1, -0.05, 0.05, 3, 1, 1)
    assert error.plausible(0.97) == Interval(0.97, 0.87, 1.0)
    assert replace(error, highest=-0.02).plausible(0.5) == Interval(0.5, 0.4, 0.5)
    # No word was recovered, so there is no precision of words.
    assert Estimate(Interval(float("nan")), Interval(0.0), error).plausible is None
    unused = record(0.9, "aligned") | {"calibrated_with": "corpus"}
    assert CalibrationError.from_records([*records, unused], "leak_rate", "unpaired") == error
    with pytest.raises(InputError, match="No record holds an estimate calibrated with unpaired"):
        CalibrationError.from_records([unused], "leak_rate", "unpaired")
    with pytest.raises(InputError, match=r"A record lacks what benchmarks/calibration.py writes \(KeyError"):
        CalibrationError.from_records([{"corpus": "a"}], "leak_rate", "corpus")
    assert not error.is_bound
    many = replace(error, cases=19, corpora=6, pairs=3, held=0.95)
    assert many.is_bound
    less: tuple[dict[str, Any], ...] = ({"cases": 18}, {"corpora": 5}, {"pairs": 2}, {"held": 0.94})
    assert not any(replace(many, **few).is_bound for few in less)
    tested = (
        "The lower end of the range was tested on collections of texts that were left out when it was computed: in "
        "{} cases ({}) the true figure was not below it. "
    )
    expected = "So it is expected to hold for 95% of similar collections."
    assert replace(many, cases=40, held=1.0).certainty == tested.format("40 of 40", "100.0%") + expected
    barely = replace(many, cases=33, held=0.97).certainty
    assert (
        barely
        == tested.format("32 of 33", "97.0%") + f"{expected} One more exception would have been too many to say so."
    )
    # 18 of 19 cases are fewer than 95%, which the sentence must show.
    assert replace(many, held=0.947).certainty == tested.format("18 of 19", "94.7%") + (
        "This is too little to rely on the lower end: it must hold in 95% of at least 19 cases, of 6 collections of "
        "texts and 3 pairs of encoders or more."
    )


def test_errors_of_estimates_are_said_without_signs() -> None:
    error = CalibrationError(-0.235, -0.065, 0.015, cases=33, corpora=9, pairs=9)
    assert error_range(error) == "between 0.23 below and 0.01 above the estimate"
    assert error_range(replace(error, highest=-0.083)) == "between 0.23 and 0.08 below the estimate"
    assert error_range(replace(error, lowest=0.02, highest=0.1)) == "between 0.02 and 0.10 above the estimate"


def test_a_bound_is_checked_on_corpora_that_were_left_out() -> None:
    def record(corpus: str, measured: float) -> dict[str, Any]:
        words = {"precision": {"value": [0.5]}, "measured": {"precision": {"value": [measured]}}}
        case = {"corpus": corpus, "victim": "b", "known": "c", "calibrated_with": "unpaired"}
        return {**case, "verdicts": ["aligned"], "words": words}

    def held(*records: dict[str, Any]) -> float:
        return CalibrationError.from_records(records, "precision", "unpaired").held

    # The worst case of each corpus is below what the others allow, unless another corpus has one as bad.
    alone = record("a", 0.3), record("a", 0.5), record("b", 0.45), record("c", 0.6)
    assert held(*alone) == 0.75
    assert held(*alone, record("c", 0.3)) == 1.0
    # Estimates that were too low hold as a bound by themselves.
    assert held(record("a", 0.6), record("b", 0.7)) == 1.0
    assert held(record("a", 0.5), record("a", 0.5)) == 0.0


def test_the_model_is_named_where_it_is_known_and_what_that_means(found: Audit, tmp_path: Path) -> None:
    assert found.model is not None
    assert not found.identified
    assert "The model was not identified. No known model has 24 columns" in model_statement(found)
    candidates = (Candidate("MiniLM <x>", 0.9, {}), Candidate("BGE", 0.1, {}))
    model = replace(found.model, model="MiniLM <x>", reason="It reaches 0.9.", candidates=candidates)
    known = replace(found, model=model)
    assert "MiniLM <x> (similarity 0.90; runner-up: BGE 0.10; 0 is chance" in model_statement(known)
    assert "; a model is named if it has 0." in model_statement(known)
    assert known.identified
    assert "needs no translation: texts can be embedded with it" in model_statement(known)
    rows = replace(known, word_findings=None)
    assert "needs no translation: records can be embedded with it" in model_statement(rows)
    page = write_audit(tmp_path / "a.html", known, PROVENANCE).read_text("utf-8")
    assert "model probably MiniLM &lt;x&gt;" in page
    assert known.to_dict()["model"] == {"name": "MiniLM <x>", "reason": "It reaches 0.9."}
    assert "too few rows" in model_statement(replace(found, model=None))


def test_each_defense_shows_what_is_still_read_and_the_first_is_the_baseline(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = (NoDefense(), Noise(0.05), Noise(2.0))
    monkeypatch.setattr("interlingua.leakage._defended.suite", lambda name, width: suite)
    labels = Labels.of_corpus(world.corpus.vectors, world.labels[N:])
    truth = GroundTruth(world.texts[:N], world.labels[:N])
    steps: list[dict[str, Any]] = []
    result = world.audit(labels=labels, truth=truth, defenses="quick", on_step=steps.append)
    shown = [step for step in steps if step["step"] == "defense"]
    assert [step["name"] for step in shown] == ["no defense", "noise 0.05", "noise 2"]
    assert ["seconds_left" in step for step in shown] == [False, False, True]
    assert 0 < shown[2]["seconds_left"] < 60
    by_name = {score.name: score.decoded for score in result.defenses}
    assert result.defenses[0].finding == "baseline"
    baseline, noisy = by_name["no defense"], by_name["noise 2"]
    assert baseline is not None
    assert noisy is not None
    assert baseline.basis == "measured"
    assert result.words.measured is not None
    assert baseline.words.value == pytest.approx(result.words.measured.leak_rate.value, abs=0.02)
    assert baseline.labels is not None
    assert baseline.labels.value > 0.9
    assert noisy.words.value < 0.5 * baseline.words.value
    page = write_audit(tmp_path / "a.html", result, PROVENANCE).read_text("utf-8")
    assert result.defenses[1].finding == "still read"
    for name in ("words", "labels", "retrieval"):
        assert getattr(baseline, name).value > getattr(noisy, name).value
    assert noisy.retrieval_control is not None
    assert "Similar text found" in page
    assert 'id="tradeoff' in page or "Leak against search quality" in page
    assert "re-identified" not in page[page.index("Would a defense") :].lower()
    assert "No defense" in page
    assert "Word named" in page
    assert 'class="finding baseline"' in page


def test_bars_and_redactions_are_printed(found: Audit, tmp_path: Path) -> None:
    page = write_audit(tmp_path / "a.html", found, PROVENANCE).read_text("utf-8")
    printed = page[page.rindex("@media print") : page.index("</style>")]
    for part in (".redacted", ".shares rect", "print-color-adjust: exact"):
        assert part in printed


def test_the_report_says_how_to_repeat_the_audit(found: Audit, tmp_path: Path) -> None:
    provenance = replace(
        PROVENANCE, command="interlingua audit 'a b.npy' --seed 3", inputs={"a b.npy": "0f" * 32}, seeds=(3, 4)
    )
    page = write_audit(tmp_path / "a.html", found, provenance).read_text("utf-8")
    for part in ("interlingua audit &#39;a b.npy&#39; --seed 3", "SHA-256 of a b.npy", "0f" * 32, "3, 4", "an encoder"):
        assert part in page
    path = write_audit_json(tmp_path / "a.json", {"provenance": provenance.to_dict(), "n": float("nan")})
    assert json.loads(path.read_text("utf-8"))["n"] is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failed_fit_beside_one_that_worked_is_left_out(world: World) -> None:
    failed = world.fit(right=False)
    assert failed.verdict.status is Status.FAILED
    both = world.audit(failed, world.fit())
    assert both.verdicts == ("aligned", "failed")
    assert both.has_usable_fit
    assert both.leak == world.audit().leak


def test_a_failed_attack_is_no_proof_of_safety(world: World, tmp_path: Path) -> None:
    result = world.audit(world.fit(right=False), defenses="quick")
    assert not result.has_usable_fit
    assert (result.leak.value, result.leak.basis) == (0.0, "attack failed")
    assert result.defenses == ()
    assert "did not work" in conclusion(result)
    page = write_audit(tmp_path / "a.html", result, PROVENANCE, fail_above=0.1).read_text("utf-8")
    assert "no proof of safety" in page
    assert "cannot be checked: the attack failed, so a small figure is no proof of safety. The check does not" in page


def test_reference_values_near_zero_are_shown_with_one_digit(found: Audit, tmp_path: Path) -> None:
    first = Evidence("transport_excess", 21.3, -0.00294, 5.0, True, "Rows lie closer.", null_meaning="random starts")
    other = replace(first, name="cycle", null=0.679)
    verdict = replace(found.alignment.verdict, reasons=(str(first), "As it was.", str(other)), evidence=(first, other))
    result = replace(found, alignment=replace(found.alignment, verdict=verdict))
    page = write_audit(tmp_path / "a.html", result, PROVENANCE).read_text("utf-8")
    lines = (
        "transport excess 21.3 (needs at least 5; random starts about -0.003)",
        "As it was.",
        "starts about 0.679)",
    )
    places = [page.index(line) for line in lines]
    assert places == sorted(places)
    assert "0.00294" not in page


FEW = Diagnosis("few rows", "The source has 500 distinct rows.", "Give more rows.", 0.5)


def test_a_failed_attack_names_likely_causes_of_its_best_fit(world: World, tmp_path: Path) -> None:
    fit = world.fit(right=False)

    def said(fit: Alignment, **changes: Any) -> tuple[str, str]:
        result = replace(world.audit(fit), **changes)
        page = write_audit(tmp_path / "a.html", result, PROVENANCE).read_text("utf-8")
        annex = " ".join(line for section in annex_sections(result, PROVENANCE) for line in section.lines)
        return " ".join(page.split()), annex

    cause = "Likely cause, few rows: The source has 500 distinct rows. Give more rows."
    for text in said(replace(fit, diagnoses=(FEW,))):
        assert cause in text
    for text in said(replace(fit, diagnoses=())):
        assert "No likely cause of the failure was identified." in text
    # A control is not diagnosed, a fit that worked has no cause, and that of other vectors is none of these.
    worked = replace(world.fit(), diagnoses=(FEW,))
    for texts in (said(fit), said(worked), said(replace(fit, diagnoses=(FEW,)), foreign=(True,))):
        assert not any("ikely cause" in text for text in texts)


def test_a_failed_fit_with_a_truth_is_measured_all_the_same(world: World) -> None:
    result = world.audit(world.fit(right=False), truth=GroundTruth(vectors=world.known[:N]))
    assert result.leak.basis == "measured"
    said = "By their own verdicts, all fits failed. So this attack did not work"
    assert said in conclusion(result)
    assert said in conclusion(replace(result, foreign=(True,)))


def test_equal_inputs_give_equal_findings(world: World) -> None:
    fit = world.fit()
    assert world.audit(fit, seed=3).to_dict() == world.audit(fit, seed=3).to_dict()


def test_recovered_words_are_written_only_on_request(found: Audit, tmp_path: Path) -> None:
    # Labels are the auditor's own words; here they are the same as those recovered.
    result = replace(found, label_findings=None)
    hidden = write_audit(tmp_path / "a.html", result, PROVENANCE).read_text("utf-8")
    shown = write_audit(tmp_path / "b.html", result, PROVENANCE, show=True).read_text("utf-8")
    assert not any(word in hidden or word in json.dumps(result.to_dict()) for word in WORDS)
    assert any(word in shown for word in WORDS)
    assert "documents" in result.to_dict(show=True)


def test_the_report_neutralizes_what_it_was_given(found: Audit, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\u202e\x1b[31m"
    document = replace(found.documents[0], nearest=evil, words=((evil, 0.9),), labels=(evil,))
    assert found.label_findings is not None
    topics = replace(found.label_findings, shares={evil: 1.0})
    provenance = replace(PROVENANCE, vectors=evil, corpus=evil, encoder=evil, authorized_by=evil)
    result = replace(found, documents=(document,), label_findings=topics)
    page = write_audit(tmp_path / "a.html", result, provenance, show=True).read_text("utf-8")
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    # Pictures name the namespace of SVG and refer to parts of themselves.
    text = re.sub(r"<svg .*?</svg>", "", page, flags=re.DOTALL)
    assert not any(mark in text for mark in ("http://", "https://", "src=", "url("))
    assert not set(re.findall(r"https?://[^\"/]+|url\([^#]", page)) - {"http://www.w3.org"}


def test_the_report_names_who_authorized_it_and_belongs_to_its_owner(found: Audit, tmp_path: Path) -> None:
    path = write_audit(tmp_path / "a.html", found, PROVENANCE, fail_above=0.2)
    page = path.read_text("utf-8")
    for part in (
        "R. &lt;Owner&gt;",
        "2026-01-02",
        "LLM08:2025",
        "Limit of 20% for the headline figure: exceeded",
        "not tested",
    ):
        assert part in page
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]


def test_labels_of_a_corpus_are_the_means_of_its_rows() -> None:
    rows = np.eye(4, dtype=np.float32)
    with pytest.raises(InputError, match="The label 'a' is named twice; give one vector of each label"):
        Labels(("a", "b", "a"), np.eye(3))
    labels = Labels.of_corpus(rows, [("a",), ("a", "b"), ("b",), ("rare",)], min_documents=2)
    assert labels.names == ("a", "b")
    np.testing.assert_allclose(labels.vectors, [[0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0]])


def test_refusals(world: World) -> None:
    with pytest.raises(InputError, match="at least one fit"):
        audit([], world.vectors, world.corpus)
    with pytest.raises(InputError, match="There are 3 true texts for 1,200 vectors"):
        world.audit(truth=GroundTruth(texts=["a"] * 3))
    with pytest.raises(InputError, match="1,200 vectors and 2 rows of labels"):
        Labels.of_corpus(world.corpus.vectors, [("a",), ("b",)])
    with pytest.raises(InputError, match="No label is on 5 rows"):
        Labels.of_corpus(world.vectors[:2], [("a",), ("b",)])


def test_true_contents_in_another_order_are_noticed(world: World, tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(N)
    shuffled = world.audit(truth=GroundTruth([world.texts[i] for i in order]))
    assert "Check that the true texts are in the order of the vectors" in conclusion(shuffled)
    assert "no proof of safety" not in conclusion(shuffled)
    vectors = world.audit(truth=GroundTruth(vectors=world.known[:N][order]))
    assert "The true vectors are probably in another order than the audited ones" in conclusion(vectors)
    assert "Give the rows in the order of the audited vectors" in conclusion(vectors)
    unseen = replace(vectors, unordered={})
    assert "translations find their true vectors no more often than by chance" in conclusion(unseen)
    assert "Check that the true vectors are in the order of the audited ones" in conclusion(unseen)
    other = conclusion(replace(unseen, foreign=(True,)))
    assert "contradicts the similarity of the translations to the public rows: translations find their true" in other
    right = world.audit(truth=GroundTruth(world.texts[:N], vectors=world.known[:N]))
    assert "Check that" not in conclusion(right)


def test_public_texts_in_another_order_than_their_vectors_are_refused(world: World) -> None:
    shuffled = np.random.default_rng(1).permutation(N)
    texts = [world.corpus.texts[i] for i in shuffled]
    with pytest.raises(
        InputError,
        match="The public texts and their vectors are not in the same order, or their words cannot be read from them: "
        "the nearest neighbors of a vector share no more words with it than random rows do. Give the vector of each",
    ):
        check_inputs(world.vectors, replace(world.corpus, texts=texts))
    # One line is missing, and another is too many after it.
    moved = [*world.corpus.texts[:900], *world.corpus.texts[901:], "alphaone"]
    with pytest.raises(InputError, match="between 80% and 90% of the rows, the nearest neighbors of a vector share"):
        check_inputs(world.vectors, replace(world.corpus, texts=moved))
    # Part of the texts hold no word that can be read, and too few rows to tell are no reason to refuse.
    check_inputs(world.vectors, replace(world.corpus, texts=[*world.corpus.texts[:900], *["of the"] * 300]))
    few = replace(world.corpus.take(np.arange(150)), texts=texts[:150])
    check_inputs(world.vectors, few, fitted=True)


def test_a_stand_in_in_another_order_than_the_public_vectors_is_refused(world: World) -> None:
    stand_in = np.asarray(world.corpus.vectors[:, ::-1], np.float32)
    check_inputs(world.vectors, replace(world.corpus, stand_in=stand_in))
    with pytest.raises(
        InputError,
        match="The stand-in has too few nearest neighbors in common with the public vectors: .* Give the rows in the "
        "order of the public vectors",
    ):
        check_inputs(world.vectors, replace(world.corpus, stand_in=stand_in[::-1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": 3}, "There are 3 vectors to audit; at least 50 are needed"),
        ({"vectors": "equal"}, "All 60 vectors to audit are equal"),
        ({"truth": GroundTruth(["", "xyzzy"] * (N // 2))}, "None of the true texts holds one of the 12 words"),
        ({"truth": GroundTruth(labels=["Alphaone"] * N), "labels": True}, "None of the true labels .* is one of the"),
        ({"records": KnownRecords(np.eye(3, D))}, "There are 3 members; at least 20 are needed"),
        (
            {"records": KnownRecords(np.eye(24, 7) + 1)},
            "The members have width 7 and the public vectors 24; both must be made by the auditor's encoder",
        ),
        ({"labels": Labels(("one",), np.ones((1, D)))}, "There is 1 label to infer; at least 2 are needed"),
        ({"truth": GroundTruth(vectors=np.eye(N, 7) + 1)}, "The true vectors have width 7 and the public vectors 24"),
        ({"records": KnownRecords(np.eye(24, D), np.eye(5, D))}, "There are 5 nonmembers; at least 20 are needed"),
        ({"records": KnownRecords(np.eye(1, D))}, "There is 1 member; at least 20 are needed"),
        (
            {"records": KnownRecords(np.ones((24, D)))},
            "All 24 members are equal, so nothing could be measured with them",
        ),
        (
            {"records": KnownRecords(np.eye(24, D), np.ones((24, D)))},
            "All 24 nonmembers are equal, so nothing could be measured with them",
        ),
        (
            {"records": KnownRecords(np.eye(24, D), np.eye(24, D)[::-1])},
            "The members and the nonmembers hold the same vectors: all of the rows of one are in the other. A record",
        ),
        ({"labels": Labels(("a", "b"), np.ones((2, D)))}, "All 2 vectors of the labels are equal, so nothing could be"),
        (
            {"labels": Labels(("a", "b"), np.ones((3, 2, D)))},
            "All 2 vectors of the labels are equal, so nothing could be",
        ),
        ({"truth": GroundTruth(vectors=np.ones((N, D)))}, "All 1,200 true vectors are equal, so nothing could be"),
    ],
)
def test_what_could_measure_nothing_is_refused(world: World, change: dict[str, Any], message: str) -> None:
    change = dict(change)
    rows: Any = world.vectors
    if "vectors" in change:
        rows = world.vectors[:3] if change.pop("vectors") == 3 else np.repeat(world.vectors[:1], 60, axis=0)
    if change.get("labels") is True:
        change["labels"] = Labels.of_corpus(world.corpus.vectors, world.labels[N:])
    with pytest.raises(InputError, match=message):
        check_inputs(rows, world.corpus, **change)
    with pytest.raises(InputError, match=message):
        audit([world.fit()], rows, world.corpus, **change)


def test_what_no_fit_could_be_made_of_is_refused_before_the_fits(world: World) -> None:
    corpus, rows = world.corpus, world.vectors
    same = np.repeat(world.known[:1], N, axis=0)
    few = np.tile(world.known[:90], (14, 1))[:N]
    for public, message in (
        (replace(corpus, vectors=same), "The public vectors: 1 distinct row; at least 100 are needed for a fit"),
        (
            replace(corpus, stand_in=same),
            "The stand-in: 1 distinct row; at least 200 are needed because its fit .* Leave it out",
        ),
        (
            replace(corpus, stand_in=few),
            "The stand-in: 90 distinct rows; at least 200 are needed because its fit has half",
        ),
        (corpus.take(np.arange(99)), "The public vectors: 99 distinct rows; at least 100 are needed for a fit"),
    ):
        with pytest.raises(InputError, match=message):
            check_inputs(rows, public)
    with pytest.raises(InputError, match="The audited vectors: 90 distinct rows; at least 100 are needed for a fit"):
        check_inputs(few, corpus)
    # Fits that exist need no rows.
    assert len(check_inputs(few, corpus, fitted=True)) == N
    check_inputs(rows, corpus.take(np.arange(60)), fitted=True)


def test_true_labels_that_no_attacked_row_has_are_refused_before_the_fits(world: World) -> None:
    labels = Labels.of_corpus(world.corpus.vectors, world.labels[N:])
    rare = GroundTruth(labels=[(WORDS[0],), *[("unknown",)] * (N - 1)])
    attacked = attacked_rows(N, 60, 0)
    assert 0 not in attacked
    for documents, count in ((60, "Of the 60 rows that are attacked, 0 have"), (N, "Of the 1,200 rows .*, 1 has")):
        with pytest.raises(InputError, match=f"{count} a true label that is among those to infer; at least 20 are"):
            world.audit(labels=labels, truth=rare, documents=documents)
    with pytest.raises(InputError, match="Of the 2 rows that are attacked, 0 have a true label"):
        world.audit(labels=labels, truth=rare, documents=2)
    with pytest.raises(InputError, match="documents is 1; an integer >= 2 is needed"):
        world.audit(labels=labels, truth=rare, documents=1)
    with pytest.raises(InputError, match="Of the 1,200 rows that are attacked, 1 has a true label"):
        check_inputs(world.vectors, world.corpus, labels=labels, truth=rare)


def test_few_true_texts_are_refused_before_the_fits(world: World) -> None:
    few = [text if row < 19 else " " for row, text in enumerate(world.texts[:N])]
    message = (
        "Of the 1,200 rows that are attacked, 19 have a true text; at least 20 are needed .* leave the true texts out"
    )
    with pytest.raises(InputError, match=message):
        world.audit(truth=GroundTruth(few))
    with pytest.raises(InputError, match=message):
        check_inputs(world.vectors, world.corpus, truth=GroundTruth(few))


def test_true_labels_that_are_all_the_same_are_refused_before_the_fits(world: World) -> None:
    labels = Labels.of_corpus(world.corpus.vectors, world.labels[N:])
    attacked = set(attacked_rows(N, 60, 0).tolist())
    one = [(WORDS[0], "unknown") if row in attacked or row % 2 else (WORDS[1],) for row in range(N)]
    two = [(WORDS[1], WORDS[0])] * (N // 2) + [()] * (N // 2)
    for known, message in (
        (
            one,
            rf"All of the 60 rows that are attacked and have true labels have the same ones \('{WORDS[0]}'\), so that",
        ),
        (two, rf"same ones \('{WORDS[0]}' and '{WORDS[1]}'\), so .* Give true labels of at least two kinds, or leave"),
    ):
        with pytest.raises(InputError, match=message):
            world.audit(labels=labels, truth=GroundTruth(labels=known), documents=60)
        with pytest.raises(InputError, match=message):
            check_inputs(world.vectors, world.corpus, labels=labels, truth=GroundTruth(labels=known), documents=60)
    world.audit(labels=labels, truth=GroundTruth(labels=one))


def test_a_fit_that_is_given_twice_counts_once(world: World) -> None:
    fit = world.fit()
    result = world.audit(fit, replace(fit, seconds=1.0))
    assert (result.verdicts, result.agreement) == (("aligned",), None)
    assert result.omitted == (
        "A fit with the seed and the translations of another one was left out, because the two are one fit.",
    )
    assert world.audit(fit, replace(fit, seed=1)).agreement == pytest.approx(1)


def test_fits_on_other_vectors_are_left_out_where_one_on_these_worked(world: World) -> None:
    own = align(world.vectors, world.known, pairs=[[i, i] for i in range(400)], method="ridge")
    turned = world.secret @ np.linalg.qr(np.random.default_rng(9).standard_normal((D, D)))[0]
    other = align(turned, world.known, pairs=[[i, i] for i in range(400)], method="ridge")
    alone, both = world.audit(own), world.audit(own, other)
    assert both.foreign == (False, True)
    assert both.leak == alone.leak
    assert both.omitted[0].startswith("Fits that were made on other vectors or with other public vectors were not used")
    assert "no evidence about these" not in conclusion(both)


def test_a_fit_of_other_widths_is_refused(world: World) -> None:
    fit = world.fit()
    with pytest.raises(
        InputError, match=f"A fit translates vectors of width {D} to {D}; .* have {D - 4} and {D}. Give"
    ):
        audit([fit], world.vectors[:, : D - 4], world.corpus)


def test_contents_are_left_out_by_their_names() -> None:
    truth = GroundTruth(["a", "b"], [["x"], []])
    assert truth.without(["texts"]).texts is None
    assert truth.without(["texts"]).labels == [["x"], []]
    with pytest.raises(InputError, match="a name is 'words'; choose from texts, labels, vectors"):
        truth.without(["words"])


def test_rows_without_a_true_text_are_left_out_of_what_is_measured(world: World) -> None:
    texts = [text if row % 5 else " " for row, text in enumerate(world.texts[:N])]
    whole, part = (world.audit(truth=GroundTruth(side)) for side in (world.texts[:N], texts))
    assert whole.words.measured is not None
    assert part.words.measured is not None
    assert part.words.measured.leak_rate.value == pytest.approx(whole.words.measured.leak_rate.value, abs=0.03)
    assert part.words.measured.precision.value == pytest.approx(whole.words.measured.precision.value, abs=0.03)
    assert part.words.measured.bits.value == pytest.approx(whole.words.measured.bits.value, rel=0.05)
    assert part.words.measured.documents == N - N // 5
    control, control_of_part = whole.words.measured.leak_rate.control, part.words.measured.leak_rate.control
    assert control is not None
    assert control_of_part is not None
    assert control_of_part.value == pytest.approx(control.value, abs=0.04)
    assert f"of {N - N // 5:,} documents, measured against" in owasp_paragraph(part, PROVENANCE)
    (said,) = part.omitted
    assert said.startswith(f"The true text of {N // 5} rows of {N:,} is empty; the measured figures of words leave")


def test_blank_public_texts_are_refused(world: World) -> None:
    texts = [text if row != 7 else " " for row, text in enumerate(world.corpus.texts)]
    with pytest.raises(InputError, match=r"1 public text is blank, the first in row 7 \(counted from 0\), and a dec"):
        check_inputs(world.vectors, replace(world.corpus, texts=texts))
    with pytest.raises(InputError, match="600 public texts are blank, the first in row 0 .*Leave these rows out, of t"):
        check_inputs(world.vectors, replace(world.corpus, texts=[*[""] * 600, *world.corpus.texts[600:]]))


def test_public_texts_that_belong_to_other_vectors_make_a_small_figure_doubtful(world: World) -> None:
    # Three of four texts are mixed up over the whole corpus, so that every part of it still has a signal.
    mixed = np.arange(N)[np.arange(N) % 4 > 0]
    texts = list(world.corpus.texts)
    for row, other in zip(mixed, np.random.default_rng(0).permutation(mixed), strict=True):
        texts[row] = world.corpus.texts[other]
    corpus = replace(world.corpus, texts=texts)
    result = audit([world.fit()], world.vectors, corpus)
    assert result.words.ceiling.value < 0.2
    assert world.audit().words.ceiling.value > 0.5
    little = replace(result, leak=replace(result.leak, value=0.0))
    assert "Even from the vectors of the public texts themselves, a correct word is named for only" in doubt(little)
    assert doubt(little).endswith("Give more public texts, and check that each of them belongs to its vector.")
    assert severity(little).level == "not shown"
    some = replace(result, leak=replace(result.leak, value=0.1))
    assert doubt(some) == ""
    assert "this attack did not work as it should, and another one can read more" in partial_doubt(some)
    assert partial_doubt(replace(result, leak=replace(result.leak, value=0.5))) == ""


def test_repeated_public_texts_do_not_hide_that_translations_are_unlike_them(world: World) -> None:
    rows = np.repeat(np.asarray(world.corpus.vectors), 2, axis=0)
    twice = PublicCorpus(rows, np.repeat(world.corpus.texts, 2).tolist(), vocabulary=world.corpus.vocabulary)
    once, doubled = (audit([world.fit()], world.vectors, side).retrieval for side in (world.corpus, twice))
    assert doubled.public.value == pytest.approx(once.public.value, abs=0.02)
    wrong = audit([world.fit(right=False)], world.vectors, twice).retrieval
    assert not wrong.is_near


def test_repeated_true_vectors_identify_the_row(world: World) -> None:
    picked = np.arange(N) // 3
    result = audit([world.fit()], world.vectors[picked], world.corpus, truth=GroundTruth(vectors=world.known[picked]))
    assert result.reidentified is not None
    assert result.reidentified.top1.value > 0.95
    assert result.reidentified.top1.control is not None
    assert result.reidentified.top1.control.value == pytest.approx(3 / N)


def test_copies_of_records_count_once_and_public_rows_are_no_neighbors_of_themselves(world: World) -> None:
    members, others = world.known[:200], world.known[N : N + 400]
    once = world.audit(records=KnownRecords(members, others)).membership
    repeated = KnownRecords(np.repeat(members, 5, axis=0), np.repeat(others, 2, axis=0))
    assert once is not None
    again = world.audit(records=repeated).membership
    assert again is not None
    assert again.to_dict() == once.to_dict()
    # Nonmembers that are public are not members, although they are near the public rows.
    none = world.audit(records=KnownRecords(world.known[N + 400 : N + 700], others)).membership
    assert none is not None
    assert none.auc.lower < 0.5 < none.auc.upper
    few = world.audit(records=KnownRecords(members, others[:60]))
    assert few.omitted[-1] == (
        "The share of members found at 1% false alarms was not measured, because there are only 60 nonmembers and at "
        "least 100 are needed."
    )
    low = replace(few, leak=replace(few.leak, value=0.0, high=None))
    assert severity(low).level == "medium"
    assert severity(low).reasons[0].startswith("members are told from nonmembers with an area under the ROC curve")


def test_a_public_corpus_by_the_model_of_the_vectors_is_said(world: World) -> None:
    result = world.audit()
    same = Identification("some-model", "", (), N, D, True, "float32")
    assert "nor the model that made them: with public texts of a similar kind and another enc" in conclusion(result)
    of_one = replace(result, model=same, public_model=same)
    assert of_one.is_of_one_model
    assert "does not need the texts: with public texts of a similar kind and the model that made t" in conclusion(
        of_one
    )
    cited = owasp_paragraph(of_one, PROVENANCE)
    assert model_statement(of_one).endswith("The figures of this audit are for an attacker who has this model.")
    assert "the public vectors are probably by its own model" in cited
    assert "nor the encoder" not in cited
    sections = {section.heading: " ".join(section.lines) for section in annex_sections(of_one, PROVENANCE)}
    assert "nor the model" not in sections["Against which attacker"]


def test_a_subsample_without_a_true_text_is_estimated(world: World) -> None:
    texts = [text if row < 25 or row == 150 else "" for row, text in enumerate(world.texts[:N])]
    translated = world.known[:N]
    decoder = world.corpus.fit_decoder()
    measured, estimated = (
        read_words(decoder, translated[rows], texts[rows], 0) for rows in (slice(0, 100), slice(100, 200))
    )
    assert measured[2] == "measured"
    assert estimated == read_words(decoder, translated[100:200], None, 0)
    assert estimated[2] == "estimated"


def test_repeated_rows_of_a_second_leak_are_linked_as_one(world: World) -> None:
    twice = SecondLeak(
        [world.fit()], np.repeat(world.vectors[:600], 2, axis=0), np.repeat(world.texts[:600], 2).tolist()
    )
    once = SecondLeak([world.fit()], world.vectors[:600], world.texts[:600])
    truth = GroundTruth(world.texts[:N])
    found, alone = (world.audit(truth=truth, second=side).linkage for side in (twice, once))
    assert found is not None
    assert alone is not None
    assert found.rows == (N, 600)
    # Copies in double precision may differ by rounding.
    noise = 1e-12 * np.random.default_rng(0).standard_normal(twice.vectors.shape)
    rounded = world.audit(second=SecondLeak([world.fit()], twice.vectors.astype(np.float64) + noise)).linkage
    assert rounded is not None
    assert rounded.rows == (N, 600)
    assert found.links == alone.links > 0


def test_a_curve_without_enough_rows_is_refused_before_the_fits(world: World) -> None:
    few = world.corpus.take(np.arange(400))
    with pytest.raises(InputError, match="There are 400 vectors to audit and 400 public texts; halvings needs 500 of"):
        check_inputs(world.vectors[:400], few, options={"halvings": 1})
    check_inputs(world.vectors, few, options={"halvings": 1})
    check_inputs(world.vectors[:400], few, options={"halvings": 0})


def test_points_of_a_curve_that_have_too_few_rows_are_said(world: World) -> None:
    found = world.audit(halvings=3, fit=lambda vectors, public, *, seed: world.fit(right=False))
    assert [(point.side, point.rows) for point in found.points] == [
        ("leaked", 300), ("leaked", 600), ("public", 300), ("public", 600),
    ]  # fmt: skip
    assert found.omitted == (
        "The leak by the number of rows lacks 1 point of leaked rows and 1 point of public texts, because they would "
        "have fewer than 250 rows.",
    )


def test_a_label_without_text_is_refused() -> None:
    with pytest.raises(InputError, match="Row 1 of the corpus has a blank label; give a row without a label no label"):
        Labels.of_corpus(np.eye(3), [["a"], ["a", " "], []], min_documents=1)
    with pytest.raises(
        InputError, match=r"Label 1 \(counted from 0\) is blank; leave it out, together with its vector"
    ):
        Labels(("a", " "), np.eye(2))


def test_a_label_whose_vector_is_not_finite_is_refused() -> None:
    rows = np.eye(2)
    rows[1, 0] = np.nan
    for vectors in (rows, np.stack([np.eye(2), rows])):
        with pytest.raises(InputError, match="The vector of the label 'b' holds NaN or infinity; give the label anoth"):
            Labels(("a", "b"), vectors)


def test_public_texts_that_no_decoder_can_be_fitted_with_are_refused_before_the_fits(world: World) -> None:
    few = PublicCorpus(world.known[:49], world.texts[:49])
    with pytest.raises(InputError, match="There are 49 public texts; at least 50 are needed for the keyword decoder"):
        check_inputs(world.vectors, few)
    # The only word is in 5 of the texts, but in 4 of those that a decoder is trained with.
    held_out = held_out_rows(60, 3)
    train = np.setdiff1d(np.arange(60), held_out)
    texts = ["the"] * 60
    for row in (held_out[0], *train[:4]):
        texts[row] = "the zebra"
    assert Vocabulary.of(texts).words == ("zebra",)
    rare = PublicCorpus(world.known[:60], texts)
    for refused in (lambda: check_inputs(world.vectors, rare, seed=3), lambda: rare.fit_decoder(3)):
        with pytest.raises(InputError, match="No content word is in 5 of the 48 texts"):
            refused()
    # A decoder that was fitted before is not fitted again, and its words are those that are read.
    decoder = world.corpus.fit_decoder()
    check_inputs(world.vectors, few, decoder=decoder, fitted=True)
    with pytest.raises(InputError, match="None of the true texts holds one of the 12 words"):
        check_inputs(world.vectors, few, decoder=decoder, truth=GroundTruth(["xyzzy"] * N), fitted=True)


def test_what_was_asked_for_and_not_measured_is_said(world: World, tmp_path: Path) -> None:
    second = SecondLeak([world.fit(right=False)], world.vectors)
    result = world.audit(second=second)
    assert result.linkage is None
    said = "Links with the second leak were not searched for, because no fit of the second leak worked."
    assert result.omitted == (said,)
    assert said in write_audit(tmp_path / "a.html", result, PROVENANCE).read_text("utf-8")
    assert result.to_dict()["omitted"] == [said]
    few = world.audit(second=SecondLeak([world.fit()], world.vectors[:60]))
    assert few.omitted == (
        said.replace(
            "no fit of the second leak worked",
            "the second leak has 60 distinct rows, and at least 100 of each are needed",
        ),
    )
    repeated = world.audit(second=SecondLeak([world.fit()], np.repeat(world.vectors[:60], 4, axis=0)))
    assert repeated.omitted == few.omitted
    attacked = world.audit(second=SecondLeak([world.fit()], world.vectors), documents=60)
    assert attacked.omitted == (
        "Links with the second leak were not searched for, because 60 rows of the audited collection are attacked, and "
        "at least 100 of each are needed.",
    )
    failed = world.audit(
        world.fit(right=False), defenses="quick", records=KnownRecords(world.known[:100]), second=second
    )
    assert [sentence.split()[0] for sentence in failed.omitted] == ["Defenses", "Membership", "Links"]
    assert world.audit().omitted == ()


def test_the_last_point_of_a_curve_has_the_control_of_the_audit(found: Audit, tmp_path: Path) -> None:
    points = tuple(RowPoint(side, 500, "aligned", Interval(0.4), Interval(0.11), "measured") for side in get_args(Side))
    null = replace(found.words.measured.leak_rate, control=Interval(0.37))  # type: ignore[union-attr]
    measured = replace(found.words.measured, leak_rate=null)  # type: ignore[type-var]
    curve = replace(found, points=points, word_findings=replace(found.words, measured=measured))
    page = write_audit(tmp_path / "a.html", curve, PROVENANCE).read_text("utf-8")
    assert page.count("Control: 11%; 37%.") == 2


def test_the_report_counts_the_audited_rows_and_not_those_of_the_fit(world: World, tmp_path: Path) -> None:
    # The fit was made with 2,400 rows a side.
    result = audit([world.fit()], world.vectors[:700], world.corpus)
    assert conclusion(result).startswith("An attacker with a copy of these 700 vectors")
    page = write_audit(tmp_path / "a.html", result, PROVENANCE).read_text("utf-8")
    assert "700 rows, width 24" in page
    assert "1,200 rows, width 24" in page


def test_labels_are_measured_on_the_rows_whose_label_is_offered(world: World) -> None:
    labels = Labels.of_corpus(world.corpus.vectors, world.labels[N:])
    true = [row if number % 2 else ("unknown",) for number, row in enumerate(world.labels[:N])]
    rows = figure_rows(world.audit(labels=labels, truth=GroundTruth(labels=true)))
    meaning = next(row.meaning for row in rows if row.name == "First label right")
    assert meaning.startswith("of the 600 documents whose true label is among those to infer")


def test_sample_documents_show_which_words_are_right(found: Audit, tmp_path: Path) -> None:
    document = found.documents[0]
    assert document.text is not None
    assert len(document.right) == len(document.words)
    assert [word in document.text.split() for word, _ in document.words] == list(document.right)
    shown = write_audit(tmp_path / "a.html", found, PROVENANCE, show=True).read_text("utf-8")
    hidden = write_audit(tmp_path / "b.html", replace(found, label_findings=None), PROVENANCE).read_text("utf-8")
    assert "True text" in shown
    assert "✓" in hidden
    assert document.text not in hidden


def test_labels_of_sample_documents_stand_apart_from_the_nearest_public_text(found: Audit, tmp_path: Path) -> None:
    # In one cell, the labels of the document would look like labels of the public text.
    document = found.documents[0]
    assert document.labels
    page = write_audit(tmp_path / "a.html", found, PROVENANCE, show=True).read_text("utf-8")
    assert f'data-label="labels">{", ".join(document.labels)}</td>' in page
    assert ">Labels</th>" in page
    for cell in re.findall(r'data-label="nearest">.*?</td>', page):
        assert "(" not in cell
    without = replace(found, documents=tuple(replace(each, labels=()) for each in found.documents))
    for name, result, show in (("b.html", found, False), ("c.html", without, True)):
        assert ">Labels</th>" not in write_audit(tmp_path / name, result, PROVENANCE, show=show).read_text("utf-8")


def test_the_report_says_what_labels_are(found: Audit, tmp_path: Path) -> None:
    page = " ".join(write_audit(tmp_path / "a.html", found, PROVENANCE).read_text("utf-8").split())
    assert "Labels are categories, such as topics, that were given to the audit to choose from." in page


def test_sample_documents_without_a_true_text_have_no_marks(world: World, tmp_path: Path) -> None:
    # The first sample document is row 0.
    texts = ["", " ", *world.texts[2:N]]
    result = world.audit(truth=GroundTruth(texts))
    first, *others = result.documents
    assert (first.row, first.text, first.right) == (0, None, ())
    assert first.words
    assert all(document.text is not None and document.right for document in others if document.words)
    page = write_audit(tmp_path / "a.html", result, PROVENANCE, show=True).read_text("utf-8")
    rows = re.findall(r'data-label="words">.*?</td>', page)
    assert [bool(re.search("[✓✕]", row)) for row in rows] == [False, *(bool(each.words) for each in others)]
    assert "True text" in page
    assert page.count('data-label="true text"><span class="muted">not known</span>') == 1
    assert "A row whose true text is not known has no marks." in " ".join(page.split())
    known = world.audit(truth=GroundTruth(world.texts[:N]))
    assert "has no marks" not in write_audit(tmp_path / "b.html", known, PROVENANCE).read_text("utf-8")


def test_the_most_frequent_words_are_counted_and_redacted(found: Audit, tmp_path: Path) -> None:
    counts = [word.documents for word in found.frequent]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > N / 10
    assert found.to_dict(show=True)["frequent_words"][0]["documents"] == counts[0]
    hidden = write_audit(tmp_path / "b.html", replace(found, label_findings=None), PROVENANCE).read_text("utf-8")
    assert f"{counts[0]:,} documents" in hidden
    assert found.frequent[0].word not in hidden


def test_an_audit_tests_membership_links_and_rows(world: World, tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = []
    # In few dimensions many rows are alike; half of the public texts are the controls.
    other = world.secret[:N] @ np.linalg.qr(np.random.default_rng(8).standard_normal((D, D)))[0]
    second_fit = align(other, world.known[:N], pairs=[[i, i] for i in range(400)], method="ridge")
    second = SecondLeak([second_fit], other[:600], world.texts[:600])

    def fit(vectors: Any, public: Any, *, seed: int) -> Alignment:
        return replace(world.fit(seed=seed), seed=seed)

    truth = GroundTruth(world.texts[:N], vectors=world.known[:N])
    result = world.audit(truth=truth, second=second, halvings=1, fit=fit, on_step=steps.append)
    assert result.membership is not None
    assert result.membership.auc.low is not None
    assert result.membership.auc.low > 0.55
    assert result.membership.same_kind
    assert result.membership_controls == "public texts"
    assert result.linkage is not None
    assert [(point.side, point.rows) for point in result.points] == [("leaked", N // 2), ("public", N // 2)]
    assert all(point.basis == "measured" and point.leak.value > 0.8 for point in result.points)
    points = [(step["side"], step["rows"], step["all_rows"]) for step in steps if step["step"] == "point"]
    assert points == [("leaked", N // 2, N), ("public", N // 2, N)]
    page = write_audit(tmp_path / "a.html", result, PROVENANCE).read_text("utf-8")
    tested = result.membership
    for part in (
        "Is a record in the collection?", "How many rows does an attacker need?", "second leak",
        f"The test was given {tested.members:,} records that are in the collection and {tested.controls:,} others",
    ):  # fmt: skip
        assert part in page
    given = KnownRecords(world.known[:100], world.known[N : N + 100])
    assert world.audit(records=given).membership_controls == "the records that were given"
    json.dumps(result.to_dict())


@pytest.fixture(scope="module")
def seen(world: World) -> PublicCorpus:
    """The corpus with two views of its texts."""
    rng = np.random.default_rng(5)
    turned = [world.known[N:] @ np.linalg.qr(rng.standard_normal((D, D)))[0] for _ in range(2)]
    views = [rows + 0.3 * np.std(rows) * rng.standard_normal(rows.shape) for rows in turned]
    return replace(world.corpus, views=dict(zip("ab", (rows.astype(np.float32) for rows in views), strict=True)))


@pytest.mark.usefixtures("short_fits")
def test_every_fit_to_a_corpus_with_views_is_given_them(
    world: World, seen: PublicCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Any, Any]] = []

    def recorded(vectors: Any, public: Any, *, views: Any = None, **settings: Any) -> Alignment:
        given.append((public, views))
        kept = {name: value for name, value in settings.items() if name == "seed"}
        return align(vectors, public, method="random-rotation", **kept)

    for module in ("inputs", "_defended"):
        monkeypatch.setattr(f"interlingua.leakage.{module}.align", recorded)
    stand_in = np.asarray(seen.vectors[:, ::-1] + 0.1 * np.random.default_rng(6).standard_normal((N, D)), np.float32)
    corpus = replace(seen, stand_in=stand_in).align_stand_in()
    assert len(given) == 1
    audit([world.fit()], world.vectors, corpus, defenses="quick", halvings=1, fit=recorded)
    fits_of_halvings = [public for public, _ in given if len(public) == N // 2]
    assert len(given) > 3
    assert fits_of_halvings
    for public, views in given:
        rows = [int(np.flatnonzero((seen.vectors == row).all(axis=1))[0]) for row in public]
        assert set(views) == {"a", "b"}
        for name, view in views.items():
            np.testing.assert_array_equal(view, seen.views[name][rows])  # type: ignore[index]


def test_a_function_that_fits_is_asked_for_views_only_where_there_are_some(world: World) -> None:
    def fit(vectors: Any, public: Any, *, seed: int) -> Alignment:
        return world.fit(right=False)

    assert world.audit(halvings=1, fit=fit).points


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: {"views": {"a": c.views["a"][:-1]}},
            f"{N - 1:,} rows of the view 'a' for {N:,} texts; there must be one",
        ),
        (lambda c: {"views": [c.views["a"]]}, "views is .*; a mapping from names to matrices is needed"),
        (lambda c: {"views": {"a": c.views["a"][::-1]}}, r"views\['a'\] has too few nearest neighbors in common"),
        (lambda c: {"views": {"a": 2 * c.vectors}}, r"views\['a'\] has the same nearest neighbors as the target"),
        (
            lambda c: {"stand_in": c.views["b"][:, ::-1]},
            r"views\['b'\] has the same nearest neighbors as the stand-in, so the fit of the stand-in would be easier",
        ),
    ],
)
def test_views_that_would_not_help_or_help_too_much_are_refused_before_any_fit(
    world: World, seen: PublicCorpus, change: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_inputs(world.vectors, replace(seen, **change(seen)))


def test_findings_name_the_views_of_the_best_fit(world: World, tmp_path: Path) -> None:
    best = replace(world.fit(), settings={"views": "use, <b>"})
    result = world.audit(best, world.fit(right=False))
    assert (result.views, result.to_dict()["views"]) == ("use, <b>", "use, <b>")
    page = write_audit(tmp_path / "a.html", result, PROVENANCE).read_text("utf-8")
    assert "used vectors of the public texts by further models too: use, &lt;b&gt;." in page
    annex = "".join(line for section in annex_sections(result, PROVENANCE) for line in section.lines)
    assert "an encoder of their own, and further models that embed the same public rows (use, <b>). The attack" in annex
    alone = world.audit()
    assert (alone.views, alone.to_dict()["views"]) == ("", None)
    assert "further models" not in write_audit(tmp_path / "b.html", alone, PROVENANCE).read_text("utf-8")
