"""FAISS indexes as people make them: ids of their own, negative ids, lists, and rows removed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap
from interlingua.core.translator import Translator
from interlingua.stores import open_source, open_store
from interlingua.stores.migration import migrate
from interlingua.stores.planning import Options, plan
from stores.migrations import D_IN, assert_migrated, translator, unit, whole

faiss = pytest.importorskip("faiss", reason="the extra faiss is not installed")

N = 400
IDS = np.random.default_rng(3).integers(-(2**62), 2**62, N)
VECTORS = unit(N, D_IN, 5)


def index(kind: str, ids: Any = None) -> Any:
    made = faiss.index_factory(D_IN, kind, faiss.METRIC_INNER_PRODUCT)
    made.train(VECTORS)
    if ids is None:
        made.add(VECTORS)
    else:
        made.add_with_ids(VECTORS, ids)
    return made


def saved(made: Any, folder: Path) -> str:
    faiss.write_index(made, str(folder / "old.faiss"))
    return f"faiss://{folder}/old.faiss"


def assert_holds(url: str, ids: Any, vectors: Any, tolerance: float = 1e-5) -> None:
    with open_source(url) as store:
        assert store.info().count == len(ids)
        found = whole(store, 64)
        order, expected = np.argsort(found.ids.to_numpy()), np.argsort(ids)
        np.testing.assert_array_equal(found.ids.to_numpy()[order], np.asarray(ids)[expected])
        np.testing.assert_allclose(found.vectors[order], vectors[expected], atol=tolerance)
        np.testing.assert_array_equal(store.fetch(found.ids[70:90]).vectors, found.vectors[70:90])


@pytest.mark.filterwarnings("ignore:.*keeps approximations")
@pytest.mark.parametrize(
    "kind", ["IVF8,Flat", "PCA12,IVF8,Flat", "IDMap,IVF8,Flat", "IDMap2,Flat", "IDMap,HNSW16,Flat"]
)
def test_vectors_stay_with_the_ids_that_they_were_added_with(kind: str, tmp_path: Path) -> None:
    assert_holds(saved(index(kind, IDS), tmp_path), IDS, VECTORS)


@pytest.mark.parametrize("kind", ["IVF8,Flat", "IDMap2,Flat", "IDMap,Flat"])
def test_rows_after_a_removal_keep_their_ids(kind: str, tmp_path: Path) -> None:
    made = index(kind, IDS)
    made.remove_ids(IDS[100:200])
    kept = np.r_[0:100, 200:N]
    assert_holds(saved(made, tmp_path), IDS[kept], VECTORS[kept])


def test_lists_with_gaps_in_the_row_numbers_are_read(tmp_path: Path) -> None:
    made = index("IVF8,Flat")
    made.remove_ids(np.arange(100, 200))
    kept = np.r_[0:100, 200:N]
    assert_holds(saved(made, tmp_path), kept, VECTORS[kept])


def test_removal_from_lists_inside_a_map_of_ids_is_refused(tmp_path: Path) -> None:
    made = index("IDMap2,IVF8,Flat", IDS)
    made.remove_ids(IDS[100:200])
    with open_source(saved(made, tmp_path)) as store, pytest.raises(InputError, match="gives rows the ids of others"):
        store.info()


def test_lists_with_repeated_ids_are_refused(tmp_path: Path) -> None:
    url = saved(index("IVF8,Flat", np.arange(N) // 2), tmp_path)
    with open_source(url) as store, pytest.raises(InputError, match="ids are repeated, for example 0"):
        store.info()


def test_packed_lists_are_refused_and_do_not_end_the_process(tmp_path: Path) -> None:
    url = saved(index("IVF8,PQ4x4fs", IDS), tmp_path)
    with open_source(url) as store, pytest.raises(InputError, match="cannot read vectors from once it was saved"):
        store.info()


@pytest.mark.parametrize("kind", ["IDMap2,Flat", "IDMap2,HNSW16,Flat", "IVF64,Flat"])
def test_a_search_finds_rows_whatever_their_id_and_list(kind: str, tmp_path: Path) -> None:
    ids = IDS.copy()
    if kind.startswith("IDMap"):
        ids[7] = -1  # also what FAISS calls a hit that it does not have; its lists leave such rows out
    with open_source(saved(index(kind, ids), tmp_path)) as store:
        assert [hits.ids[0] for hits in store.search(VECTORS, 3)] == ids.tolist()


def test_missing_hits_are_left_out(tmp_path: Path) -> None:
    made = faiss.index_factory(D_IN, "IDMap2,IVF4,Flat")
    made.train(VECTORS)
    made.add_with_ids(VECTORS[:3], np.array([-5, 0, 5]))
    with open_source(saved(made, tmp_path)) as store:
        hits = store.search(VECTORS[:1], 10)[0]
    assert sorted(hits.ids) == [-5, 0, 5]
    assert np.isfinite(hits.scores).all()


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_negative_ids_are_migrated(kind: str, tmp_path: Path) -> None:
    with open_source(saved(index("IVF8,Flat", IDS), tmp_path)) as old:
        records = whole(old)
        with open_store(f"faiss://{tmp_path}/new.faiss?index={kind}") as new:
            migrate(translator(), old, new, journal=tmp_path / "j")
    with open_store(f"faiss://{tmp_path}/new.faiss") as new:
        assert_migrated(records, new)


def test_an_index_that_announces_more_than_its_file_holds_costs_no_memory(tmp_path: Path) -> None:
    index = faiss.IndexIDMap2(faiss.IndexFlatL2(12))
    index.add_with_ids(np.ones((61, 12), np.float32), np.arange(61))
    content = bytearray(faiss.serialize_index(index).tobytes())
    place = content.rindex((61).to_bytes(8, "little"))  # the number of ids
    content[place : place + 8] = (2**33).to_bytes(8, "little")
    (tmp_path / "x.faiss").write_bytes(content)
    before = faiss.get_deserialization_vector_byte_limit()
    code = (
        "import resource\n"
        "def peak():\n    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "from interlingua.stores import open_store\n"
        f"store = open_store('faiss://{tmp_path}/x.faiss')\n"
        "before = peak()\n"  # a new process begins with the peak of the one that started it
        "try:\n    store.info()\nexcept ValueError as error:\n    print(error)\n"
        "print(peak() - before < 2**20)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "is not an index that FAISS can read" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "True"
    with pytest.raises(InputError, match="is not an index that FAISS can read"):
        open_store(f"faiss://{tmp_path}/x.faiss").info()
    assert faiss.get_deserialization_vector_byte_limit() == before


@pytest.mark.parametrize("place", [4, 8], ids=["width", "rows"])
def test_an_index_whose_parts_differ_is_refused(place: int, tmp_path: Path) -> None:
    index = faiss.IndexIDMap2(faiss.IndexFlatL2(12))
    index.add_with_ids(np.ones((61, 12), np.float32), np.arange(61))
    content = bytearray(faiss.serialize_index(index).tobytes())
    content[place] += 1
    (tmp_path / "x.faiss").write_bytes(content)
    with pytest.raises(InputError, match="is damaged: its parts differ|is not an index that FAISS can read"):
        open_store(f"faiss://{tmp_path}/x.faiss").info()


def test_translations_of_other_than_unit_norm_are_refused_by_the_plan(tmp_path: Path) -> None:
    url = f"faiss://{tmp_path}/new.faiss"
    with open_store(saved(index("Flat"), tmp_path)) as source, open_store(url) as target:
        unit_map = translator()
        assert isinstance(unit_map.forward, AffineMap)
        longer = replace(unit_map.forward, norm_out=2.0)
        scaled = Translator(longer, unit_map.backward, unit_map.profiles, unit_map.card)
        with pytest.raises(InputError, match="FAISS has no cosine, and the translated vectors are not of unit norm"):
            plan(scaled, source, target)
        with pytest.raises(InputError, match=r"Use metric=dot or metric=l2\."):
            migrate(scaled, source, target, journal=tmp_path / "j")
        assert plan(scaled, source, target, Options(metric="l2")).metric == "l2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.faiss"]
