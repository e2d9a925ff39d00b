from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlingua.core.errors import InputError
from interlingua.io import read_labels, read_texts

TEXTS = ["first", "", "zweite – Zeile", "=1+1 <b>"]


def write(path: Path) -> Path:
    rows = [{"text": text, "label": ["a", "b"], "n": 1} for text in TEXTS]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines))
    elif path.suffix == ".jsonl":
        path.write_bytes(lines)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(f"{text}\n" for text in TEXTS), "utf-8")
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_every_format_gives_back_the_texts_in_order(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    assert read_texts(path) == TEXTS
    if not name.endswith(".txt"):
        assert read_labels(path) == [("a", "b")] * len(TEXTS)


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_missing_column_is_named_with_those_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"no (field|column) 'body'; it has .*text"):
        read_texts(write(tmp_path / name), "body")


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_number_is_no_text(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match='row 0 holds a number; a text is needed, or "" for a row without one'):
        read_texts(write(tmp_path / name), "n")


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_a_null_is_an_empty_text_only_where_that_is_allowed(tmp_path: Path, name: str) -> None:
    path, rows = tmp_path / name, [{"text": "a", "label": ["x"]}, {"text": None, "label": None}]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    assert read_texts(path, null_as_empty=True) == ["a", ""]
    assert read_labels(path, null_as_empty=True) == [("x",), ()]
    for read in (read_texts, read_labels):
        with pytest.raises(InputError, match='row 1 holds null; a text is needed, or "" for a row without one'):
            read(path)


def test_a_byte_order_mark_is_no_part_of_the_first_text(tmp_path: Path) -> None:
    for name in ("a.txt", "a.jsonl", "a.jsonl.gz"):
        path = write(tmp_path / name)
        plain = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
        marked = b"\xef\xbb\xbf" + plain
        path.write_bytes(gzip.compress(marked) if name.endswith(".gz") else marked)
        assert read_texts(path) == TEXTS


def test_the_first_bytes_that_are_not_utf_8_are_placed_in_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    # Longer than the parts in which a stream decodes a file.
    path.write_bytes(b"a line of text\n" * 3_000 + "caf\xe9 noir\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"not UTF-8 text \(.* at byte 45,003, in line 3001\); convert it"):
        read_texts(path)


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_texts(tmp_path / "a.txt")
    (tmp_path / "a.csv").write_text("text\n")
    with pytest.raises(InputError, match="has extension '.csv'; texts are read from .txt"):
        read_texts(tmp_path / "a.csv")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_texts(tmp_path / "b.txt")
    (tmp_path / "long.jsonl").write_text(json.dumps({"text": "x" * 5_000_000}) + "\n")
    with pytest.raises(InputError, match=r"5,000,000 characters; at most"):
        read_texts(tmp_path / "long.jsonl")
