"""``interlingua serve``: a web page for trying interlingua on one machine."""

from __future__ import annotations

import gc
import signal
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlingua.cli import console
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.cli.demo_data import DemoData

__all__ = ["serve"]

_MOST_CONNECTIONS = 512


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
    import anyio
    from anyio import to_thread

    from interlingua.cli.demo_data import read_packaged
    from interlingua.serve import Session, create_app, session_folder

    server: Any = None
    signals: list[int] = []

    def end(number: int, _: object) -> None:
        signals.append(number)
        if server is not None:
            server.should_exit = True

    # An exception raised in a signal handler can be lost in a callback of the interpreter; a list entry cannot.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    demo = read_packaged()
    with session_folder() as folder:
        session = Session(folder)
        app = create_app(
            session,
            port=port,
            max_bytes=max_mb * 2**20,
            write_sample=partial(_write_sample, demo),
        )
        with _listening(port) as listener:
            address = f"http://127.0.0.1:{port}"
            console.note(f"Serving {address} until Ctrl-C")
            if browser:
                typer.launch(address)
            server = uvicorn.Server(
                uvicorn.Config(
                    app,
                    host="127.0.0.1",
                    port=port,
                    log_level="warning",
                    access_log=False,
                    lifespan="off",
                    ws="none",
                    limit_concurrency=_MOST_CONNECTIONS,
                    # Clients that are slow do not keep the server from ending.
                    timeout_graceful_shutdown=2,
                )
            )
            server.should_exit = bool(signals)
            # The first thread loads modules. On a busy machine all requests would wait for that during the first
            # upload.
            anyio.run(to_thread.run_sync, session.state)
            # Objects loaded so far are left out of garbage collections, during which no request is answered.
            gc.collect()
            gc.freeze()
            try:
                server.run(sockets=[listener])
            finally:
                gc.unfreeze()
                session.stop()
    if signal.SIGTERM in signals:
        raise typer.Exit(128 + signal.SIGTERM)


def _write_sample(demo: DemoData, side: str, path: Path) -> None:
    """Write vectors, ids and texts of a side of the demo's data as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    vectors = demo.source if side == "source" else demo.target
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    names = (demo.names or {}).get(side, [])
    pq.write_table(pa.table({"id": range(len(vectors)), "text": names, "vector": column}), path)


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
