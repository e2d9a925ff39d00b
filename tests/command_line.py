"""Commands run in this process on planted spaces: fixtures and types for the tests of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from interlingua.cli import main
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator
from planted import groups

Rows = npt.NDArray[np.float32]
N, D_SOURCE, D_TARGET = 600, 24, 16


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        assert self.out.count("\n") == 1
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return call


def insert(connection: Any, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows into a table of DuckDB in one statement: one for each row would take a thousandth of a second."""
    columns = {str(number): pa.array(column) for number, column in enumerate(zip(*rows, strict=True))}
    connection.register("given", pa.table(columns))
    connection.execute(f"insert into {table} select * from given")
    connection.unregister("given")


def unit(rows: npt.NDArray[Any]) -> Rows:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture
def planted(rng: np.random.Generator) -> tuple[Rows, Rows]:
    """One set of vectors in two frames, of different widths and an exact rotation apart, which a short fit finds."""
    latent = groups(N, D_TARGET, rng)
    frames = [np.linalg.qr(rng.standard_normal((width, D_TARGET)))[0] for width in (D_SOURCE, D_TARGET)]
    source, target = (unit(latent @ frame.T) for frame in frames)
    return source, target


@pytest.fixture
def folder(tmp_path: Path, planted: tuple[Rows, Rows]) -> Path:
    """Files of both sides, and all pairs known."""
    np.save(tmp_path / "source.npy", planted[0])
    np.save(tmp_path / "target.npy", planted[1])
    np.save(tmp_path / "pairs.npy", np.stack([np.arange(N)] * 2, axis=1))
    return tmp_path


@pytest.fixture
def saved(folder: Path, planted: tuple[Rows, Rows]) -> Path:
    """A translator that is right by construction."""
    source, target = planted
    matrix = np.linalg.lstsq(source, target, rcond=1e-4)[0]
    zeros = np.zeros(D_SOURCE, np.float32), np.zeros(D_TARGET, np.float32)
    card = {
        "source": {"name": "left", "n": N, "d": D_SOURCE, "fingerprint": "0" * 16},
        "target": {"name": "right", "n": N, "d": D_TARGET, "fingerprint": "1" * 16},
        "verdict": {"status": "aligned", "score": 0.9, "reasons": ["It was made so."], "evidence": []},
        "method": "planted",
        "seed": 0,
        "settings": {},
        "versions": {},
        "seconds": 0.0,
    }
    forward = AffineMap(zeros[0], matrix, zeros[1])
    backward = AffineMap(zeros[1], np.ascontiguousarray(matrix.T), zeros[0])
    profiles = SpaceProfile.of(source), SpaceProfile.of(target)
    return Translator(forward, backward, profiles, card).save(folder / "translator")
