"""JSON Lines as services, tools and operating systems write them."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interlingua.core.errors import InputError, InputWarning
from interlingua.io import create_writer, open_vectors

X = np.random.default_rng(0).standard_normal((40, 8)).round(5).astype(np.float32)
ROWS = [[float(str(value)) for value in row] for row in X]
LINES = [json.dumps({"id": f"d{row}", "embedding": values}) for row, values in enumerate(ROWS)]


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def openai(row: int, **changed: Any) -> dict[str, Any]:
    data = [{"object": "embedding", "index": 0, "embedding": ROWS[row]}]
    body = {"object": "list", "data": data, "model": "m", "usage": {"total_tokens": 5}}
    response = {"status_code": 200, "request_id": f"r{row}", "body": body}
    return {"id": f"batch_{row}", "custom_id": f"d{row}", "response": response, "error": None} | changed


def bedrock(row: int) -> dict[str, Any]:
    output = {"embedding": ROWS[row], "inputTextTokenCount": 3}
    return {"modelInput": {"inputText": "t"}, "recordId": f"d{row}", "modelOutput": output}


def bedrock_cohere(row: int) -> dict[str, Any]:
    output = {"embeddings": [ROWS[row]], "texts": ["t"]}
    return {"modelInput": {"texts": ["t"]}, "recordId": f"d{row}", "modelOutput": output}


def vertex(row: int) -> dict[str, Any]:
    embeddings = {"statistics": {"token_count": 3}, "values": ROWS[row]}
    return {"instance": {"content": "t"}, "predictions": [{"embeddings": embeddings}], "status": ""}


def gemini(row: int) -> dict[str, Any]:
    return {"key": f"d{row}", "response": {"embedding": {"values": ROWS[row]}}}


def cohere(row: int) -> dict[str, Any]:
    return {"text": "t", "embeddings": {"float": ROWS[row]}}


SERVICES: dict[str, tuple[Any, str]] = {
    "openai-batch": (openai, "response.body.data.0.embedding"),
    "bedrock-batch": (bedrock, "modelOutput.embedding"),
    "bedrock-cohere-batch": (bedrock_cohere, "modelOutput.embeddings.0"),
    "vertex-batch": (vertex, "predictions.0.embeddings.values"),
    "gemini-batch": (gemini, "response.embedding.values"),
    "cohere-embed-job": (cohere, "embeddings.float"),
}


@pytest.mark.parametrize("service", list(SERVICES))
@pytest.mark.parametrize("by", ["preset", "path", "search"])
def test_batch_outputs_of_services_are_read(tmp_path: Path, service: str, by: str) -> None:
    make, column = SERVICES[service]
    path = lines(tmp_path / "x.jsonl", [make(row) for row in range(40)])
    file = open_vectors(path, column={"preset": service, "path": column, "search": None}[by])
    np.testing.assert_array_equal(file.vectors(), X)
    np.testing.assert_array_equal(np.concatenate([batch.vectors for batch in file.batches(7, 10)]), X[10:])
    if service not in ("vertex-batch", "cohere-embed-job"):
        ids = file.ids()
        assert ids is not None
        assert ids.to_pylist() == [f"d{row}" for row in range(40)]
    # The vector is not repeated in the payload.
    payload = next(file.batches()).payload
    assert payload is None or str(ROWS[0][0]) not in str(payload.slice(0, 1).to_pylist())


def test_a_nested_vector_gets_a_column_of_its_own_in_the_output(tmp_path: Path) -> None:
    file = open_vectors(lines(tmp_path / "x.jsonl", [openai(row) for row in range(40)]), column="openai-batch")
    assert file.vector_name == "embedding"
    with create_writer(tmp_path / "y.parquet", d=8, dtype="float32", like=file) as writer:
        for batch in file.batches(7):
            writer.write(batch.vectors, batch)
    again = open_vectors(tmp_path / "y.parquet", id_column="custom_id")
    np.testing.assert_array_equal(again.vectors(), X)
    response = json.loads(next(again.batches()).payload.column("response")[0].as_py())  # type: ignore[union-attr]
    assert response["body"]["data"] == [{"object": "embedding", "index": 0}]


def test_a_line_with_several_vectors_is_refused_rather_than_cut(tmp_path: Path) -> None:
    several = openai(1)
    several["response"]["body"]["data"] *= 3
    path = lines(tmp_path / "x.jsonl", [openai(0), several, openai(2)])
    for column in (None, "openai-batch", "response.body.data.0.embedding"):
        with pytest.raises(InputError, match=r"line 2: 'response.body.data.0.embedding' holds 3 vectors and only one"):
            open_vectors(path, column=column)


def test_failed_requests_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    failed = {"status_code": 429, "body": {"error": {"message": "slow down"}}}
    rows = [openai(row, **({"response": failed} if row in (6, 20, 21) else {})) for row in range(40)]
    with pytest.raises(
        InputError,
        match=r"line 7: 'response.body.data.0.embedding' is missing; .* 3 of 40 lines cannot be used",
    ):
        open_vectors(lines(tmp_path / "x.jsonl", rows))


def test_failed_requests_before_the_first_vector_are_refused(tmp_path: Path) -> None:
    failed = {"custom_id": "a", "response": None, "error": {"message": "expired"}}
    good = {"custom_id": "b", "response": {"body": {"data": [{"embedding": [0.5, 1.5]}]}}, "error": None}
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, [failed, failed, good, good])))
    with pytest.raises(InputError, match="line 1 holds no vector, as is usual for a failed request, and line 3"):
        open_vectors(path)
    assert open_vectors(path, skip_bad=True).skipped == ["a", "a"]
    path.write_text("\n".join(map(json.dumps, [failed, failed])))
    with pytest.raises(InputError, match="has no line with a vector; at least 1 line"):
        open_vectors(path, skip_bad=True)


def test_bad_lines_of_every_kind_are_counted_together(tmp_path: Path) -> None:
    bad = ["oops", {"id": 1}, {"embedding": None}, {"embedding": [1.0]}, "[1]", {"embedding": ["a"] * 8}]
    path = lines(tmp_path / "x.jsonl", [*LINES[:3], *bad, *LINES[3:]])
    with pytest.raises(InputError, match=r"line 4 is not valid JSON .* 6 of 46 lines cannot be used"):
        open_vectors(path)


def test_base64_of_float32_and_json_text_are_vectors(tmp_path: Path) -> None:
    encoded = [{"id": row, "embedding": base64.b64encode(X[row].astype("<f4").tobytes()).decode()} for row in range(40)]
    np.testing.assert_array_equal(open_vectors(lines(tmp_path / "x.jsonl", encoded)).vectors(), X)
    texts = [{"id": row, "embedding": json.dumps(ROWS[row])} for row in range(40)]
    np.testing.assert_array_equal(open_vectors(lines(tmp_path / "y.jsonl", texts)).vectors(), X)
    encoded[5]["embedding"] = str(encoded[5]["embedding"])[:-5]
    with pytest.raises(InputError, match="line 6: 'embedding' is not a list of numbers"):
        open_vectors(lines(tmp_path / "z.jsonl", encoded))
    encoded[5]["embedding"] = base64.b64encode(X[5, :4].tobytes()).decode()
    with pytest.raises(InputError, match="line 6: 'embedding' has 4 values and the first row has 8"):
        open_vectors(lines(tmp_path / "z.jsonl", encoded))


def test_text_beside_the_vectors_is_never_taken_for_base64(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", [{"text": "abcdefghijklmnop", "emb": values} for values in ROWS])
    assert (open_vectors(path).vector_name, open_vectors(path).names) == ("emb", ("text",))


def test_a_header_line_is_left_out_with_a_warning(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", [{"model": "m", "dim": 8}, *LINES])
    with pytest.warns(InputWarning, match="line 1 holds no vector and other keys than the next; it was left out"):
        file = open_vectors(path)
    assert (file.n, file.names) == (40, ())
    np.testing.assert_array_equal(np.concatenate([batch.vectors for batch in file.batches(7, 3)]), X[3:])
    ids = file.ids()
    assert ids is not None
    assert ids.to_pylist() == [f"d{row}" for row in range(40)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", b"\xef\xbb\xbf" + "\n".join(LINES).encode()),
        ("x.jsonl", "\r\n".join(LINES).encode() + b"\r\n"),
        ("x.jsonl", "\n".join([*LINES[:5], "", "  ", *LINES[5:]]).encode() + b"\n\n"),
        ("x.ndjson", "\n".join(LINES).encode()),
        ("x.ndjson.gz", gzip.compress("\n".join(LINES).encode())),
        (
            "x.jsonl.gz",
            gzip.compress("\n".join(LINES[:20]).encode() + b"\n") + gzip.compress("\n".join(LINES[20:]).encode()),
        ),
    ],
)
def test_byte_order_marks_line_ends_and_several_members_of_gzip_change_nothing(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    file = open_vectors(tmp_path / name)
    np.testing.assert_array_equal(file.vectors(), X)
    assert (file.id_name, file.names) == ("id", ())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf16_is_refused_with_the_command_that_converts_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.jsonl").write_bytes("\n".join(LINES).encode(encoding))
    with pytest.raises(InputError, match="is not UTF-8 text: .* iconv -f UTF-16 -t UTF-8"):
        open_vectors(tmp_path / "x.jsonl")


def test_lines_that_end_with_carriage_returns_only_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes("\r".join(LINES).encode())
    with pytest.raises(InputError, match="line 1 holds several objects with a carriage return between them"):
        open_vectors(tmp_path / "x.jsonl")


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "a", "id": "b", "embedding": VECTOR}',
        '{"id": "a", "embedding": [1, 2, 3, 4, 5, 6, 7, 8], "embedding": VECTOR}',
        '{"id": "a", "meta": {"k": 1, "k": 2}, "embedding": VECTOR}',
    ],
)
def test_a_key_that_an_object_has_twice_is_refused_since_one_value_would_be_lost(tmp_path: Path, line: str) -> None:
    path = lines(tmp_path / "x.jsonl", [LINES[1], line.replace("VECTOR", str(ROWS[0]))])
    with pytest.raises(InputError, match="line 2 has the key '(id|embedding|k)' twice in one object"):
        open_vectors(path)
    assert open_vectors(path, skip_bad=True).n == 1


def test_whole_numbers_among_fractions_are_floats_only_where_these_hold_them_exactly(tmp_path: Path) -> None:
    for large, kind in ((2**53, "double"), (2**53 + 1, "string"), (-(2**53) - 1, "string")):
        numbers = [large, 0.5, 3]
        rows = [{"id": row, "n": number, "embedding": ROWS[row]} for row, number in enumerate(numbers)]
        (page,) = open_vectors(lines(tmp_path / "x.jsonl", rows)).batches()
        assert page.payload is not None
        assert str(page.payload.schema.field("n").type) == kind
        assert [json.loads(str(value)) for value in page.payload["n"].to_pylist()] == numbers


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        ([2**63, 2**64 - 1, 7], "uint64"),
        ([2**63, None, 2**60], "uint64"),
        ([2**63 - 1, -(2**63), 7], "int64"),
        ([2**63, -1, 7], "string"),
        ([2**64, 1, 7], "string"),
    ],
)
def test_ids_are_whole_numbers_of_64_bits_with_or_without_sign(tmp_path: Path, ids: list[Any], kind: str) -> None:
    rows = [{"id": value, "embedding": ROWS[row]} for row, value in enumerate(ids)]
    read = open_vectors(lines(tmp_path / "x.jsonl", rows)).ids()
    assert read is not None
    assert str(read.type) == kind
    assert read.to_pylist() == (ids if kind != "string" else list(map(str, ids)))


@pytest.mark.parametrize("key", ["id", "n", "embedding"])
def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path, key: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"id": 1, "embedding": [1, 2]}) + "\n" + f'{{"{key}": {"9" * 5_000}}}\n', "utf-8")
    with pytest.raises(InputError, match="line 2 has a whole number of thousands of digits. Write it as text") as error:
        open_vectors(path)
    assert len(str(error.value)) < 300


def test_ids_that_are_text_or_beyond_64_bits_are_read_as_plain_text(tmp_path: Path) -> None:
    ids = ["a", 2**64, 7, 2**60, '"quoted"']
    rows = [{"id": value, "embedding": ROWS[row]} for row, value in enumerate(ids)]
    file = open_vectors(lines(tmp_path / "x.jsonl", rows))
    read = file.ids()
    assert read is not None
    assert read.to_pylist() == ["a", str(2**64), "7", str(2**60), '"quoted"']
    rows.append({"id": str(2**64), "embedding": ROWS[6]})
    with pytest.raises(InputError, match="is the number 18446744073709551616 in some lines and the text"):
        open_vectors(lines(tmp_path / "x.jsonl", rows))
