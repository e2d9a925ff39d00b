from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import Run
from interlingua import align
from interlingua.core.alignment import Alignment
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.evaluation import Interval
from interlingua.leakage._doubts import doubt
from interlingua.leakage.audit import audit
from interlingua.leakage.findings import Audit, RetrievalFindings
from interlingua.leakage.identities import identity_findings
from interlingua.leakage.inputs import GroundTruth, Labels, PublicCorpus
from interlingua.report.annex import annex_sections
from interlingua.report.audit import Provenance, conclusion, figure_rows, write_audit

PERSONS, PICTURES, D = 60, 20, 24
PROVENANCE = Provenance("the owner", "2026-01-02T03:04:05+00:00", "faces.npy", "public.npy", "an encoder")


class Faces:
    """Rows of persons in two spaces, an exact rotation apart, a gallery of one row of each person, and other rows."""

    def __init__(self, spread: float = 0.5) -> None:
        rng = np.random.default_rng(0)
        centers = rng.standard_normal((PERSONS, D))
        own = np.repeat(np.arange(PERSONS), PICTURES)
        known = centers[own] + spread * rng.standard_normal((len(own), D))
        rotation = np.linalg.qr(rng.standard_normal((D, D)))[0]
        self.known = unit_rows(known.astype(np.float32))
        self.secret = np.asarray(self.known @ rotation, np.float32)
        self.names = [f"person {person}" for person in range(PERSONS)]
        self.identities = [self.names[person] for person in own]
        self.gallery = unit_rows((centers + spread * rng.standard_normal((PERSONS, D))).astype(np.float32))
        self.public = unit_rows(rng.standard_normal((800, D)).astype(np.float32) + self.known.mean(axis=0))

    def fit(self, *, right: bool = True) -> Alignment:
        if right:
            pairs = [[row, row] for row in range(400)]
            return align(self.secret, self.known, pairs=pairs, method="ridge")
        return align(self.secret, self.known, method="random-rotation")

    def audit(self, fit: Alignment, **settings: Any) -> Audit:
        labels = Labels(tuple(self.names), self.gallery)
        truth = GroundTruth(labels=self.identities)
        given: dict[str, Any] = {"labels": labels, "truth": truth} | settings
        return audit([fit], self.secret, PublicCorpus.of_rows(self.public), **given)


@pytest.fixture(scope="module")
def faces() -> Faces:
    return Faces()


@pytest.fixture(scope="module")
def found(faces: Faces) -> Audit:
    return faces.audit(faces.fit())


def test_identities_are_recognized_after_a_right_fit_and_not_after_a_wrong_one(faces: Faces, found: Audit) -> None:
    recognized, not_recognized = found.identities, faces.audit(faces.fit(right=False)).identities
    assert recognized is not None
    assert not_recognized is not None
    assert (recognized.probes, recognized.identities) == (PERSONS * PICTURES, PERSONS)
    assert recognized.rank1.value > 0.95
    assert recognized.rank1_control.value == pytest.approx(1 / PERSONS)
    assert recognized.equal_error_rate.value < 0.05
    assert recognized.accepted.value > 0.9
    assert recognized.equal_error_rate_control.value == pytest.approx(0.5, abs=0.12)
    assert not_recognized.rank1.value < 0.15
    assert not_recognized.equal_error_rate.value > 0.35
    assert found.leak.basis == "measured"
    assert found.leak.value == recognized.beyond_control


def test_the_equal_error_rate_is_that_of_known_distributions() -> None:
    # Genuine scores of a normal distribution one standard deviation to each side: the error is that of the midpoint.
    rng = np.random.default_rng(1)
    n, count = 2_000, 40
    names = [f"{column}" for column in range(count)]
    target = rng.integers(0, count, n)
    gallery = np.eye(count, dtype=np.float32)
    rows = rng.standard_normal((n, count)).astype(np.float32)
    rows[np.arange(n), target] += 2
    result = identity_findings(rows, gallery, names, [names[column] for column in target])
    assert result.equal_error_rate.value == pytest.approx(0.1587, abs=0.02)
    low, high = result.equal_error_rate.low, result.equal_error_rate.high
    assert low is not None
    assert high is not None
    assert low < result.equal_error_rate.value < high
    assert result.accepted.value == pytest.approx(0.37, abs=0.06)


def test_rows_of_persons_who_are_not_enrolled_are_left_out(faces: Faces) -> None:
    names = faces.names[: PERSONS // 2]
    result = identity_findings(faces.known, faces.gallery[: PERSONS // 2], names, faces.identities)
    assert result.probes == PERSONS * PICTURES // 2
    with pytest.raises(InputError, match="none of the 1,200 rows is of one of the 2 identities of the gallery"):
        identity_findings(faces.known, faces.gallery[:2], ["a", "b"], faces.identities)
    with pytest.raises(InputError, match="The gallery names an identity twice; give one vector of each"):
        identity_findings(faces.known, faces.gallery[:2], ["a", "a"], faces.identities)
    with pytest.raises(InputError, match="The gallery has one identity; two or more are needed"):
        identity_findings(faces.known, faces.gallery[:1], ["a"], faces.identities)


def test_the_identity_of_a_row_is_the_first_of_its_labels_that_is_enrolled(faces: Faces, found: Audit) -> None:
    labels = [("guest", own) for own in faces.identities]
    assert faces.audit(faces.fit(), truth=GroundTruth(labels=labels)).identities == found.identities


def test_an_audit_of_rows_speaks_of_rows(faces: Faces) -> None:
    truth = GroundTruth(labels=faces.identities, vectors=faces.known)
    result = faces.audit(faces.fit(), truth=truth)
    assert result.membership_controls == "public rows"
    unlike = replace(
        result,
        leak=replace(result.leak, value=0.0, high=None),
        retrieval=RetrievalFindings(Interval(0.27), Interval(0.62), Interval(0.19)),
    )
    said = doubt(unlike)
    assert "nearest public row is" in said
    assert "Fit these vectors themselves with public rows of their kind" in said
    sections = {section.heading: " ".join(section.lines) for section in annex_sections(result, PROVENANCE)}
    assert "deletion rules of the records" in sections["What would reduce it (Article 33(3)(d))"]
    assert f"of {PERSONS * PICTURES:,} rows whose identity is enrolled" in sections["What can be read"]


def test_the_report_has_identities_in_the_place_of_words(found: Audit, tmp_path: Path) -> None:
    names = [row.name for row in figure_rows(found)]
    beyond = "Rank-1 identification, beyond the control"
    assert names[:4] == ["Rank-1 identification", beyond, "Equal error rate", "Verification"]
    assert names[-1] == "Similarity to public rows"
    page = write_audit(tmp_path / "a.html", found, PROVENANCE).read_text("utf-8")
    assert "1,200 rows were attacked" in page
    assert "Sample documents" not in page
    assert "decoder" not in page
    assert "identities and nearest public rows above" in page
    assert "among public rows" in page
    for word in ("language model", "public text", "documents"):
        assert word not in page
    assert "compared with known identities" in conclusion(found)
    annex = " ".join(line for section in annex_sections(found, PROVENANCE) for line in section.lines)
    assert "The nearest of 60 enrolled identities is right for" in annex
    assert ": the identity is recognized for 9" in annex
    assert "counts as 0% and always being right as 100%" in annex
    assert "public records of a similar kind" in annex
    assert found.to_dict()["words"] is None
    assert found.to_dict()["identities"]["rank1"][0] > 0.95
    with pytest.raises(InputError, match="This audit is of rows without texts, so no words were recovered"):
        _ = found.words


def test_true_vectors_of_rows_without_texts_measure_re_identification(faces: Faces) -> None:
    result = faces.audit(faces.fit(), labels=None, truth=GroundTruth(vectors=faces.known))
    assert result.identities is None
    assert result.reidentified is not None
    assert result.leak.value == result.reidentified.top1.value > 0.9


def test_rows_without_texts_refuse_what_needs_texts(faces: Faces) -> None:
    fit = faces.fit()
    with pytest.raises(InputError, match="defenses needs public texts, and these rows have none; leave it out"):
        faces.audit(fit, defenses="quick")
    with pytest.raises(InputError, match="Rows without texts have no estimated figures: give the labels with"):
        faces.audit(fit, labels=None)
    layers = Labels(tuple(faces.names), np.stack([faces.gallery, faces.gallery]))
    with pytest.raises(InputError, match=r"the identities have vectors \(2, 60, 24\); one vector of each"):
        faces.audit(fit, labels=layers)
    with pytest.raises(InputError, match="The public rows have no texts; a keyword decoder needs a text for each"):
        PublicCorpus.of_rows(faces.public).fit_decoder()


def test_a_collection_of_faces_is_audited_from_the_command_line(
    run: Run, faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("faces.npy", faces.secret)
    np.save("public.npy", faces.public)
    # Two rows of each person in the gallery, which are averaged.
    np.save("gallery.npy", np.concatenate([faces.gallery, faces.known[::PICTURES]]))
    Path("gallery.txt").write_text("".join(f"{name}\n" for name in [*faces.names, *faces.names]))
    Path("true.jsonl").write_text("".join(f'{{"label": "{name}"}}\n' for name in faces.identities))
    # An audit refuses fits on pairs. The right map is kept here as if it came from a fit without any.
    fit = faces.fit()
    replace(fit, verdict=replace(fit.verdict, evidence=())).translator(force=True).save(tmp_path / "fit")
    parts = ("audit", "faces.npy", "--authorized-by", "me", "--corpus-vectors", "public.npy", "--translator", "fit")
    gallery = ("--labels", "gallery.txt", "--label-vectors", "gallery.npy", "--truth-labels", "true.jsonl")
    ran = run(*parts, *gallery, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["identities"]["identities"] == PERSONS
    assert ran.json["identities"]["rank1"][0] > 0.95
    shown = run(*parts, *gallery, "--force")
    assert "Rank-1 identification" in shown.out
    assert "Equal error rate" in shown.out
    for option in ("--kinds", "--show-words", "--defenses quick", "--truth true.jsonl", "--stand-in public.npy"):
        refused = run(*parts, *gallery, "--force", *option.split())
        assert refused.code == 2, refused.err
        assert f"{option.split()[0]} needs the public texts: give --corpus FILE" in refused.err
    assert "Rows without texts have no estimated figures" in run(*parts, "--force").err
