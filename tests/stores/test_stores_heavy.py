"""Stores with heavy clients, and servers: `make test-stores` installs and runs them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from interlingua.core.errors import InputError
from interlingua.stores import Records, open_store
from interlingua.stores._base import sql_literal
from stores.contract import Open, StoreContract
from stores.servers import free_port
from stores.servers import postgres as postgres

pytestmark = pytest.mark.store


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestLance(StoreContract):
    scheme = "lancedb"

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("lancedb", reason="the extra lancedb is not installed")
        return lambda name: f"lancedb://{tmp_path}/l#{name}"

    def half_filled(self, opened: Open, url: Callable[[str], str], records: Records) -> str:
        import lance

        self.fill(opened("things"), records)
        path, _, name = url("things").removeprefix("lancedb://").partition("#")
        halves = ", ".join(sql_literal(value) for value in records.ids.to_pylist()[len(records) // 2 :])
        lance.dataset(f"{path}/{name}.lance").update({"vector": "null"}, where=f"id in ({halves})")
        return url("things")


class TestPostgres(StoreContract):
    scheme = "postgresql"

    @pytest.fixture
    def url(self, postgres: str) -> Callable[[str], str]:
        return lambda name: f"{postgres}#{name}.vector"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
class TestChroma(StoreContract):
    scheme = "chroma"

    nested = False

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("chromadb", reason="the extra chroma is not installed")
        return lambda name: f"chroma://{tmp_path}/c#{name}"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestChromaServer(StoreContract):
    scheme = "chroma"

    nested = False

    @pytest.fixture(scope="class")
    def server(self) -> Iterator[int]:
        pytest.importorskip("chromadb", reason="the extra chroma is not installed")
        folder, port = tempfile.mkdtemp(), free_port()
        command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", folder, "--host", "127.0.0.1"]
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and process.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            else:
                pytest.skip("chroma run did not start")
            yield port
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)

    @pytest.fixture
    def url(self, server: int) -> Callable[[str], str]:
        import chromadb

        client = chromadb.HttpClient("127.0.0.1", server)
        for found in client.list_collections():
            client.delete_collection(found.name)
        sessions = [part._server._session for part in (client, client._admin_client)]  # type: ignore[attr-defined, unused-ignore]
        client.close()  # type: ignore[attr-defined, unused-ignore]
        for session in sessions:
            session.close()  # the client leaves it open
        return lambda name: f"chroma://127.0.0.1:{server}#{name}"

    def test_a_closed_store_leaves_no_connection_open(self, opened: Open) -> None:
        with opened("things") as store:
            assert not store.exists()
            client = store._client  # type: ignore[attr-defined]
            sessions = [part._server._session for part in (client, client._admin_client)]
            assert not sessions[0].is_closed
        assert [session.is_closed for session in sessions] == [True, True]

    def test_a_path_names_tenant_and_database(self, url: Callable[[str], str], server: int) -> None:
        for path, name in (("tenants", "Acme"), ("tenants/Acme/databases", "Prod")):
            body, kind = json.dumps({"name": name}).encode(), {"Content-Type": "application/json"}
            urlopen(Request(f"http://127.0.0.1:{server}/api/v2/{path}", body, kind)).close()
        other = f"chroma://127.0.0.1:{server}/Acme/Prod#things"
        with open_store(url("things")) as trial, open_store(other) as real:
            self.fill(trial, self.rows("text", "documents", 20))
            self.fill(real, self.rows("text", "documents", 30))
        with open_store(url("things")) as trial, open_store(other) as real:
            assert (trial.info().count, real.info().count) == (20, 30)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
class TestMilvusLite(StoreContract):
    scheme = "milvus"

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("milvus_lite", reason="the extra milvus is not installed")
        return lambda name: f"milvus://{tmp_path}/m.db#{name}"

    def test_a_collection_whose_creation_was_killed_is_made_again(self, opened: Open, tmp_path: Path) -> None:
        leftover = tmp_path / "m.db" / "collections" / "things"
        leftover.mkdir(parents=True)
        (leftover / "schema.json.tmp").write_text("{")
        assert not opened("things").exists()
        self.fill(opened("things"), self.rows("int", "documents", 20))
        assert opened("things").info().count == 20

    def test_what_the_engine_keeps_in_a_folder_without_a_schema_is_left_alone(
        self, opened: Open, tmp_path: Path
    ) -> None:
        leftover = tmp_path / "m.db" / "collections" / "things"
        leftover.mkdir(parents=True)
        (leftover / "manifest.json").write_text("{}")
        with pytest.raises(InputError, match="cannot be created"):
            self.fill(opened("things"), self.rows("int", "documents", 20))
        assert (leftover / "manifest.json").is_file()
