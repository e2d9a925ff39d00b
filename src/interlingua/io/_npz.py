"""`.npz`: an archive of arrays. Vectors stored uncompressed are memory-mapped, compressed ones streamed."""

from __future__ import annotations

import errno
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.errors import InputError
from interlingua.core.records import is_text
from interlingua.io._checks import check_unused
from interlingua.io._formats import AnyArray, Contents, Request
from interlingua.io._mapped import (
    ArraySink,
    ArraySource,
    MappedSource,
    StoredArray,
    choose_contents,
    is_numeric,
)
from interlingua.io._npy import Sink as NpySink
from interlingua.io._npy import read_header

if TYPE_CHECKING:
    import pyarrow as pa

_COPY_BYTES = 2**24
_CRC_BYTES = 2**20
# Deflate compresses by 1032:1 at most, so an archive that claims more has wrong sizes.
_MOST_COMPRESSION = 1032
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def open_source(path: Path, request: Request) -> MappedSource | StreamedSource:
    """List the arrays of an `.npz` file by their headers, and map or stream the one with the vectors."""
    check_unused(path, ".npz", column=request.column)
    try:
        with zipfile.ZipFile(path) as archive:
            files = [info.filename for info in archive.infolist()]
            repeated = next((name for name in files if files.count(name) > 1), None)
            if repeated is not None:
                raise InputError(f"{path} holds {repeated} twice; one of the two would be lost. Save it again.")
            members = {info.filename[:-4]: info for info in archive.infolist() if info.filename.endswith(".npy")}
            headers = {name: _member_header(archive, info, path) for name, info in members.items()}
    except (*_DAMAGED, OSError) as error:
        # The system calls a place before the beginning of the file an invalid argument.
        if isinstance(error, InputError) or (isinstance(error, OSError) and error.errno != errno.EINVAL):
            raise
        raise InputError(f"{path} is not a whole .npz archive ({error}). Save or download it again.") from error
    arrays = {
        name: StoredArray(shape, dtype, partial(_load, path, members[name].filename))
        for name, (shape, _, dtype, _) in headers.items()
    }
    contents = choose_contents(arrays, request, path)
    name = str(contents.vector_name)
    _, fortran, dtype, offset = headers[name]
    info = members[name]
    if info.compress_type == zipfile.ZIP_STORED:
        offset += _data_offset(path, info)
        matrix = np.memmap(path, dtype, "r", offset, contents.shape, "F" if fortran else "C")
        return StoredSource(path, contents, info.filename, matrix, arrays)
    if fortran:
        return MappedSource(contents, arrays[name].load(), arrays)
    return StreamedSource(path, contents, info.filename, dtype, offset, arrays)


class StoredSource(MappedSource):
    """Source over an uncompressed array; its checksum is verified before the first rows are read."""

    def __init__(
        self, path: Path, contents: Contents, member: str, matrix: AnyArray, others: Mapping[str, StoredArray]
    ) -> None:
        super().__init__(contents, matrix, others)
        self._path = path
        self._member = member
        self._verified = False

    def _vectors(self, start: int, stop: int, size: int) -> Iterator[AnyArray]:
        if not self._verified:
            try:
                with zipfile.ZipFile(self._path) as archive, archive.open(self._member) as file:
                    while file.read(_CRC_BYTES):
                        pass
            except _DAMAGED as error:
                raise _damaged_member(self._path, self._member, error) from error
            self._verified = True
        yield from super()._vectors(start, stop, size)


class StreamedSource(ArraySource):
    """Source over a compressed array in row order."""

    def __init__(
        self,
        path: Path,
        contents: Contents,
        member: str,
        dtype: np.dtype[Any],
        offset: int,
        others: Mapping[str, StoredArray],
    ) -> None:
        super().__init__(contents, others)
        self._path = path
        self._member = member
        self._dtype = dtype
        self._offset = offset

    def _vectors(self, start: int, stop: int, size: int) -> Iterator[AnyArray]:
        n, d = self.contents.shape
        width = d * self._dtype.itemsize
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open(self._member) as file:
                file.seek(self._offset + start * width)
                for row in range(start, stop, size):
                    end = min(row + size, stop)
                    data = file.read((end - row) * width)
                    rows = np.frombuffer(data, self._dtype).reshape(end - row, d)
                    if end == n:
                        file.read(1)  # zipfile verifies the checksum where a member ends
                    yield rows
        except _DAMAGED as error:
            raise _damaged_member(self._path, self._member, error) from error


def _member_header(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    if info.file_size > _MOST_COMPRESSION * max(info.compress_size, 1) + _COPY_BYTES:
        raise InputError(
            f"{path}: {info.filename} claims {info.file_size:,} bytes packed into {info.compress_size:,}, "
            "a ratio that arrays of vectors do not reach. It was not unpacked, because it "
            "could fill the memory; do not use this file."
        )
    with archive.open(info) as file:
        shape, fortran, dtype = read_header(file, info.file_size, path, info.filename[:-4])
        return shape, fortran, dtype, file.tell()


def _load(path: Path, member: str) -> AnyArray:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            array = np.asarray(np.lib.format.read_array(file, allow_pickle=False))
            file.read(1)  # zipfile verifies the checksum where a member ends
            return array
    except _DAMAGED as error:
        raise _damaged_member(path, member, error) from error


def _damaged_member(path: Path, member: str, error: Exception) -> InputError:
    return InputError(f"{path}: {member} is damaged ({error}). Save or download the archive again.")


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Return where a member's bytes begin: after its local header, which differs in length from the directory's."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name_length, extra_length = struct.unpack("<26x2H", file.read(30))
    return int(info.header_offset + 30 + name_length + extra_length)


class Sink(ArraySink, NpySink):
    """Writes the vectors as `.npy` and packs them, uncompressed, with the columns at the end."""

    @classmethod
    def holds(cls, field: pa.Field, *, is_id: bool) -> bool:
        """Return whether arrays can hold the column; text only as ids, because NumPy pads every text to the longest."""
        return is_numeric(field.type) or (is_id and is_text(field.type))

    def assemble(self, folder: Path, rows: int) -> Path:
        """Pack the archive; the vectors are copied once."""
        done = folder / "done.npz"
        with zipfile.ZipFile(done, "w", zipfile.ZIP_STORED) as archive:
            with (folder / self.stream).open("rb") as vectors, _member(archive, self._output.vector_name) as out:
                header = self._header(rows)
                vectors.seek(len(header))
                out.write(header)
                shutil.copyfileobj(vectors, out, _COPY_BYTES)
            for name, array in self._arrays(folder).items():
                with _member(archive, name) as out:
                    np.lib.format.write_array(out, array, allow_pickle=False)
        return done


def _member(archive: zipfile.ZipFile, name: str) -> Any:  # noqa: ANN401 - zipfile's file objects have no common type
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)
