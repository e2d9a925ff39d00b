from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from command_line import Run
from interlingua.core.errors import InputError
from interlingua.identification import UNKNOWN, Fingerprint, identify, load_table, save_table, shipped, value_grid

Rows = npt.NDArray[np.float32]
DEMO = Path(__file__).resolve().parents[1] / "demo" / "data"


def model(seed: int, d: int = 96) -> tuple[Rows, Rows]:
    """What stays the same of a model over texts: a common direction, and how much each coordinate varies."""
    rng = np.random.default_rng(seed)
    common, spread = rng.standard_normal(d), rng.gamma(3, size=d)
    return np.asarray(common, np.float32), np.asarray(spread, np.float32)


def collection(made_by: int, texts: int, n: int = 800) -> Rows:
    common, spread = model(made_by)
    rows = common + spread * np.random.default_rng(1000 + texts).standard_normal((n, len(common)))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture
def table() -> list[Fingerprint]:
    return [Fingerprint.of(collection(made_by, 0), f"model {made_by}") for made_by in range(5)]


@pytest.mark.parametrize("made_by", range(5))
def test_other_texts_of_a_known_model_are_recognized(made_by: int, table: list[Fingerprint]) -> None:
    found = identify(collection(made_by, 1), table=table)
    assert found.model == f"model {made_by}"
    assert (found.d, found.unit, found.rows) == (96, True, 800)


@pytest.mark.parametrize("made_by", range(10, 15))
def test_another_model_of_the_same_width_is_unknown(made_by: int, table: list[Fingerprint]) -> None:
    found = identify(collection(made_by, 1), table=table)
    assert found.model == UNKNOWN
    assert "needed" in found.reason


def test_a_rotated_collection_is_unknown(table: list[Fingerprint], rng: np.random.Generator) -> None:
    turn = np.linalg.qr(rng.standard_normal((96, 96)))[0].astype(np.float32)
    assert identify(collection(1, 1) @ turn, table=table).model == UNKNOWN


def test_a_width_of_no_known_model_is_unknown(table: list[Fingerprint]) -> None:
    found = identify(collection(1, 1)[:, :50], table=table)
    assert found.model == UNKNOWN
    assert "known widths are 96" in found.reason


def test_two_that_are_too_close_are_unknown(table: list[Fingerprint]) -> None:
    twin = Fingerprint.of(collection(2, 5), "twin")
    found = identify(collection(2, 1), table=[*table, twin])
    assert found.model == UNKNOWN
    assert "too close" in found.reason


def test_too_few_rows_are_refused(table: list[Fingerprint]) -> None:
    with pytest.raises(InputError, match="at least 50 rows"):
        identify(collection(1, 1)[:49], table=table)


def test_a_table_survives_its_file(table: list[Fingerprint], tmp_path: Path) -> None:
    save_table(tmp_path / "t.npz", table)
    again = load_table(tmp_path / "t.npz")
    assert [entry.name for entry in again] == [entry.name for entry in table]
    assert all(a.likeness(b)["mean"] > 0.999 for a, b in zip(again, table, strict=True))
    (tmp_path / "t.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a table of fingerprints"):
        load_table(tmp_path / "t.npz")


def test_the_precision_is_recognized_from_the_values(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((60, 512)).astype(np.float32)
    assert value_grid(rows) == "float32"
    assert value_grid(rows.astype(np.float16)) == "float16"
    assert value_grid(np.rint(rows * 40).clip(-127, 127) * np.float32(0.0123)) == "int8"
    # float16 holds these values exactly as well; the coarsest precision is the answer.
    assert value_grid(np.rint(rows * 40).clip(-128, 127) * np.float32(1 / 128)) == "int8"


def test_the_demo_is_recognized_from_the_command_line(run: Run) -> None:
    assert {entry.d for entry in shipped()} >= {256, 384, 512, 768}
    ran = run("identify", DEMO / "source.npy", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["model"] == "Universal Sentence Encoder"
    command = f"interlingua fit {DEMO / 'source.npy'} --source-encoder command:PROGRAM --target-encoder NEW_MODEL"
    assert ran.json["command"].startswith(command)
    assert command in run("identify", DEMO / "source.npy").out
    shown = run("identify", DEMO / "target.npy", "--rows", "2000")
    assert "WordLlama 256" in shown.out


def test_copies_of_one_row_are_refused_by_the_name_of_their_file(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "same.npy", np.ones((200, 384), np.float32))
    ran = run("identify", tmp_path / "same.npy")
    assert ran.code == 2
    assert f"{tmp_path / 'same.npy'} holds 200 copies of one row, which have no geometry" in " ".join(ran.err.split())
