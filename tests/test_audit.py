from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interlingua import align
from interlingua.core.alignment import Alignment, Status
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.leakage.audit import Labels, PublicCorpus, Truth, audit
from interlingua.leakage.findings import Audit
from interlingua.leakage.inversion.words import Vocabulary
from interlingua.report.audit import Warrant, conclusion, write_audit

N, D, TOPICS = 1_200, 24, 12
WORDS = tuple(f"{a}{b}" for a in ("alpha", "beta", "gamma", "delta") for b in ("one", "two", "three"))
WARRANT = Warrant("R. <Owner>", "2026-01-02T03:04:05+00:00", "vectors.npy", "public.txt", "an encoder")


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
        vocabulary = Vocabulary.of(self.texts, most=0.5)
        self.corpus = PublicCorpus(self.known[N:], self.texts[N:], vocabulary=vocabulary)
        self.vectors = self.secret[:N]

    def fit(self, *, right: bool = True, seed: int = 0) -> Alignment:
        if right:
            return align(self.secret, self.known, pairs=[[i, i] for i in range(400)], method="ridge", seed=seed)
        return align(self.secret, self.known, method="random-rotation", seed=seed)

    def audit(self, *fits: Alignment, **settings: Any) -> Audit:
        return audit(fits or [self.fit()], self.vectors, self.corpus, **settings)


@pytest.fixture(scope="module")
def world() -> World:
    return World(np.random.default_rng(0))


@pytest.fixture(scope="module")
def found(world: World) -> Audit:
    labels = Labels.of_corpus(world.corpus.vectors, world.labels[N:])
    truth = Truth(world.texts[:N], world.labels[:N], world.known[:N])
    return world.audit(labels=labels, truth=truth)


def test_estimates_come_close_to_what_the_truth_measures(found: Audit) -> None:
    assert found.words.measured is not None
    leak = found.words.measured.leak_rate.value
    assert leak > 0.9
    assert found.words.expected.value == pytest.approx(leak, abs=0.1)
    assert found.words.claimed == pytest.approx(found.words.measured.precision.value, abs=0.1)
    assert found.words.control.value < 0.7 * leak


def test_labels_and_rows_are_told_apart(found: Audit) -> None:
    assert found.topics is not None
    assert found.topics.measured is not None
    assert found.topics.measured.translated.top1.value > 0.9
    assert sum(found.topics.shares.values()) == pytest.approx(1)
    assert found.reidentified is not None
    assert found.reidentified.top1.value > 0.99
    assert found.leak.basis == "measured"
    assert found.leak.value > 0.99


def test_without_a_truth_the_leak_is_the_calibrated_estimate(world: World) -> None:
    result = world.audit()
    assert result.leak.basis == "estimated"
    assert result.leak.value == result.words.expected.value > 0.8
    assert result.words.measured is None
    assert result.retrieval.nearest.value > result.retrieval.control.value


def test_an_offset_common_to_all_translations_changes_no_finding(world: World) -> None:
    # 240 held-out public texts calibrate the decoder, and 1,200 translations are audited, in blocks.
    right = world.fit()
    offset = 0.6 * unit_rows(np.random.default_rng(7).standard_normal((1, D)).astype(np.float32))
    moved = replace(right, forward=lambda rows: unit_rows(right.forward(rows)) + offset)
    truth = Truth(texts=world.texts[:N])
    plain, shifted = (world.audit(fit, truth=truth).words for fit in (right, moved))
    assert plain.measured is not None
    assert shifted.measured is not None
    for name in ("leak_rate", "precision"):
        assert getattr(shifted.measured, name).value == pytest.approx(getattr(plain.measured, name).value, abs=0.01)
    assert shifted.expected.value == pytest.approx(plain.expected.value, abs=0.02)


def test_a_claim_is_believed_as_far_as_the_fits_agree(world: World) -> None:
    right = world.fit()
    wrong = replace(world.fit(right=False), verdict=right.verdict)  # wrong, and does not know it
    alone, both = world.audit(right), world.audit(right, wrong)
    assert alone.agreement is None
    assert both.agreement is not None
    assert abs(both.agreement) < 0.5
    assert both.words.expected.value < 0.7 * alone.words.expected.value


def test_a_failed_fit_beside_one_that_worked_is_left_out(world: World) -> None:
    failed = world.fit(right=False)
    assert failed.verdict.status is Status.FAILED
    both = world.audit(failed, world.fit())
    assert both.verdicts == ("aligned", "failed")
    assert both.worked
    assert both.leak == world.audit().leak


def test_a_failed_attack_is_no_proof_of_safety(world: World, tmp_path: Path) -> None:
    result = world.audit(world.fit(right=False), defenses="quick")
    assert not result.worked
    assert (result.leak.value, result.leak.basis) == (0.0, "attack failed")
    assert result.defenses == ()
    assert "did not work" in conclusion(result)
    page = write_audit(tmp_path / "a.html", result, WARRANT, fail_above=0.1).read_text("utf-8")
    assert "no proof of safety" in page
    assert "not exceeded, because the attack failed" in page


def test_a_failed_fit_with_a_truth_is_measured_all_the_same(world: World) -> None:
    result = world.audit(world.fit(right=False), truth=Truth(vectors=world.known[:N]))
    assert result.leak.basis == "measured"
    assert "no fit" in conclusion(result)


def test_equal_inputs_give_equal_findings(world: World) -> None:
    fit = world.fit()
    assert world.audit(fit, seed=3).to_dict() == world.audit(fit, seed=3).to_dict()


def test_recovered_words_are_written_only_on_request(found: Audit, tmp_path: Path) -> None:
    # Labels are the auditor's own words; here they are the same as those recovered.
    result = replace(found, topics=None)
    hidden = write_audit(tmp_path / "a.html", result, WARRANT).read_text("utf-8")
    shown = write_audit(tmp_path / "b.html", result, WARRANT, show=True).read_text("utf-8")
    assert not any(word in hidden or word in json.dumps(result.to_dict()) for word in WORDS)
    assert any(word in shown for word in WORDS)
    assert "documents" in result.to_dict(show=True)


def test_the_report_neutralizes_what_it_was_given(found: Audit, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\u202e\x1b[31m"
    document = replace(found.documents[0], nearest=evil, words=((evil, 0.9),), labels=(evil,))
    assert found.topics is not None
    topics = replace(found.topics, shares={evil: 1.0})
    warrant = replace(WARRANT, vectors=evil, corpus=evil, encoder=evil, authorized_by=evil)
    result = replace(found, documents=(document,), topics=topics)
    page = write_audit(tmp_path / "a.html", result, warrant, show=True).read_text("utf-8")
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    assert not any(mark in page for mark in ("http://", "https://", "src=", "url("))


def test_the_report_names_who_authorized_it_and_belongs_to_its_owner(found: Audit, tmp_path: Path) -> None:
    path = write_audit(tmp_path / "a.html", found, WARRANT, fail_above=0.2)
    page = path.read_text("utf-8")
    for part in ("R. &lt;Owner&gt;", "2026-01-02", "LLM08:2025", "Gate at 20%: exceeded", "not tested"):
        assert part in page
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]


def test_labels_of_a_corpus_are_the_means_of_its_rows() -> None:
    rows = np.eye(4, dtype=np.float32)
    labels = Labels.of_corpus(rows, [("a",), ("a", "b"), ("b",), ("rare",)], fewest=2)
    assert labels.names == ("a", "b")
    np.testing.assert_allclose(labels.vectors, [[0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0]])


def test_refusals(world: World) -> None:
    with pytest.raises(InputError, match="at least one fit"):
        audit([], world.vectors, world.corpus)
    with pytest.raises(InputError, match="There are 3 true texts for 1200 vectors"):
        world.audit(truth=Truth(texts=["a"] * 3))
    with pytest.raises(InputError, match="1200 vectors and 2 rows of labels"):
        Labels.of_corpus(world.corpus.vectors, [("a",), ("b",)])
    with pytest.raises(InputError, match="No label is on 5 rows"):
        Labels.of_corpus(world.vectors[:2], [("a",), ("b",)])
