"""Rank the hits of a search again by their texts: translated vectors nominate rows, and the new model decides.

The query's model embeds the texts of the nominated rows, so their scores are those of a collection that was embedded
again. Only rows that the translation has nominated can be found, and only the texts of these rows are embedded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from interlingua.core.arguments import check_callable, check_count, check_text
from interlingua.core.arrays import check_matrix, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.stores.joint import JointHit

__all__ = ["rerank", "text_of"]


def rerank(
    results: Sequence[Sequence[JointHit]],
    queries: Any,
    encode: Callable[[list[str]], Any],
    *,
    column: str = "text",
    k: int = 10,
) -> list[list[JointHit]]:
    """Return the k best of the hits of each query by the cosine of the query with their texts.

    A hit without a text keeps its score, which estimates the same cosine, and is ranked among the others.

    Args:
        results: hits of each query with their payload, on the scale of the query's model, as
            `interlingua.stores.joint.JointSearch.search` returns them with ``payload=True``.
        queries: [q, d] vectors of the queries, or a single one [d].
        encode: returns vectors [n, d] of texts; the model of the queries.
        column: of the payload, with the texts.
        k: number of hits.

    Returns:
        Hits, best first, with ``reranked`` set where the score is that of the text.

    Raises:
        InputError: no hit has a text, or the vectors of the texts have another width than the queries.

    Example:
        ::

            encode = interlingua.encoders.open_encoder("sentence-transformers/all-MiniLM-L6-v2")
            queries = encode(["renew a passport"])
            nominated = JointSearch(translator, open_source(old)).search(queries, 100, payload=True)
            best = rerank(nominated, queries, encode)
    """
    k, column = check_count(k, "k", minimum=1), check_text(column, "column")
    check_callable(encode, "encode", "a function from a list of texts to vectors")
    units = np.asarray(queries)
    units = unit_rows(check_matrix(units[None] if units.ndim == 1 else units, "queries").astype(np.float32))
    if len(units) != len(results):
        raise InputError(
            f"results has length {len(results)} and queries has {count_of(len(units))}; the hits of each query are "
            "needed. Pass both in the same order."
        )
    found = [[text_of(hit, column) for hit in hits] for hits in results]
    texts = list(dict.fromkeys(text for row in found for text in row if text is not None))
    if not texts:
        if not any(results):
            return [[] for _ in results]
        columns = sorted({name for hits in results for hit in hits for name in hit.payload or ()})
        raise InputError(
            f"No hit has a text in a column {column!r}; its columns are {', '.join(columns) or 'none'}.",
            "Name the column of the texts with {text_column=...}.",
        )
    vectors = check_matrix(encode(texts), "the output of the encoder", width=units.shape[1])
    if len(vectors) != len(texts):
        returned = f"{count_of(len(vectors), 'vector')} for {count_of(len(texts), 'text')}"
        raise InputError(f"The encoder returned {returned}; one vector for each text is needed.")
    rows = dict(zip(texts, unit_rows(np.asarray(vectors, np.float32)), strict=True))
    ranked = []
    for query, hits, own in zip(units, results, found, strict=True):
        scored = [
            hit if text is None else replace(hit, score=float(rows[text] @ query), reranked=True)
            for hit, text in zip(hits, own, strict=True)
        ]
        ranked.append(sorted(scored, key=lambda hit: -hit.score)[:k])
    return ranked


def text_of(hit: JointHit, column: str) -> str | None:
    """Return the text of a hit in a column of its payload; None without one, or with a blank one."""
    value = (hit.payload or {}).get(column)
    return value if isinstance(value, str) and value.strip() else None
