"""``interlingua serve``: a page to try it."""

from __future__ import annotations

import signal
import socket
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from interlingua.cli import console
from interlingua.core.errors import InputError


def serve(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port of this machine that the page is at.")] = 8_765,
    max_mb: Annotated[int, typer.Option("--max-mb", min=1, help="The largest file taken, in MiB.")] = 1_024,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Open a page to try it in a browser.

    Drop two files, watch the fit, read the verdict, translate, search across both (extra: serve). Only this machine
    can reach it. Files are kept in a temporary folder that goes when the server ends.
    """
    from interlingua.core.arrays import require

    uvicorn = require("uvicorn", "serve")
    from interlingua.serve import Desk, create_app

    server: Any = None
    told: list[int] = []

    def end(number: int, _: object) -> None:
        told.append(number)
        if server is not None:
            server.should_exit = True

    # An exception would be lost where a signal arrives in a callback of the interpreter; a note is not.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with tempfile.TemporaryDirectory(prefix="interlingua-") as folder:
        desk = Desk(Path(folder))
        app = create_app(desk, port=port, max_bytes=max_mb * 2**20)
        with _listening(port) as door:
            address = f"http://127.0.0.1:{port}"
            console.note(f"{address} until Ctrl-C")
            if browser:
                typer.launch(address)
            server = uvicorn.Server(
                uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
            )
            server.should_exit = bool(told)
            try:
                server.run(sockets=[door])
            finally:
                desk.stop()
    if signal.SIGTERM in told:
        raise typer.Exit(128 + signal.SIGTERM)


def _listening(port: int) -> socket.socket:
    """Return a socket that holds connections until the server takes them, so that a browser never comes too early."""
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(("127.0.0.1", port))
    except OSError as error:
        door.close()
        raise InputError(
            f"Port {port} cannot be listened at ({error.strerror}); choose another with --port."
        ) from error
    door.listen()
    return door
