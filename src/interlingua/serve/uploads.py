"""Receives files: streamed to disk, limited in size, in number and in patience."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel
from anyio import to_thread

from interlingua.core.wording import size_of
from interlingua.serve.jobs import RefusedRequestError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["Uploads", "discard", "unless_gone"]

_BUFFER = 2**20
_RESERVE = 64 * 2**20
# A client must send this many bytes in this many seconds, or it is taken for one that has stopped.
_LEAST_BYTES, _PATIENCE_SECONDS = 64 * 2**10, 60.0

_Result = TypeVar("_Result")


class Uploads:
    """Writes the bodies of requests to files.

    Args:
        max_bytes: the largest body.
        most: how many may be written at once; more are refused.
        patience: seconds in which a client has to send 64 KiB or the rest of its file.
    """

    def __init__(self, max_bytes: int, most: int = 64, patience: float = _PATIENCE_SECONDS) -> None:
        self._max_bytes, self._most, self._patience = max_bytes, most, patience
        self._running = 0
        # Threads of their own: a slow disk must not keep threads from other requests.
        self._writers = anyio.CapacityLimiter(4)
        # Many files that arrive at once must not make the turns of the loop long, for which all other requests wait.
        self._turns = anyio.CapacityLimiter(4)

    async def receive(self, request: Request, path: Path) -> None:
        """Write the body of a request to a file.

        Raises:
            RefusedRequestError: it is too large, too slow, one of too many, or the disk is full.
        """
        announced = request.headers.get("content-length", "")
        size = int(announced) if announced.isdecimal() else 0
        if size > self._max_bytes:
            raise self._too_large()
        free = shutil.disk_usage(path.parent).free
        if size + _RESERVE > free:
            raise RefusedRequestError(
                507,
                f"The disk is full: the file has {size_of(size)} and {size_of(free)} are free in the temporary folder, "
                "of which some is kept back. Free space there, or start with TMPDIR set to another folder.",
            )
        if self._running >= self._most:
            raise RefusedRequestError(503, f"{self._running} files are being received; try again when one has arrived.")
        self._running += 1
        try:
            await self._write(request, path)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise RefusedRequestError(
                507,
                "The disk became full while the file arrived. Free space in the temporary folder, or start with TMPDIR "
                "set to another folder.",
            ) from error
        finally:
            self._running -= 1

    async def _write(self, request: Request, path: Path) -> None:
        chunks = request.stream().__aiter__()
        waiting = bytearray()
        total, counted, deadline = 0, 0, anyio.current_time() + self._patience
        with path.open("wb") as stream:
            while True:
                chunk: bytes | None = None
                with anyio.CancelScope(deadline=deadline):
                    chunk = await anext(chunks, b"")
                    if not chunk:
                        break
                if chunk is None:
                    raise RefusedRequestError(408, "The file stopped arriving and was given up; send it again.")
                total += len(chunk)
                if total > self._max_bytes:
                    raise self._too_large()
                if total - counted >= _LEAST_BYTES:
                    counted, deadline = total, anyio.current_time() + self._patience
                waiting += chunk
                if len(waiting) >= _BUFFER:
                    await to_thread.run_sync(stream.write, waiting, limiter=self._writers)
                    waiting = bytearray()
                # Nothing more of this file is read until its turn comes, and few have it in one turn of the loop.
                async with self._turns:
                    await anyio.lowlevel.checkpoint()
            await to_thread.run_sync(stream.write, waiting, limiter=self._writers)

    def _too_large(self) -> RefusedRequestError:
        return RefusedRequestError(
            413,
            f"The file is larger than {self._max_bytes // 2**20:,} MiB; start `interlingua serve` with a larger "
            "--max-mb, or use `interlingua fit`, which needs no upload.",
        )


async def unless_gone(request: Request, work: Callable[[], Awaitable[_Result]]) -> _Result:
    """Return the result of work that a client waits for; if the client goes away, the work is canceled.

    The body of the request must have been read.

    Raises:
        ClientDisconnect: the client went away.
    """
    from starlette.requests import ClientDisconnect

    results: list[Any] = []
    errors: list[Exception] = []

    async def watch(scope: anyio.CancelScope) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch, group.cancel_scope)
        try:
            results.append(await work())
        except Exception as error:  # noqa: BLE001 - a task group would wrap it in a group of its own
            errors.append(error)
        group.cancel_scope.cancel()
    if errors:
        raise errors[0]
    if not results:
        raise ClientDisconnect
    result: _Result = results[0]
    return result


async def discard(folder: Path) -> None:
    """Delete a folder, also when the request that made it is being canceled."""
    with anyio.CancelScope(shield=True), suppress(OSError):
        await to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))
