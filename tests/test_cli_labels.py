"""``interlingua fit --labels``: categories from a column of both files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from planted import encode, topics

N = 250


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two files of vectors with the main topic of each row, which every third row lacks."""
    folder = tmp_path_factory.mktemp("labels")
    rng = np.random.default_rng(0)
    content = topics(2 * N, 12, rng)
    topic = [None if i % 3 == 0 else f"topic {t}" for i, t in enumerate(content.argmax(axis=1))]
    paths = folder / "old.parquet", folder / "new.parquet"
    for path, d, column, rows in zip(paths, (14, 12), ("topic", "subject"), (slice(N), slice(N, None)), strict=True):
        vectors = pa.FixedSizeListArray.from_arrays(encode(content, d, rng, noise=0.3)[rows].ravel(), d)
        pq.write_table(pa.table({"vector": vectors, column: topic[rows], "row": range(N)}), path)
    return paths


def test_categories_are_read_from_a_column_of_each_file(run: Any, files: Any, given: Any, tmp_path: Path) -> None:
    ran = run(
        "fit", *files, "--labels", "topic", "--labels", "subject", "--out", tmp_path / "t", "--allow-failed", "--json"
    )
    assert ran.code == 0, ran.err
    for path, column, labels in zip(files, ("topic", "subject"), given["labels"], strict=True):
        assert labels == pq.read_table(path).column(column).to_pylist()
    assert any(item["name"] == "category_agreement" for item in ran.json["evidence"])


def test_categories_belong_to_the_rows_that_are_drawn(run: Any, files: Any, given: Any, tmp_path: Path) -> None:
    options = ("--labels", "row", "--rows", 120, "--seed", 3, "--allow-failed", "--out", tmp_path / "t")
    run("fit", *files, *options)
    for path, labels, side in zip(files, given["labels"], given["sides"], strict=True):
        vectors = np.stack(pq.read_table(path).column("vector").to_pylist())
        np.testing.assert_allclose(vectors[labels], side.vectors, rtol=1e-6)


def test_a_column_that_a_file_lacks_is_refused(run: Any, files: Any, tmp_path: Path) -> None:
    ran = run("fit", *files, "--labels", "topic", "--out", tmp_path / "t")
    assert ran.code == 2
    assert "new.parquet has no column 'topic'; its columns are subject, row." in " ".join(ran.err.split())


def test_the_option_is_given_twice_at_most(run: Any, files: Any, tmp_path: Path) -> None:
    ran = run("fit", *files, *("--labels", "row") * 3, "--out", tmp_path / "t")
    assert ran.code == 2
    assert "--labels was given 3 times; give it once for both files" in " ".join(ran.err.split())


def test_a_method_that_uses_no_labels_refuses_them(run: Any, files: Any, tmp_path: Path) -> None:
    ran = run("fit", *files, "--labels", "row", "--method", "identity", "--out", tmp_path / "t")
    assert ran.code == 2
    assert "labels were given and identity uses none. Leave --labels out, or choose the method linear." in " ".join(
        ran.err.split()
    )
