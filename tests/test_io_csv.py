"""CSV as people have it: no value, row or column is lost in silence, and no message repeats the text of a row."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from interlingua.core.errors import InputError
from interlingua.io import open_vectors

ROWS = [f"{row},0.5,{row}.25,1.5,2" for row in range(12)]
HEADER = "id,v0,v1,v2,v3"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.parametrize("missing", ["", "NULL", "nan", "N/A"])
def test_a_value_that_is_missing_in_the_first_row_does_not_narrow_the_vectors(tmp_path: Path, missing: str) -> None:
    path = write(tmp_path / "x.csv", HEADER, f"0,1,2,3,{missing}", *ROWS[1:])
    assert open_vectors(path, skip_bad=True).d == 4
    if missing != "nan":
        with pytest.raises(
            InputError, match="row 0 has a value that is not a number in one of the columns 'v0' to 'v3'"
        ):
            open_vectors(path).check()


def test_a_first_row_without_any_vector_is_left_out_on_request(tmp_path: Path) -> None:
    wide = open_vectors(write(tmp_path / "x.csv", HEADER, "0,,,,", *ROWS[1:]), skip_bad=True)
    listed = open_vectors(write(tmp_path / "y.csv", "id,vector", "0,", '1,"[1, 2]"'), skip_bad=True)
    assert (wide.d, listed.d) == (4, 2)


@pytest.mark.parametrize(
    "lines",
    [
        ROWS,
        [f'{row},"[0.5, 1, {row}]"' for row in range(12)],
        [f'doc{row},some text,"[0.5, 1, {row}]"' for row in range(12)],
        [f'doc{row},3,"[0.5, 1, {row}]"' for row in range(12)],
        [f'doc{row},a,b,c,"[0.5 1. {row}.]"' for row in range(12)],
    ],
)
def test_a_file_without_names_is_refused_since_its_first_row_would_be_lost(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(InputError, match="first line holds numbers and no names, and would be lost. Add a line"):
        open_vectors(write(tmp_path / "x.csv", *lines))


def test_several_series_of_columns_are_chosen_among_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "id,a0,a1,b0,b1,b2", *(f"{row},1,2,3,4,{row}" for row in range(12)))
    with pytest.raises(InputError, match="'a0' to 'a1' and 'b0' to 'b2' could all be the vectors"):
        open_vectors(path)
    assert open_vectors(path, column="a0").vectors()[0].tolist() == [1, 2]
    assert open_vectors(path, column="b0").vectors()[3].tolist() == [3, 4, 3]
    with pytest.raises(InputError, match="no column 'c'; the file has 'id', 'a0'"):
        open_vectors(path, column="c")
    with pytest.raises(InputError, match="column 'id' holds no vectors. Vectors are lists of numbers"):
        open_vectors(path, column="id")


def test_three_series_of_columns_are_listed_as_in_a_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "id,a0,a1,b0,b1,c0,c1", *(f"{row},1,2,3,4,5,{row}" for row in range(12)))
    with pytest.raises(InputError, match="'a0' to 'a1', 'b0' to 'b1' and 'c0' to 'c1' could all be the vectors"):
        open_vectors(path)


def test_a_short_list_beside_a_series_is_not_taken_for_the_vectors(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", HEADER + ",box", *(f'{row},"[1, 2]"' for row in ROWS))
    with pytest.raises(InputError, match="'v0' to 'v3' and 'box' could all be the vectors"):
        open_vectors(path)
    assert open_vectors(path, column="v0").names == ("box",)


@pytest.mark.parametrize("names", ["id,v0,v1,v01,v2", "id,v0,v1,v3,v4", "id,v5,v6,v7,v8"])
def test_a_series_with_gaps_or_repeated_numbers_is_refused(tmp_path: Path, names: str) -> None:
    with pytest.raises(InputError, match="no column holds vectors. .* end in numbers from 0 or 1"):
        open_vectors(write(tmp_path / "x.csv", names, *ROWS))


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_separators_are_named(tmp_path: Path, mark: str) -> None:
    with pytest.raises(InputError, match=r"first line are separated by '.*'; commas are needed. Convert .* dtype=str"):
        open_vectors(write(tmp_path / "x.csv", *(line.replace(",", mark) for line in [HEADER, *ROWS])))


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("secret", ["se,cret", "caf\xe9,x"])
def test_messages_do_not_repeat_rows_and_nothing_is_printed(
    tmp_path: Path, secret: str, skip_bad: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["id,vector,title", '0,"[1, 2]",a', f'1,"[2, 3]",{secret}']
    (tmp_path / "x.csv").write_bytes("\n".join(lines).encode("latin-1"))
    if secret == "se,cret" and skip_bad:
        assert open_vectors(tmp_path / "x.csv", skip_bad=True).skipped == ["line 3"]
    else:
        with pytest.raises(InputError, match="line 3 has 4 fields and the first|not UTF-8 text. Convert") as caught:
            open_vectors(tmp_path / "x.csv", skip_bad=skip_bad)
        assert "cret" not in str(caught.value)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_packed_text_without_gz_in_its_name_is_refused(tmp_path: Path, kind: str) -> None:
    text = "\n".join([HEADER, *ROWS]).encode() if kind == "csv" else b'{"id": 1, "vector": [1, 2]}\n'
    packed = gzip.compress(text, mtime=0)
    for name, content, message in (
        (f"a.{kind}", packed, "is packed by gzip and its name does not say so. Add .gz"),
        (f"b.{kind}.gz", gzip.compress(packed), "is packed by gzip twice. Unpack it once"),
        (f"c.{kind}.gz", text, "is not packed by gzip. Remove .gz from its name"),
        (f"d.{kind}.gz", packed + b"junk", "cannot be unpacked"),
        (f"e.{kind}.gz", packed[:-9], "cannot be unpacked"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            open_vectors(tmp_path / name)


def test_numbers_with_underscores_are_no_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "id,vector", '0,"[1, 2]"', '1,"[1_0 2]"')
    with pytest.raises(InputError, match="row 1 of column 'vector' is not a list of numbers"):
        np.asarray(open_vectors(path).vectors())


def test_a_name_that_is_base64_by_chance_is_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "documenttext1234,vector", *(f'{row},"[0.5, 1, {row}]"' for row in range(12)))
    assert open_vectors(path).n == 12


@pytest.mark.parametrize("number", ["1_0", "\u0661", "\uff11", "0x1p3"])
def test_only_decimal_digits_are_numbers(tmp_path: Path, number: str) -> None:
    wide = write(tmp_path / "x.csv", HEADER, *ROWS, f"12,{number},2,3,4")
    listed = write(tmp_path / "y.csv", "id,vector", '0,"[1, 2]"', f'1,"[1 {number}]"')
    with pytest.raises(InputError, match="row 12 has a value that is not a number"):
        open_vectors(wide).vectors()
    with pytest.raises(InputError, match="row 1 of column 'vector' is not a list of numbers"):
        open_vectors(listed).vectors()
    words = tmp_path / "x.vec"
    words.write_bytes(b"2 2\na 1 2\nb 1 " + number.encode() + b"\n")
    with pytest.raises(InputError, match="line 3 is not a word in UTF-8 followed by 2 numbers"):
        open_vectors(words).vectors()
