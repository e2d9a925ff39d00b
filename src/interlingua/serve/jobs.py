"""Work that a request waits for, in a process of its own, so that neither size nor damage of a file stops the server.

The process ends when the server or the client that waits for it goes away.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Any, cast

import anyio

# anyio loads the module of this function on first use, which must not happen during a request.
from anyio import open_process

from interlingua.core.errors import InputError

__all__ = ["RefusedRequestError", "argument_on_page", "command", "run_job"]

_BOXES = {
    "force": 'the box "Use the translator of a failed fit nevertheless" (force=1)',
    "allow_foreign": "The parameter allow_foreign=1 of the request",
    **{name: f"--{name} of the command interlingua fit" for name in ("column", "key", "scale")},
}


class RefusedRequestError(InputError):
    """A request that is refused with a status of its own.

    Attributes:
        status: of the answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def argument_on_page(name: str, value: str) -> str:
    """Return how an argument of a remedy is written: as a box of the page, or as a parameter of the request."""
    return _BOXES.get(name, f"{name}={value}")


def command(action: str, *arguments: str) -> list[str]:
    """Return the command line of work in a process of its own; see :mod:`interlingua.serve.child`."""
    return [sys.executable, "-m", "interlingua.serve.child", action, *arguments]


async def run_job(
    action: str,
    facts: Mapping[str, Any],
    limiter: anyio.CapacityLimiter,
    check: Callable[[], Awaitable[None]] | None = None,
) -> dict[str, Any]:
    """Run an action of :mod:`interlingua.serve.child` and return its result; if canceled, the process is killed.

    Args:
        action: its name.
        facts: its arguments.
        limiter: how many processes may run at once; others wait.
        check: awaited after the wait, before a process starts; it raises if the result is not wanted any more.

    Raises:
        RefusedRequestError: the action refused, or its process ended without a result.
    """
    async with limiter:
        if check is not None:
            await check()
        process = await open_process(
            command(action, json.dumps(facts)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            written = b"".join([chunk async for chunk in cast(AsyncIterable[bytes], process.stdout)])
            code = await process.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                process.kill()
                await process.aclose()
            raise
        with anyio.CancelScope(shield=True):
            await process.aclose()
    try:
        answer = json.loads(written)
    except ValueError:
        raise RefusedRequestError(400, _ended(code)) from None
    if "error" in answer:
        raise RefusedRequestError(answer["status"], answer["error"])
    return dict(answer)


def _ended(code: int) -> str:
    """Return why a process that ended without a result did so."""
    if code == -getattr(signal, "SIGXCPU", 0) and code:
        return "The file takes too long to read and was given up. Use the command line, or split the file."
    if code == -getattr(signal, "SIGKILL", 0) and code:
        return "Reading the file was ended by the system, most likely because memory ran out. Use a smaller file."
    return f"The file cannot be read: its reader ended with code {code}. Check that it is not damaged."
