"""``interlingua serve``: a web page for trying interlingua on one machine."""

from __future__ import annotations

import signal
import socket
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from interlingua.cli import console
from interlingua.core.errors import InputError

__all__ = ["serve"]


def serve(
    port: Annotated[
        int, typer.Option(metavar="N", min=1, max=65_535, help="The port of the page on this machine.")
    ] = 8_765,
    max_mb: Annotated[
        int, typer.Option("--max-mb", metavar="N", min=1, help="The largest file accepted, in MiB.")
    ] = 1_024,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Open a page to try interlingua in a browser.

    The page takes two files, fits them, shows the verdict, translates, and searches both (extra: serve). Only this
    machine can reach it. Files are kept in a temporary folder that is deleted when the server stops.
    """
    from interlingua.core.arrays import require

    uvicorn = require("uvicorn", "serve")
    from interlingua.serve import Session, create_app

    server: Any = None
    signals: list[int] = []

    def end(number: int, _: object) -> None:
        signals.append(number)
        if server is not None:
            server.should_exit = True

    # An exception raised in a signal handler can be lost in a callback of the interpreter; a list entry cannot.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with tempfile.TemporaryDirectory(prefix="interlingua-") as folder:
        session = Session(Path(folder))
        app = create_app(session, port=port, max_bytes=max_mb * 2**20)
        with _listening(port) as listener:
            address = f"http://127.0.0.1:{port}"
            console.note(f"Serving {address} until Ctrl-C")
            if browser:
                typer.launch(address)
            server = uvicorn.Server(
                uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
            )
            server.should_exit = bool(signals)
            try:
                server.run(sockets=[listener])
            finally:
                session.stop()
    if signal.SIGTERM in signals:
        raise typer.Exit(128 + signal.SIGTERM)


def _listening(port: int) -> socket.socket:
    """Return a listening socket, so that a browser can connect before the server has started."""
    listener = socket.socket()
    # On Windows the option of this name would let another program listen on the same port.
    exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if exclusive is None else exclusive, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise InputError(f"Port {port} cannot be opened ({error.strerror}); choose another with --port.") from error
    listener.listen()
    return listener
