from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from interlingua.core.alignment import Alignment, Evidence, Status, Verdict
from interlingua.core.errors import InputError, MissingExtraError
from interlingua.core.spaces import EmbeddingSpace
from interlingua.core.wording import bar_length, comparison_sign
from interlingua.evaluation import evaluate
from interlingua.evaluation.metrics import match_ranks
from interlingua.report import _figures, _rows, write_report
from reported import N, Page, planted_spaces


def direction_of(value: float, threshold: float, passed: bool) -> Literal["at_least", "at_most"]:
    return "at_least" if passed == (value >= threshold) else "at_most"


HOSTILE = "<script>alert('x')</script>\"&"


def test_the_report_has_all_sections_in_order(tmp_path: Path, alignment: Alignment, everything: dict[str, Any]) -> None:
    path = write_report(tmp_path / "report.html", alignment, **everything)
    page = Page(path)
    assert path == tmp_path / "report.html"
    assert page.headings[:3] == ["Left", "→", "Right"]
    assert page.headings[3:] == [
        "Verdict",
        "Evidence",
        "Held-out pairs",
        "Before and after",
        "Similarity structure",
        "Rank of the true match",
        "Nearest neighbors",
        "Provenance",
    ]
    shown = " ".join(page.text)
    for part in ("Aligned", "0.93", "It was made so.", "Two fits agree.", "300 rows, width 12", "planted", "1.2 s"):
        assert part in shown
    assert "They took no part in the fit" in shown
    assert str(alignment.source["fingerprint"]) in shown
    assert np.__version__ in shown


def test_what_a_translator_can_check_comes_after_the_evidence(
    tmp_path: Path, alignment: Alignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = ["Why this fit is not aligned", "Check for vectors of other models"]
    monkeypatch.setattr("interlingua.report._facts.card_notes", lambda _: {title: ["A note."] for title in titles})
    headings = Page(write_report(tmp_path / "report.html", alignment)).headings
    expected = ["Verdict", titles[0], "Evidence", titles[1]]
    assert [title for title in headings if title in expected] == expected


def test_scores_of_both_directions_are_shown_with_intervals(
    tmp_path: Path, alignment: Alignment, everything: dict[str, Any]
) -> None:
    shown = " ".join(Page(write_report(tmp_path / "report.html", alignment, **everything)).text)
    assert "150.5" in shown  # chance of the mean rank
    cosine = everything["evaluation"].backward.cosine
    assert f"{cosine.value:.3f} {cosine.low:.3f} to {cosine.high:.3f}" in shown
    without = evaluate(alignment.translator(), everything["source"], everything["target"], bootstrap=0)
    shown = " ".join(Page(write_report(tmp_path / "report.html", alignment, evaluation=without)).text)
    assert "1.000 to" not in shown
    assert "intervals" not in shown


@pytest.mark.parametrize("status", list(Status))
def test_every_verdict_has_its_word_and_its_advice(tmp_path: Path, alignment: Alignment, status: Status) -> None:
    alignment = replace(alignment, verdict=Verdict(status, 0.5, ()))
    page = Page(write_report(tmp_path / "report.html", alignment))
    assert status.capitalize() in page.text
    assert any(f"verdict {status}" == attributes.get("class") for attributes in page.all("section"))
    assert ("do not use" in " ".join(page.text)) == (status is Status.FAILED)


def test_the_page_loads_nothing_and_runs_no_script(
    tmp_path: Path, alignment: Alignment, everything: dict[str, Any]
) -> None:
    page = Page(write_report(tmp_path / "report.html", alignment, **everything))
    assert not {"script", "link", "iframe", "object", "embed", "form"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png"))
    assert set(re.findall(r"https?://[^\s\"'<]+", page.source)) <= {"http://www.w3.org/1999/xlink"}
    assert "@import" not in page.source
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", page.source))
    assert any("default-src 'none'" in (meta.get("content") or "") for meta in page.all("meta"))


def test_every_text_of_the_user_is_escaped(tmp_path: Path, alignment: Alignment, everything: dict[str, Any]) -> None:
    hostile = replace(
        alignment,
        source={**alignment.source, "name": HOSTILE, "fingerprint": HOSTILE},
        target={**alignment.target, "name": HOSTILE},
        method=HOSTILE,
        settings={HOSTILE: HOSTILE},
        versions={HOSTILE: HOSTILE},
        verdict=Verdict(Status.DOUBTFUL, 0.5, (HOSTILE,), (Evidence(HOSTILE, 1.0, 0.0, 0.5, True, HOSTILE),)),
    )
    everything["labels"] = {"eval": [HOSTILE] * N}
    everything["source_eval"] = EmbeddingSpace(everything["source"].vectors, ids=[HOSTILE] * N)
    page = Page(write_report(tmp_path / "report.html", hostile, **everything))
    assert not page.all("script")
    assert "<script" not in page.source
    assert page.source.count("&lt;script&gt;") > 30


def test_ids_are_unique_and_every_reference_is_answered(
    tmp_path: Path, alignment: Alignment, everything: dict[str, Any]
) -> None:
    page = Page(write_report(tmp_path / "report.html", alignment, **everything))
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert max(ids.values()) == 1
    asked = set(re.findall(r'(?:url\(#|href="#)([^")]+)', page.source))
    asked |= {str(attributes["aria-labelledby"]) for _, attributes in page.elements if "aria-labelledby" in attributes}
    assert asked <= set(ids)


def test_every_picture_has_words_and_every_header_cell_a_scope(
    tmp_path: Path, alignment: Alignment, everything: dict[str, Any]
) -> None:
    page = Page(write_report(tmp_path / "report.html", alignment, **everything))
    pictures = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert len(pictures) == len(page.all("figure")) == 7
    assert all(len(svg["aria-label"] or "") > 40 for svg in pictures)
    assert all(svg.get("role") == "img" or svg.get("aria-hidden") == "true" for svg in page.all("svg"))
    assert all(cell.get("scope") in {"row", "col"} for cell in page.all("th"))
    assert "first in 100% of the rows" in page.source


def test_colors_come_from_the_page_and_the_page_knows_them_on_light_and_on_dark(
    tmp_path: Path, alignment: Alignment, everything: dict[str, Any]
) -> None:
    page = Page(write_report(tmp_path / "report.html", alignment, **everything))
    body = page.source[page.source.index("<body>") :]
    assert not re.findall(r"(?:fill|stroke): #\w+", body)
    style = (files("interlingua.report") / "style.css").read_text("utf-8")
    light, dark = style.split("prefers-color-scheme: dark")
    for name in re.findall(r"var\((--[\w-]+)\)", body) + [f"--{name}" for name in _figures.COLORS]:
        assert f"{name}:" in light
        assert f"{name}:" in dark


def test_a_bare_alignment_makes_a_report_without_pictures(tmp_path: Path, alignment: Alignment) -> None:
    bare = replace(alignment, source={}, target={}, settings={}, versions={})
    page = Page(write_report(tmp_path / "report.html", bare))
    assert not page.all("figure")
    assert "source" in page.headings
    assert "No pictures: the report was written without vectors." in page.text


def test_without_held_out_rows_the_spaces_are_drawn_and_nothing_is_called_held_out(
    tmp_path: Path, alignment: Alignment, spaces: tuple[EmbeddingSpace, EmbeddingSpace]
) -> None:
    page = Page(write_report(tmp_path / "report.html", alignment, source=spaces[0], target=spaces[1].vectors))
    assert len(page.all("figure")) == 4
    assert "held-out texts" not in " ".join(page.text)
    assert "Thin lines" not in " ".join(page.text)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_handful_of_held_out_rows_is_enough(tmp_path: Path, alignment: Alignment, everything: Any, n: int) -> None:
    few = {side: everything[side].vectors[:n] for side in ("source_eval", "target_eval")}
    assert len(Page(write_report(tmp_path / "report.html", alignment, **few)).all("figure")) == 7


def test_many_rows_stay_under_two_megabytes_and_1500_points(
    tmp_path: Path, alignment: Alignment, rng: np.random.Generator
) -> None:
    source, target = planted_spaces(rng, 6000)
    labels = {"eval": [f"topic {i % 30}" for i in range(6000)]}
    path = write_report(tmp_path / "report.html", alignment, source_eval=source, target_eval=target, labels=labels)
    assert path.stat().st_size < 2e6
    shown = " ".join(Page(path).text)
    assert "1,500 held-out rows" in shown
    assert "all other labels" in shown
    drawn = _rows.draw_paired(alignment.translator(), source, target, {}, rng)
    assert len(drawn.source) == _rows.POOL
    assert {len(side) for pair in _rows.planes(drawn).values() for side in pair} == {750}


def test_equal_inputs_give_equal_bytes_and_replace_an_existing_file(
    tmp_path: Path, alignment: Alignment, everything: dict[str, Any]
) -> None:
    (tmp_path / "b.html").write_text("old")
    a, b = (write_report(tmp_path / name, alignment, **everything).read_bytes() for name in ("a.html", "b.html"))
    assert a == b
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, alignment: Alignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fresh: Path, target: Path) -> None:
        raise OSError("no")

    (tmp_path / "report.html").write_text("old")
    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="no"):
        write_report(tmp_path / "report.html", alignment)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("name", ["report.pdf", "report", "report.json"])
def test_another_extension_is_refused(tmp_path: Path, alignment: Alignment, name: str) -> None:
    with pytest.raises(InputError, match=rf"The report .*{name} has extension '.*'; reports are \.html"):
        alignment.report(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_held_out_sides_of_different_length_are_refused(
    tmp_path: Path, alignment: Alignment, everything: dict[str, Any]
) -> None:
    everything["target_eval"] = everything["target"].vectors[:10]
    with pytest.raises(InputError, match="source_eval has 300 rows and target_eval 10"):
        write_report(tmp_path / "report.html", alignment, **everything)


@pytest.mark.parametrize(
    ("ceiling", "message"),
    [
        ({"what": "a fit"}, "paired_ceiling has the keys .'what'.; what, forward and backward are needed"),
        ({"what": "a fit", "forward": 0.9, "backward": {"top1": 1}}, r"paired_ceiling\['forward'\] is .* a mapping"),
        ({"what": "a fit", "forward": {"top1": 1}, "backward": {"top1": 2}}, r"paired_ceiling\['backward'\] is 2"),
    ],
)
def test_a_paired_ceiling_that_cannot_be_shown_is_refused(
    tmp_path: Path, alignment: Alignment, everything: dict[str, Any], ceiling: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_report(tmp_path / "report.html", alignment, **everything, paired_ceiling=ceiling)
    with pytest.raises(InputError, match="shown beside the scores of an evaluation; give evaluation too"):
        write_report(tmp_path / "report.html", alignment, paired_ceiling=ceiling)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("side", ["eval", "source", "target"])
def test_labels_of_another_length_are_refused(
    tmp_path: Path, alignment: Alignment, everything: dict[str, Any], side: str
) -> None:
    everything["labels"][side] = ["a"] * 7
    if side != "eval":
        everything["source_eval"] = everything["target_eval"] = None
    with pytest.raises(InputError, match=rf"7 entries in labels\['{side}'\] for 300 rows"):
        write_report(tmp_path / "report.html", alignment, **everything)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["matplotlib", "jinja2"])
def test_a_missing_extra_is_named(
    tmp_path: Path, alignment: Alignment, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"{module} is needed.*interlingua\[report\]"):
        write_report(tmp_path / "report.html", alignment)


def test_after_a_correct_translation_both_sides_coincide(drawn: _rows.PicturedRows) -> None:
    planes = _rows.planes(drawn)
    np.testing.assert_allclose(*planes["after"], atol=1e-5)
    assert all(np.isclose((side**2).sum(axis=1).mean(), 1, atol=1e-4) for side in planes["before"])


def test_the_drawn_ranks_are_those_of_the_metrics(drawn: _rows.PicturedRows, alignment: Alignment) -> None:
    noisy = replace(drawn, translated=drawn.translated[::-1].copy())
    expected = match_ranks(noisy.translated, noisy.target)[0]
    np.testing.assert_array_equal(_rows.ranks(noisy)["forward"], expected)
    assert (_rows.ranks(drawn)["backward"] == 1).all()


def test_the_heat_map_keeps_labels_together_and_shows_the_diagonal(drawn: _rows.PicturedRows) -> None:
    similarities = _rows.similarities(drawn)
    assert drawn.source_labels is not None
    labels = [drawn.source_labels[row] for row in similarities.rows]
    assert len(labels) == len(set(similarities.rows.tolist())) == _rows.HEAT_ROWS
    assert sum(a != b for a, b in zip(labels, labels[1:], strict=False)) == _rows.HEAT_LABELS - 1
    np.testing.assert_allclose(np.diag(similarities.matrices["across"]), 1, atol=1e-5)
    within, across = (similarities.matrices[name] for name in ("within_target", "across"))
    np.testing.assert_allclose(within, across, atol=1e-4)


def test_neighbors_leave_the_text_out_before_and_find_it_after(drawn: _rows.PicturedRows) -> None:
    for found in _rows.neighbors(drawn):
        assert found.name not in found.before
        assert found.after[0] == (found.name, True)
        assert not any(itself for _, itself in found.after[1:])


@pytest.mark.parametrize(
    ("value", "null", "threshold", "passed", "share"),
    [
        (0.3, 0.1, 0.5, False, 0.5),
        (0.1, 0.9, 0.5, True, 2.0),  # less is better
        (0.7, 0.9, 0.5, False, 0.5),
        (-3.0, 0.0, 0.5, False, 0.0),
        (9.0, 0.0, 0.5, True, 2.0),
        (float("nan"), 0.0, 0.5, False, 0.0),
        (1.0, 0.5, 0.5, True, 1.0),
        (1.0, 1.0, 3.0, True, 2.0),  # must stay near the null: close to it is a long bar
        (2.0, 1.0, 3.0, True, 1.5),
        (4.0, 1.0, 3.0, False, 0.5),
        (9.0, 1.0, 3.0, False, 0.0),
    ],
)
def test_the_bar_runs_from_null_to_threshold_whichever_is_greater(
    value: float, null: float, threshold: float, passed: bool, share: float
) -> None:
    length = bar_length(
        asdict(Evidence("x", value, null, threshold, passed, "", direction=direction_of(value, threshold, passed)))
    )
    assert length == pytest.approx(share)
    assert passed == (length >= 1)


@pytest.mark.parametrize(
    ("value", "threshold", "passed", "sign"),
    [(6.0, 5.0, True, "≥"), (4.0, 5.0, False, "≥"), (1.0, 3.8, True, "≤"), (4.0, 3.8, False, "≤")],
)
def test_the_sign_before_a_limit_says_which_side_passes(
    tmp_path: Path, alignment: Alignment, value: float, threshold: float, passed: bool, sign: str
) -> None:
    direction = direction_of(value, threshold, passed)
    evidence = Evidence("hubness", value, 1.0, threshold, passed, "Hubs.", direction=direction)
    assert comparison_sign(asdict(evidence)) == sign
    made = replace(alignment, verdict=Verdict(Status.ALIGNED, 0.5, (), (evidence,)))
    page = Page(write_report(tmp_path / "report.html", made))
    assert f"{sign} {threshold:.3f}" in page.text
    assert any(f"needed {sign} {threshold:.3f}" in (cell.get("aria-label") or "") for cell in page.all("td"))
