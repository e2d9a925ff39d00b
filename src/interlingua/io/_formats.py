"""The interface of a file format, and the table of formats by extension."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

from interlingua.core.errors import InputError
from interlingua.core.wording import text_of

if TYPE_CHECKING:
    import pyarrow as pa

AnyArray = npt.NDArray[Any]
Buffers = Mapping[str, Sequence[bytes | memoryview]]

# Extension -> module, imported on use so that pyarrow is loaded only for the files that need it.
_MODULES = {
    ".fbin": "interlingua.io._bin",
    ".fvecs": "interlingua.io._fvecs",
    ".jsonl": "interlingua.io._jsonl",
    ".jsonl.gz": "interlingua.io._jsonl",
    ".ndjson": "interlingua.io._jsonl",
    ".ndjson.gz": "interlingua.io._jsonl",
    ".npy": "interlingua.io._npy",
    ".npz": "interlingua.io._npz",
    ".parquet": "interlingua.io._parquet",
    ".safetensors": "interlingua.io._safetensors",
}
EXTENSIONS: Mapping[str, str] = MappingProxyType(_MODULES)
_READ_ONLY = {
    ".arrow": "interlingua.io._arrow",
    ".csv": "interlingua.io._csv",
    ".csv.gz": "interlingua.io._csv",
    ".feather": "interlingua.io._arrow",
    ".ipc": "interlingua.io._arrow",
    ".bvecs": "interlingua.io._fvecs",
    ".h5": "interlingua.io._hdf5",
    ".hdf5": "interlingua.io._hdf5",
    ".i8bin": "interlingua.io._bin",
    ".ivecs": "interlingua.io._fvecs",
    ".u8bin": "interlingua.io._bin",
    ".vec": "interlingua.io._word_vectors",
}
READ_ONLY: Mapping[str, str] = MappingProxyType(_READ_ONLY)

_OPENED_BY_ARROW = ("._arrow", "._csv", "._parquet")
SCALE = "scale"
FLOATS = tuple(np.dtype(name) for name in ("float16", "float32", "float64"))
INT8 = np.dtype("int8")
UINT8 = np.dtype("uint8")
# NumPy saves bfloat16 as two bytes without a type; they are widened to float32 as they are read.
BFLOAT16 = np.dtype("V2")


@dataclass(frozen=True)
class Request:
    """Names that the caller requested; ``None`` leaves the choice to the reader.

    With ``skip_bad``, vectors that cannot be used are read as NaN, and lines that cannot be read are left out.
    """

    column: str | None = None
    key: str | None = None
    id_column: str | None = None
    quantized: bool = False
    shifted: bool = False
    skip_bad: bool = False


@dataclass(frozen=True)
class Contents:
    """Contents of a file, as its header describes them.

    Attributes:
        shape: (n, d) of the vectors.
        dtype: as stored, in native byte order.
        scale: the file's own scale of 8-bit integers, scalar or [d].
        offset: the file's own offset of 8-bit integers, scalar or [d], added after scaling.
        zero_point: the file's own zero point of 8-bit integers, scalar or [d], subtracted before scaling.
        skipped: ids of the lines that are left out, or their numbers as ``"line 7"``.
        origin: what the vectors were made of, if interlingua wrote them and the format has room for it.
        vector_name: column, key or array name, if the format has names.
        id_name: column that holds the ids, if any.
        schema: all columns except the vectors, ids included; ``None`` if there are no other columns.
        checked: whether opening has already refused NaN, infinity and zero rows.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    scale: npt.ArrayLike | None = None
    vector_name: str | None = None
    id_name: str | None = None
    schema: pa.Schema | None = None
    checked: bool = False
    offset: npt.ArrayLike | None = None
    zero_point: npt.ArrayLike | None = None
    skipped: Sequence[int | str] = ()
    origin: Mapping[str, str] | None = None


class Source(ABC):
    """An opened file of one format; without ids and not memory-mapped unless a subclass says otherwise."""

    contents: Contents

    @abstractmethod
    def blocks(self, start: int, stop: int, size: int, *, others: bool) -> Iterator[tuple[AnyArray, pa.Table | None]]:
        """Yield stored vectors [<= size, d] of rows ``start`` to ``stop`` and, if ``others``, the other columns."""

    def matrix(self) -> AnyArray | None:
        """Return all stored vectors [n, d] memory-mapped, or ``None`` when the format must be streamed."""
        return None

    def ids(self) -> pa.Array | None:
        """Return the id column, or ``None``."""
        return None


@dataclass(frozen=True)
class Output:
    """Format of the vectors that a writer writes; ``scale`` is set for int8 only, ``origin`` says what they are of."""

    d: int
    dtype: np.dtype[Any]
    scale: npt.NDArray[np.float32] | None
    vector_name: str
    extension: str
    origin: Mapping[str, str] | None = None


class Sink(ABC):
    """Encodes rows into append-only streams, files of a working folder, and makes the final file of them.

    Truncating every stream after any ``encode`` leaves a state that can be continued, so one checkpoint
    of byte counts is enough to resume every format.

    Attributes:
        dtypes: of the vectors that the format can hold.
        columns: what a file holds in addition to the vectors: columns of any type, those that JSON can represent,
            numbers, or nothing.
        holds_scale: whether a file holds the scale of 8-bit integers.
        reserved: names that no column can have in a file of 8-bit integers.
        stream: name of the stream that becomes the file.
    """

    dtypes: ClassVar[tuple[np.dtype[Any], ...]] = (*FLOATS, INT8)
    columns: ClassVar[Literal["typed", "json", "numbers", "none"]] = "none"
    holds_scale: ClassVar[bool] = False
    reserved: ClassVar[tuple[str, ...]] = ()
    stream: str

    def __init__(self, output: Output) -> None:
        self._output = output

    @classmethod
    def holds(cls, field: pa.Field, *, is_id: bool) -> bool:
        """Return whether a column of this type survives a round trip through the format."""
        return False

    def begin(self) -> Buffers:
        """Return the first bytes of each stream."""
        return {self.stream: [self._header(0)]}

    @abstractmethod
    def encode(self, vectors: AnyArray, others: pa.Table | None) -> Buffers:
        """Return the bytes that these rows append to each stream."""

    def assemble(self, folder: Path, rows: int) -> Path:
        """Make the finished file in ``folder`` from the streams and return its path; safe to repeat."""
        with (folder / self.stream).open("r+b") as file:
            file.write(self._header(rows))
        return folder / self.stream

    def _header(self, rows: int) -> bytes:
        """Return the bytes before the first row, whose number does not depend on ``rows``."""
        return b""


class Reader(Protocol):
    """Interface of a format module."""

    def open_source(self, path: Path, request: Request) -> Source:
        """Open ``path``."""
        ...


def find_sink(path: Path) -> tuple[type[Sink], str]:
    """Return the encoder of the format of ``path`` and its extension.

    Raises:
        InputError: no format has this extension, or one that is only read.
    """
    extension = _extension(path, supported=_MODULES)
    if extension in _READ_ONLY:
        raise InputError(f"{path}: {extension} files are read and not written; choose from {', '.join(_MODULES)}.")
    _check_name(path, _MODULES[extension])
    sink: type[Sink] = importlib.import_module(_MODULES[extension]).Sink
    return sink, extension


def find_reader(path: Path) -> Reader:
    """Return the module that reads ``path``.

    Raises:
        InputError: no format has this extension.
    """
    modules = _MODULES | _READ_ONLY
    module = modules[_extension(path, supported=modules)]
    _check_name(path, module)
    return cast(Reader, importlib.import_module(module))


def _check_name(path: Path, module: str) -> None:
    """Refuse a path of bytes that are not text where pyarrow opens the file, which takes no other paths.

    Raises:
        InputError: it is such a path.
    """
    if module.endswith(_OPENED_BY_ARROW) and (shown := text_of(str(path))) != str(path):
        raise InputError(
            f"{shown}: its name holds bytes that are not text in the encoding of this system, and such a file of this "
            "format cannot be opened. Rename it; or if the bytes are UTF-8, set the environment variable PYTHONUTF8=1."
        )


def _extension(path: Path, *, supported: Iterable[str]) -> str:
    """Return the extension of ``path`` that a format has.

    Args:
        path: the file.
        supported: the extensions that a message names.

    Raises:
        InputError: no format has this extension.
    """
    extensions = sorted(_MODULES | _READ_ONLY)
    extension = next((extension for extension in extensions if path.name.lower().endswith(extension)), None)
    if extension is None and (database := _database(path)):
        raise InputError(f"{path} is {database}")
    if extension is None:
        raise InputError(
            f"{path}: unknown extension; the supported extensions are {', '.join(sorted(supported))}. "
            "Convert or rename the file."
        )
    return extension


def _database(path: Path) -> str | None:
    """Return which database a file is and how to read it, as the rest of a sentence; None for any other file."""
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError:
        return None
    if start[8:12] == b"DUCK":
        return f"a DuckDB file; name the table and the column of its vectors: 'duckdb://{path}#TABLE.COLUMN'."
    if start.startswith(b"SQLite format 3"):
        return (
            "an SQLite file, which cannot be read. Write its vectors to a file of another format, such as .parquet, or "
            "import the table into DuckDB, whose extension sqlite reads it."
        )
    return None
