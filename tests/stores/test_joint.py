"""Two collections of different models are searched as one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError, SpaceMismatchError
from interlingua.stores import Records, Spec, Store, open_store
from interlingua.stores.joint import JointSearch
from interlingua.stores.memory import MemoryStore
from stores.migrations import D_IN, D_OUT, cone, cone_translator, fill, translator, unit

N = 1200
Rows = npt.NDArray[np.float32]
Split = tuple[Rows, Rows]


@pytest.fixture
def memory() -> Callable[[str], Store]:
    return lambda name: open_store(f"memory://j#{name}")


def put(store: Store, ids: pa.Array, vectors: Rows, metric: str = "cosine") -> None:
    spec = Spec(vectors.shape[1], metric, ids.type, None, len(ids))  # type: ignore[arg-type]
    store.create(spec)
    store.upsert(Records(ids, vectors, None))


@pytest.fixture
def split(memory: Callable[[str], Store]) -> Split:
    """Rows of the target space; the first half is stored as the source space has it."""
    rows = unit(N, D_OUT, 5)
    put(memory("old"), pa.array(range(N // 2)), translator().invert(rows[: N // 2]))
    put(memory("new"), pa.array(range(N // 2, N)), rows[N // 2 :])
    return rows, unit(20, D_OUT, 6)


@pytest.mark.parametrize("sample", [0, 600])
def test_the_two_are_searched_as_one(memory: Callable[[str], Store], split: Split, sample: int) -> None:
    rows, queries = split
    joint = JointSearch(translator(), memory("old"), memory("new"), sample=sample)
    truth = np.argsort(-(queries @ rows.T), axis=1)[:, :10]
    shared = 0
    for hits, best in zip(joint.search(queries, 10), truth, strict=True):
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        shared += len({hit.id for hit in hits} & set(best.tolist()))
        for hit in hits:
            assert hit.translated == (hit.id < N // 2)
            assert hit.store == f"memory://j#{'old' if hit.translated else 'new'}"
            assert hit.raw == pytest.approx(float(rows[hit.id] @ queries[0]), abs=2)
    assert shared >= (200 if sample == 0 else 190)


def test_scores_of_another_scale_are_brought_to_one(memory: Callable[[str], Store], split: Split) -> None:
    rows, queries = split
    # Every row of the target's model has a part in common, and the translation lost it: its cosines are too low.
    common = np.full(D_OUT, 0.7, np.float32)
    cone, asked = (block + common for block in (rows, queries))
    for name, block in (("old", translator().invert(rows[: N // 2])), ("new", cone[N // 2 :])):
        ids = memory(name).fetch(pa.array(range(*((N // 2,) if name == "old" else (N // 2, N))))).ids
        memory(name).drop()
        put(memory(name), ids, block / np.linalg.norm(block, axis=1, keepdims=True))
    share = {}
    for sample in (0, 600):
        found = JointSearch(translator(), memory("old"), memory("new"), sample=sample).search(asked, 10)
        share[sample] = np.mean([hit.translated for hits in found for hit in hits])
    assert share[0] < 0.05
    assert 0.25 < share[600] < 0.75


def test_a_search_does_not_ask_for_the_facts_of_a_collection_again(
    memory: Callable[[str], Store], split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, queries = split
    joint = JointSearch(translator(), memory("old"), memory("new"), sample=0)
    monkeypatch.setattr(MemoryStore, "info", lambda store: pytest.fail("many stores count their rows for it"))
    assert len(joint.search(queries, 5, payload=True)) == len(queries)


def test_fewer_hits_are_the_first_of_more(memory: Callable[[str], Store], split: Split) -> None:
    _, queries = split
    noise = np.random.default_rng(3).standard_normal(queries.shape).astype(np.float32)
    asked = queries + 1.5 * noise * np.linalg.norm(queries, axis=1, keepdims=True) / queries.shape[1] ** 0.5
    joint = JointSearch(translator(), memory("old"))
    many = joint.search(asked, 10)
    for k in (1, 2, 5):
        assert [hits[:k] for hits in many] == joint.search(asked, k)


def test_one_collection_is_a_bridge(memory: Callable[[str], Store], split: Split) -> None:
    rows, _ = split
    hits = JointSearch(translator(), memory("old")).search(rows[17], 3)[0]
    assert hits[0].id == 17
    back = JointSearch(translator(), target=memory("new"), query_space="source")
    assert back.search(translator().invert(rows[900]), 3)[0][0].id == 900


def test_a_migrated_collection_is_searched_by_the_query_as_it_is(memory: Callable[[str], Store], split: Split) -> None:
    rows, queries = split
    put(memory("moved"), pa.array(range(N // 2)), rows[: N // 2])
    put(memory("back"), pa.array(range(N // 2, N)), translator().invert(rows[N // 2 :]))
    alone = JointSearch(translator(), memory("moved"), translated=True).search(queries, 5)
    assert all(hit.translated for hits in alone for hit in hits)
    truth = np.argsort(-(queries @ rows[: N // 2].T), axis=1)[:, :5]
    assert [[hit.id for hit in hits] for hits in alone] == truth.tolist()
    moved, old = (
        JointSearch(translator(), memory(name), memory("new"), translated=name == "moved").search(queries, 10)
        for name in ("moved", "old")
    )
    same = [len({hit.id for hit in a} & {hit.id for hit in b}) for a, b in zip(moved, old, strict=True)]
    assert np.mean(same) > 9.5
    back = JointSearch(translator(), None, memory("back"), query_space="source", translated=True)
    assert back.search(translator().invert(rows[900]), 1)[0][0].id == 900


def test_what_cannot_be_compared_is_refused(memory: Callable[[str], Store], split: Split) -> None:
    with pytest.raises(InputError, match="No collection was given"):
        JointSearch(translator())
    with pytest.raises(InputError, match="in the wrong order"):
        JointSearch(translator(), memory("new"), memory("old"))
    with pytest.raises(InputError, match=r"needs no translator to be searched alone: .*search\(queries, k\)"):
        JointSearch(translator(), memory("new"))
    with pytest.raises(InputError, match="If it was migrated with this translator, say so with translated=True"):
        JointSearch(translator(), memory("new"))
    with pytest.raises(InputError, match="of the other space.*leave translated=True out for one of the other model"):
        JointSearch(translator(), memory("old"), translated=True)
    with pytest.raises(InputError, match="No source collection was given, .*leave translated=True out"):
        JointSearch(translator(), target=memory("new"), translated=True)
    with pytest.raises(InputError, match="One collection was given, .* Leave unique_ids=True out"):
        JointSearch(translator(), memory("old"), unique_ids=True)
    fill(memory("far"), pa.array([1, 2]), None, metric="l2")
    with pytest.raises(InputError, match="searched by l2"):
        JointSearch(translator(), memory("far"))
    joint = JointSearch(translator(), memory("old"), memory("new"), sample=0)
    with pytest.raises(InputError, match="queries has 5 columns"):
        joint.search(np.ones((1, 5), np.float32))
    with pytest.raises(InputError, match="k is 0"):
        joint.search(np.ones((1, D_OUT), np.float32), 0)


def test_a_collection_or_queries_of_another_space_are_refused_unless_allowed(memory: Callable[[str], Store]) -> None:
    made = cone_translator()
    source, target = cone(1000, D_IN, 1), cone(1000, D_OUT, 2)
    put(memory("old"), pa.array(range(1000)), source)
    put(memory("negated"), pa.array(range(1000)), -target)
    with pytest.raises(SpaceMismatchError, match="#negated: The target vectors are of this .* opposite sign"):
        JointSearch(made, memory("old"), memory("negated"))
    assert JointSearch(made, memory("old"), memory("negated"), allow_foreign=True).search(target[:60], 1)
    bridge = JointSearch(made, memory("old"))
    assert bridge.search(target[:60], 1)
    with pytest.raises(SpaceMismatchError, match="The target vectors are of this model with the opposite sign"):
        bridge.search(-target[:60], 1)


def test_times_that_python_cannot_represent_are_text_in_hits(memory: Callable[[str], Store]) -> None:
    rows, when = unit(2, D_OUT, 5), pa.array([1, 1_000], pa.timestamp("ns"))
    payload = pa.table({"when": when})
    store = memory("new")
    store.create(Spec(D_OUT, "cosine", pa.int64(), payload.schema, 2))
    store.upsert(Records(pa.array([0, 1]), rows, payload))
    hits = JointSearch(translator(), target=store, sample=0).search(rows, 1, payload=True)
    assert [row[0].payload for row in hits] == [
        {"when": "1970-01-01T00:00:00.000000001"},
        {"when": datetime(1970, 1, 1, microsecond=1)},
    ]


def test_queries_are_searched_in_groups_with_the_same_hits(
    memory: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(memory("old"), pa.array(range(80)), unit(80, D_IN, 1))
    put(memory("new"), pa.array(range(80)), unit(80, D_OUT, 2))
    joint, queries = JointSearch(translator(), memory("old"), memory("new"), sample=0), unit(9, D_OUT, 3)
    together = joint.search(queries, 3)
    monkeypatch.setattr("interlingua.stores.joint._CANDIDATES", 200)
    done: list[tuple[str, int, int]] = []
    grouped = joint.search(queries, 3, on_rows=lambda *step: done.append(step))
    # Two queries with 100 candidates each, the fewest, are a group.
    assert done == [("searching", n, 9) for n in (2, 4, 6, 8, 9)]
    assert [[(hit.store, hit.id) for hit in row] for row in grouped] == [
        [(hit.store, hit.id) for hit in row] for row in together
    ]
    with pytest.raises(InputError, match="on_rows is 'no'; a function of a phase and two numbers"):
        joint.search(queries, 3, on_rows="no")  # type: ignore[arg-type]
