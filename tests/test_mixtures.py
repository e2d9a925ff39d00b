"""Two models in one collection are noticed, the rows of the smaller part are named, and one model is not two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from command_line import Run
from interlingua.identification import find_mixture
from planted import encode, topics

D = 128
DEMO = Path(__file__).parents[1] / "demo" / "data"


def collection(shares: tuple[int, ...], rng: np.random.Generator) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Rows of several models of one width in random order, and the model of each."""
    parts = [encode(topics(count, 40, rng, decay=0.1), D, rng) for count in shares]
    model, order = np.repeat(np.arange(len(shares)), shares), rng.permutation(sum(shares))
    return np.concatenate(parts)[order], model[order]


@pytest.mark.parametrize("few", [150, 600, 1500])
def test_the_rows_of_the_smaller_of_two_models_are_named(few: int, rng: np.random.Generator) -> None:
    rows, model = collection((3000 - few, few), rng)
    found = find_mixture(rows)
    assert found is not None
    assert found.share == pytest.approx(few / 3000, abs=0.01)
    right = (np.isin(np.arange(3000), found.rows) == (model == 1)).mean()
    assert max(right, 1 - right) > 0.99
    assert found.spectra[0] < 0.12


def test_one_model_and_few_rows_are_no_mixture(rng: np.random.Generator) -> None:
    rows, _ = collection((3000,), rng)
    assert find_mixture(rows) is None
    assert find_mixture(np.repeat(rows[:100], 5, axis=0)) is None


def test_real_vectors_of_one_model_are_no_mixture_and_of_two_are() -> None:
    old, new = (np.load(DEMO / f"{side}.npy").astype(np.float32)[:3000] for side in ("source", "target"))
    assert find_mixture(new) is None
    found = find_mixture(np.concatenate([new, old[:500, :256]]))
    assert found is not None
    assert len(np.setxor1d(found.rows, np.arange(3000, 3500))) < 10


def test_the_command_names_the_rows_by_their_ids(run: Run, tmp_path: Path, rng: np.random.Generator) -> None:
    rows, model = collection((900, 300), rng)
    lines = (f'{{"id": "row {i}", "vector": {row.tolist()}}}' for i, row in enumerate(rows))
    (tmp_path / "mixed.jsonl").write_text("\n".join(lines))
    ran = run("identify", tmp_path / "mixed.jsonl", "--json")
    mixture = ran.json["mixture"]
    assert (mixture["rows"], mixture["share"], mixture["model"]) == (300, 0.25, "unknown")
    assert set(mixture["ids"]) == {f"row {i}" for i in np.flatnonzero(model == 1)}
    text = run("identify", tmp_path / "mixed.jsonl").out
    assert "These are probably vectors of two models: about 300 of the 1,200 rows that were looked at (25%)" in text
    assert "and more, which --json lists" in text
    assert "Ids of these rows, the surest first: row " in text
    assert "unknown: " not in text
    part = run("identify", tmp_path / "mixed.jsonl", "--rows", 1_000).out
    assert "The other 200 rows were not looked at. --rows 1200 reads all rows, into memory." in part
    almost = " ".join(run("identify", tmp_path / "mixed.jsonl", "--rows", 1_199).out.split())
    assert "The other row was not looked at. --rows 1200 reads all rows, into memory." in almost
    assert run("identify", tmp_path / "mixed.jsonl", "--rows", 60, "--json").json["mixture"] is None


def test_the_surest_rows_come_first(rng: np.random.Generator) -> None:
    rows, model = collection((900, 300), rng)
    noise = rng.standard_normal(rows.shape).astype(np.float32)
    doubtful = np.flatnonzero(model == 1)[:100]
    rows[doubtful] += 0.7 * np.linalg.norm(rows[0]) * noise[doubtful] / np.linalg.norm(noise[0])
    found = find_mixture(rows)
    assert found is not None
    assert set(found.surest.tolist()) == set(found.rows.tolist())
    assert np.isin(found.surest[:100], doubtful).mean() < 0.1
