"""Hits are ranked again by their texts, and those without a text among them by their score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError
from interlingua.stores import open_store
from interlingua.stores.joint import JointHit, JointSearch
from interlingua.stores.rerank import rerank
from stores.migrations import D_IN, D_OUT, fill, translator, unit

VECTORS = {"right": [1.0, 0.0], "near": [0.8, 0.6], "far": [0.0, 1.0]}


def hit(number: int, score: float, text: Any, **payload: Any) -> JointHit:
    return JointHit("memory://a#b", number, score, score, True, {"text": text, **payload})


def encode(texts: list[str]) -> Any:
    assert len(texts) == len(set(texts)), "a text is embedded once"
    return np.array([VECTORS[text] for text in texts])


def test_texts_decide_and_hits_without_them_keep_their_score() -> None:
    hits = [hit(1, 0.9, "far"), hit(2, 0.8, "right"), hit(3, 0.7, None), hit(4, 0.6, "near"), hit(5, 0.95, " ")]
    best = rerank([hits, hits[:1]], [[2.0, 0.0], [0.0, 3.0]], encode, k=4)
    assert [each.id for each in best[0]] == [2, 5, 4, 3]
    assert [each.score for each in best[0]] == pytest.approx([1, 0.95, 0.8, 0.7])
    assert [each.reranked for each in best[0]] == [True, False, True, False]
    assert best[0][0].raw == 0.8
    assert best[1][0].score == pytest.approx(1)


def test_one_query_and_another_column() -> None:
    best = rerank([[hit(1, 0.5, None, body="near")]], [1.0, 0.0], encode, column="body")
    assert best[0][0].score == pytest.approx(0.8)
    assert rerank([[]], [1.0, 0.0], encode) == [[]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"column": "body"}, "No hit has a text in a column 'body'; its columns are text"),
        (
            {"queries": [[1.0, 0.0]] * 2},
            "length 1 and queries has 2 rows; the hits of each query are needed",
        ),
        ({"queries": [[1.0, 0.0, 0.0]]}, "the output of the encoder has 2 columns; 3 are needed"),
        ({"encode": lambda texts: np.ones((3, 2))}, "returned 3 vectors for 1 text; one vector for each text"),
        ({"encode": "minilm"}, "encode is 'minilm'; a function"),
        ({"k": 0}, "k is 0"),
    ],
)
def test_what_cannot_be_ranked_is_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"results": [[hit(1, 0.5, "near")]], "queries": [[1.0, 0.0]], "encode": encode, **change}
    with pytest.raises(InputError, match=message):
        rerank(given.pop("results"), given.pop("queries"), given.pop("encode"), **given)


def test_nominees_of_a_collection_are_ranked_again() -> None:
    texts = [f"row {i}" for i in range(300)]
    with open_store("memory://r#old") as store:
        records = fill(store, pa.array(range(300)), pa.table({"text": texts, "year": range(300)}))
        real = unit(300, D_OUT, 8)
        joint = JointSearch(translator(), store)
        queries = translator().translate(records.vectors[:3])
        found = joint.search(queries, 300, payload=True)
        assert found[0][0].payload == {"text": "row 0", "year": 0}
        assert joint.search(queries, 1)[0][0].payload is None
        best = rerank(found, real[:3], lambda asked: np.stack([real[int(text.split()[1])] for text in asked]))
    assert [hits[0].id for hits in best] == [0, 1, 2]
    assert D_IN != D_OUT
