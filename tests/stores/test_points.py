"""Collections of Qdrant as people have them: numbers and UUIDs as ids, and points without the vector."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError
from interlingua.stores import Records, Spec, Store, open_store
from interlingua.stores._documents import from_documents
from interlingua.stores._points import MIXED, check_ids
from interlingua.stores.migration import migrate
from interlingua.stores.planning import Options, plan
from stores.contract import uuids
from stores.migrations import D_IN, assert_migrated, translator, unit, whole

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

At = Callable[[str], Store]
PAGE = 16
# The numbers fill whole pages, so that every page has ids of one kind.
NUMBERS = [*range(2 * PAGE - 1), 2**64 - 1]
KINDS = ["qdrant", "qdrant-edge"]


@pytest.fixture
def at(tmp_path: Path) -> Iterator[At]:
    """Return what opens a store in a folder of this test, and closes it after the test."""
    pytest.importorskip("qdrant_client", reason="the extra qdrant is not installed")
    pytest.importorskip("qdrant_edge", reason="the extra qdrant-edge is not installed")
    stores: list[Store] = []

    def open_one(address: str) -> Store:
        kind, separator, names = address.partition("#")
        stores.append(
            open_store(f"{kind}://{tmp_path}{'/q' if kind == 'qdrant' else ''}#{names}" if separator else kind)
        )
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def mixed(store: Store, beside: Store | None = None) -> Records:
    ids = [str(value) for value in NUMBERS] + uuids(20)
    documents = from_documents([{"row": i} for i in range(len(ids))])
    records = Records(pa.array(ids), unit(len(ids), D_IN, 3), documents)
    spec = Spec(D_IN, "cosine", pa.string(), documents.schema, len(ids), id_metadata=MIXED)
    store.create(spec)
    store.prepare(spec, 0)
    store.upsert(records)
    store.finish()
    return records


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["qdrant#new.v", "qdrant-edge#new.v", "beside", "file"])
def test_numbers_and_uuids_are_migrated_together(kind: str, target: str, at: At, tmp_path: Path) -> None:
    old = at(f"{kind}#old.first")
    records = mixed(old)
    address = {"beside": f"{kind}#old.second", "file": str(tmp_path / "new.parquet")}.get(target, target)
    new = at(address)
    result = migrate(translator(), old, new, journal=tmp_path / "j", options=Options(page_rows=PAGE))
    assert "numbers and UUIDs" in " ".join(result.plan.notes)
    assert_migrated(records, at(address))
    assert new.fetch(pa.array(["17", str(2**64 - 1)])).ids.to_pylist() == ["17", str(2**64 - 1)]
    if target != "file":
        # The numbers are numbers again: text of digits alone is no id of Qdrant.
        assert new.info().id_metadata == MIXED


@pytest.mark.parametrize("kind", KINDS)
def test_searches_name_mixed_ids_as_scans_do(kind: str, at: At) -> None:
    old = at(f"{kind}#old")
    records = mixed(old)
    hits = old.search(records.vectors[[5, -1]], 1)
    assert [found.ids for found in hits] == [["5"], [records.ids[-1].as_py()]]


def test_numbers_and_uuids_are_refused_where_only_numbers_are_kept(at: At, tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="the extra faiss is not installed")
    old = at("qdrant#old")
    mixed(old)
    with pytest.raises(InputError, match="keeps int ids only"):
        plan(translator(), old, at(f"faiss://{tmp_path}/new.faiss"), Options(drop_payload=True))
    assert not (tmp_path / "new.faiss").exists()


def partly(kind: str, at: At) -> Records:
    """Make a collection whose vector `second` every third point lacks, and return the points that have it."""
    first, second = at(f"{kind}#old.first"), at(f"{kind}#old.second")
    documents = from_documents([{"row": i} for i in range(60)])
    records = Records(pa.array(range(60), pa.uint64()), unit(60, D_IN, 3), documents)
    spec = Spec(D_IN, "cosine", pa.uint64(), documents.schema, 60)
    first.create(spec)
    first.prepare(spec, 0)
    first.upsert(records)
    first.finish()
    kept = records.take([i for i in range(60) if i % 3])
    beside = Spec(D_IN, "cosine", pa.uint64(), None, 40, as_new_vector=True)
    second.create(beside)
    second.prepare(beside, 0)
    second.upsert(Records(kept.ids, kept.vectors))
    second.finish()
    return kept


@pytest.mark.parametrize("kind", KINDS)
def test_points_without_the_vector_are_counted_and_refused(kind: str, at: At, tmp_path: Path) -> None:
    partly(kind, at)
    old, new = at(f"{kind}#old.second"), at(str(tmp_path / "new.parquet"))
    made = plan(translator(), old, new)
    assert (made.rows, made.nulls, made.first_null) == (40, 20, "0")
    with pytest.raises(InputError, match="the vector of id 0 is null; 20 rows have no vector and 40 have one"):
        migrate(translator(), at(f"{kind}#old.second"), new, journal=tmp_path / "j")
    assert not new.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_points_without_the_vector_are_left_out_and_listed(kind: str, at: At, tmp_path: Path) -> None:
    kept = partly(kind, at)
    old, new = at(f"{kind}#old.second"), at(f"{kind}#new")
    result = migrate(translator(), old, new, journal=tmp_path / "j", options=Options(skip_null=True, page_rows=7))
    assert result.skipped_ids is not None
    lines = Path(result.skipped_ids).read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(range(0, 60, 3))
    assert_migrated(kept, new)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vector_that_no_point_has_is_refused(kind: str, at: At) -> None:
    partly(kind, at)
    third = at(f"{kind}#old.third")
    third.create(Spec(D_IN, "cosine", pa.uint64(), None, 60, as_new_vector=True))
    with pytest.raises(InputError, match="none of the 60 points has a vector; at least one must have one"):
        third.info()


def test_conditions_are_refused(at: At) -> None:
    for kind in KINDS:
        with pytest.raises(InputError, match="cannot select rows"):
            at(f"{kind}#old").restrict(where="row = 1")


def test_a_prefix_is_sent_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = pytest.importorskip("qdrant_client.qdrant_remote", reason="the extra qdrant is not installed")
    # It asks for the server's version in a thread of its own, which may outlive this test.
    monkeypatch.setattr(remote.QdrantRemote, "_check_compatibility", lambda *arguments: None)
    paths: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            body = b'{"result": {"exists": false}, "status": "ok", "time": 0}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with open_store(f"qdrant://127.0.0.1:{server.server_port}?prefix=Vector/Store#docs") as store:
            assert not store.exists()
    finally:
        server.shutdown()
        server.server_close()
    assert "/Vector/Store/collections/docs/exists" in paths


def test_numbers_are_read_before_uuids(at: At) -> None:
    records = mixed(at("qdrant#old"))
    assert whole(at("qdrant#old"), PAGE).ids.to_pylist()[: 2 * PAGE] == records.ids.to_pylist()[: 2 * PAGE]
    assert np.isfinite(whole(at("qdrant#old"), PAGE).vectors).all()


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["7", "8"], "the id '7' is text; Qdrant takes whole numbers"),
        (["9" * 5_000, "a"], r"the id '9+\.\.\.; Qdrant takes whole numbers"),
        (["x" * 100_000, "a"], r"the id 'x+\.\.\.; Qdrant takes whole numbers"),
        ([-1, 2**60], "the id -1; Qdrant takes whole numbers from 0"),
    ],
)
def test_an_id_that_is_none_of_qdrant_is_named_in_a_few_words(ids: list[Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        check_ids(ids, "qdrant://x#c")
    assert len(str(error.value)) < 400


def test_numbers_of_64_bits_in_a_file_of_json_are_ids(at: At, tmp_path: Path) -> None:
    ids = [2**63 + row for row in range(20)]
    vectors = unit(20, D_IN, 3)
    rows = [{"id": key, "v": vector} for key, vector in zip(ids, vectors.tolist(), strict=True)]
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    new = at("qdrant#new")
    migrate(translator(), open_store(str(tmp_path / "old.jsonl")), new, journal=tmp_path / "j")
    assert sorted(new.fetch(pa.array(ids, pa.uint64())).ids.to_pylist()) == ids
