from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.leakage.linkage import link_rows, linkage
from interlingua.leakage.membership import membership, membership_scores
from interlingua.report._statements import links_statement, membership_note

D = 48


def texts_like(rng: np.random.Generator, n: int) -> Any:
    """Rows in clusters, so that every row is similar to others."""
    centers = np.random.default_rng(0).standard_normal((30, D))
    return unit_rows((centers[rng.integers(0, 30, n)] + 0.7 * rng.standard_normal((n, D))).astype(np.float32))


def noisy(rows: Any, rng: np.random.Generator, level: float = 0.5) -> Any:
    return unit_rows(rows + np.float32(level / np.sqrt(D)) * rng.standard_normal(rows.shape).astype(np.float32))


@pytest.fixture
def sides(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    return tuple(texts_like(rng, n) for n in (600, 1_200, 600))


def test_members_are_found_and_other_records_of_the_same_kind_are_not(sides: Any, rng: np.random.Generator) -> None:
    members, controls, public = sides
    found = membership(members, controls, noisy(members, rng), public)
    assert found.auc.value > 0.95
    assert found.same_kind
    at_one_percent, at_one_permille = found.found[0.01], found.found[0.001]
    assert at_one_percent is not None
    assert at_one_permille is not None
    assert at_one_percent.value > 0.5
    assert at_one_permille.value <= at_one_percent.value
    blind = found.blind_found[0.01]
    assert blind is not None
    assert blind.value < 0.1
    assert (found.false_alarms[0], found.false_alarms[-1], found.finds[-1]) == (0, 1, 1)
    assert (np.diff(found.finds) >= 0).all()


def test_nothing_is_found_in_meaningless_translations(sides: Any, rng: np.random.Generator) -> None:
    members, controls, public = sides
    found = membership(members, controls, texts_like(rng, 600), public)
    assert abs(found.auc.value - 0.5) < 0.06
    assert found.found[0.01] is not None
    assert found.found[0.01].value < 0.06


def test_controls_of_another_kind_are_noticed(sides: Any, rng: np.random.Generator) -> None:
    members, _, public = sides
    other = unit_rows(members + np.float32(0.5))
    found = membership(members, other, texts_like(rng, 600), public)
    assert not found.same_kind
    assert found.to_dict()["same_kind"] is False


def test_few_controls_give_no_rate_of_one_permille(sides: Any, rng: np.random.Generator) -> None:
    members, controls, public = sides
    found = membership(members, controls[:200], noisy(members, rng), public)
    assert found.found[0.001] is None
    assert found.found[0.01] is not None
    with pytest.raises(InputError, match="There are 5 controls; at least 20 are needed"):
        membership(members, controls[:5], members, public)
    with pytest.raises(InputError, match="members have width 48 and the controls 8; one encoder"):
        membership(members, controls[:, :8], members, public)


def test_a_score_does_not_depend_on_other_records(sides: Any) -> None:
    members, controls, public = sides
    alone = membership_scores(controls, members, public)
    assert alone.shape == (len(controls),)
    assert membership_scores(controls, controls, public).mean() > alone.mean()


def test_members_and_controls_that_are_exchanged_are_noticed(sides: Any, rng: np.random.Generator) -> None:
    members, controls, public = sides
    translated = noisy(members, rng)
    right = membership(members, controls[:300], translated, public)
    assert not right.is_reversed
    assert membership_note(right) == ""
    exchanged = membership(controls[:300], members, translated, public)
    assert exchanged.is_reversed
    assert exchanged.to_dict()["is_reversed"] is True
    assert "Check that the two files are not exchanged, and that both hold vectors" in membership_note(exchanged)


def test_shared_texts_are_linked_and_others_are_not(sides: Any, rng: np.random.Generator) -> None:
    first, other, _ = sides
    second = np.concatenate([first[:300], other])
    names = [f"text {row}" for row in range(600)]
    texts = names, [*names[:300], *(f"other {row}" for row in range(len(other)))]
    found = linkage(noisy(first, rng), noisy(second, rng), texts=texts)
    assert found.measured is not None
    assert found.measured.shared == 0.5
    assert found.linked.value > 0.1
    assert found.p_value < 0.01
    assert found.measured.precision.value > 0.9
    assert found.measured.recall.value > 0.2
    assert found.measured.precision_control < 0.02


def test_rows_without_a_text_share_none(sides: Any) -> None:
    first, _, _ = sides
    blank = [""] * len(first)
    found = linkage(first, first, texts=(blank, blank))
    assert found.links > 0
    assert found.measured is not None
    assert (found.measured.shared, found.right_links) == (0.0, 0)


def test_links_are_measured_with_the_texts_that_are_known(sides: Any, rng: np.random.Generator) -> None:
    first, other, _ = sides
    second = np.concatenate([first[:300], other])
    names = [f"Text {row}" for row in range(600)]
    there = [*names[:300], *(f"other {row}" for row in range(len(other)))]
    whole = linkage(noisy(first, rng), noisy(second, rng), texts=(names, there))
    assert whole.measured is not None
    # The texts of a half of the rows are known, and the second system has other blanks and capitals.
    part = [name if row % 2 else "" for row, name in enumerate(names)]
    spelled = [f" {text.upper()}" for text in there]
    found = linkage(
        noisy(first, np.random.default_rng(5)), noisy(second, np.random.default_rng(6)), texts=(part, spelled)
    )
    assert found.measured is not None
    assert found.measured.rows == 300
    assert found.measured.shared == 0.5
    assert found.measured.precision.value > 0.9
    said = links_statement(found)
    assert f"of the {found.measured.compared} links between known texts are right" in said
    assert "50% of the 300 rows with a known text have their text among those of the second leak" in said
    # Only rows that are not linked have a known text.
    none = linkage(noisy(first, rng), noisy(second, rng), texts=(names, [""] * 300 + there[300:]))
    assert none.measured is not None
    assert none.measured.compared == 0 or "nan" not in links_statement(none)
    lone = linkage(noisy(first, rng), noisy(second, rng), texts=([*names[:1], *[""] * 599], ["", *there[1:]]))
    assert "nan" not in links_statement(lone)
    assert "None of these links is between known texts, so it is not known how many are right" in links_statement(lone)


def test_true_texts_in_another_spelling_refute_no_links(sides: Any, rng: np.random.Generator) -> None:
    first, other, _ = sides
    second = np.concatenate([first[:300], other])
    texts = [f"text {row}" for row in range(600)], [f"text {row}?" for row in range(len(second))]
    found = linkage(noisy(first, rng), noisy(second, rng), texts=texts)
    assert found.right_links == 0
    assert found.is_shown
    assert not found.are_right
    assert "the true texts do not confirm it. Check that both sides have them in the same" in links_statement(found)


def test_the_control_of_links_permutes_the_links_themselves(sides: Any, rng: np.random.Generator) -> None:
    # The rows with a link have one text, which is on both sides; the others share nothing.
    first, other, _ = sides
    second = np.concatenate([first[:300], other])
    texts = (
        ["common"] * 300 + [f"own {row}" for row in range(300)],
        ["common"] * 300 + [f"other {row}" for row in range(len(other))],
    )
    found = linkage(noisy(first, rng), noisy(second, rng), texts=texts)
    assert found.measured is not None
    assert found.measured.precision.value > 0.9
    assert found.measured.precision_control > 0.8
    assert not found.are_right


def test_a_share_of_all_or_none_of_the_members_has_an_interval(sides: Any) -> None:
    members, controls, public = sides
    found = membership(members[:20], controls[:300], members[:20], public).found[0.01]
    assert found is not None
    assert found.value == 1.0
    assert found.lower < 0.9


def test_collections_without_shared_texts_are_not_linked(sides: Any, rng: np.random.Generator) -> None:
    first, other, _ = sides
    found = linkage(noisy(first, rng), noisy(other, rng))
    assert found.linked.value < 0.03
    assert found.p_value > 0.01
    assert found.measured is None
    with pytest.raises(InputError, match="There are 3 texts for 600 rows of the first collection"):
        linkage(first, other, texts=(["a"] * 3, ["a"] * len(other)))
    with pytest.raises(InputError, match="a tuple of the texts of both collections is needed"):
        linkage(first, other, texts=[["a"] * 600, ["a"] * len(other)])  # type: ignore[arg-type]


def test_a_link_is_the_nearest_row(sides: Any) -> None:
    first = sides[0]
    links, leads, controls = link_rows(first, first)
    assert (links == np.arange(len(first))).mean() > 0.99
    assert leads.min() >= 0
    assert np.median(leads) > np.median(controls)


def test_leads_and_controls_are_normalized_spacings(sides: Any) -> None:
    first, second = sides[0][:150], sides[1][:140]
    links, leads, controls = link_rows(first, second)
    a, b = (unit_rows(side - side.mean(axis=0)) for side in (unit_rows(first), unit_rows(second)))
    scores = a @ b.T - np.sort(b @ a.T, axis=1)[:, -10:].mean(axis=1) / 2
    ordered = np.sort(scores, axis=1)[:, ::-1]
    assert (links == scores.argmax(axis=1)).all()
    np.testing.assert_allclose(leads, ordered[:, 0] - ordered[:, 1], atol=1e-5)
    np.testing.assert_allclose(controls, 2 * (ordered[:, 1] - ordered[:, 2]), atol=1e-5)
