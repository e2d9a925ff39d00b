"""``interlingua serve``: a page to try it."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from interlingua.cli import console
from interlingua.errors import InputError


def serve(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port of this machine that the page is at.")] = 8_765,
    max_mb: Annotated[int, typer.Option("--max-mb", min=1, help="The largest file taken, in MiB.")] = 1_024,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Open a page to try it in a browser.

    Drop two files, watch the fit, read the verdict, translate, search across both (extra: serve). Only this machine
    can reach it. Files are kept in a temporary folder that goes when the server ends.
    """
    from interlingua._arrays import require

    uvicorn = require("uvicorn", "serve")
    from interlingua.serve import Desk, create_app

    # The server hands a signal on when it has shut down; the default answer to this one would skip what follows it.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="interlingua-") as folder:
        desk = Desk(Path(folder))
        app = create_app(desk, port=port, max_bytes=max_mb * 2**20)
        with _listening(port) as door:
            address = f"http://127.0.0.1:{port}"
            console.note(f"{address} until Ctrl-C")
            if browser:
                typer.launch(address)
            config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
            try:
                with contextlib.suppress(KeyboardInterrupt):
                    uvicorn.Server(config).run(sockets=[door])
            finally:
                desk.stop()


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
