"""Routes of the page."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from interlingua.core.arrays import require
from interlingua.core.errors import InputError
from interlingua.io import EXTENSIONS, READ_ONLY
from interlingua.serve.guard import Guard
from interlingua.serve.progress import last_rows
from interlingua.serve.session import SIDES, Session

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

__all__ = ["create_app"]

_Result = TypeVar("_Result")
_JOB = re.compile("[0-9a-f]{32}")


def create_app(
    session: Session, *, port: int, max_bytes: int, write_sample: Callable[[str, Path], None] | None = None
) -> Starlette:
    """Return the page as an ASGI application.

    Args:
        session: the files and the fit of the page.
        port: the port of the page. Requests for another host or port are refused, so that pages of other sites
            cannot use it even if their names resolve to this machine.
        max_bytes: the largest file that is accepted.
        write_sample: writes the sample file of a side to a path that ends in ``.parquet``; without it the page offers
            no sample.

    Raises:
        MissingExtraError: the extra ``serve`` is not installed.
    """
    require("starlette", "serve")
    for module in ("jinja2", "matplotlib"):
        require(module, "serve")
    import anyio
    from anyio import to_thread
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import FileResponse, HTMLResponse, JSONResponse
    from starlette.routing import Route

    from interlingua.serve.jobs import run_job
    from interlingua.serve.uploads import Uploads, discard, unless_gone

    uploads = Uploads(max_bytes)
    # Each kind of work has threads or processes of its own, so that none waits for a slower kind.
    quick, searches, jobs = anyio.CapacityLimiter(8), anyio.CapacityLimiter(2), anyio.CapacityLimiter(2)
    watching = anyio.CapacityLimiter(2)
    # Folders of the files that are translated, by the name that the page gave to the translation.
    translating: dict[str, Path] = {}

    async def soon(call: Callable[[], _Result]) -> _Result:
        return await to_thread.run_sync(call, limiter=quick)

    class Temporary(FileResponse):
        """A file whose folder is deleted when it was sent, or could not be."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await super().__call__(scope, receive, send)
            finally:
                await discard(Path(self.path).parent)

    page = _page(max_bytes, sample=write_sample is not None)

    async def index(request: Request) -> Response:
        return page()

    async def take(request: Request, side: str, path: Path) -> dict[str, Any]:
        """Check a file that has arrived and make it the file of a side."""

        async def check() -> None:
            await soon(lambda: session.check_newest(side, path))

        facts = await unless_gone(request, lambda: run_job("read", {"path": str(path)}, jobs, check))
        return await soon(lambda: session.accept(side, path, facts))

    async def put_file(request: Request) -> Response:
        side = request.path_params["side"]
        path = await soon(lambda: session.upload_path(side, request.query_params.get("name", "vectors")))
        try:
            await uploads.receive(request, path)
            return JSONResponse(await take(request, side, path))
        except BaseException:
            await discard(path.parent)
            raise

    async def sample(request: Request) -> Response:
        if write_sample is None:
            raise InputError("This server has no sample data; upload two files.")
        for side in SIDES:
            path = await soon(partial(session.upload_path, side, f"sample-{side}.parquet"))
            try:
                await soon(partial(write_sample, side, path))
                await take(request, side, path)
            except BaseException:
                await discard(path.parent)
                raise
        return JSONResponse(await soon(session.state))

    async def fit(request: Request) -> Response:
        seed = _integer(request, "seed", 0)
        await soon(lambda: session.start(seed))
        return JSONResponse(await soon(session.state), status_code=202)

    async def cancel(request: Request) -> Response:
        await to_thread.run_sync(session.stop, limiter=searches)
        return JSONResponse(await soon(session.state))

    async def state(request: Request) -> Response:
        # A thread would cost two turns of a loop that many uploads make long.
        known = session.state_if_free()
        if known is None:
            known = await to_thread.run_sync(session.state, limiter=watching)
        return JSONResponse(known)

    async def report(request: Request) -> Response:
        # The report's own policy allows its styles; a stricter header would override it.
        return HTMLResponse(
            await soon(lambda: session.report().read_text("utf-8")),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"},
        )

    async def archive(request: Request) -> Response:
        force = _forced(request)
        path = await to_thread.run_sync(lambda: session.archive(force=force), limiter=searches)
        return FileResponse(path, filename="translator.zip")

    async def translate(request: Request) -> Response:
        direction = request.query_params.get("direction", "forward")
        if direction not in ("forward", "backward"):
            raise InputError(f"There is no direction {direction[:40]!r}; use forward or backward.")
        force = _forced(request)
        # Refused before the file is sent, and again below if another fit has begun meanwhile.
        await soon(lambda: session.translator_folder(force=force))
        path = await soon(lambda: session.temporary_path(request.query_params.get("name", "vectors.npy")))
        job = request.query_params.get("job", "")
        if _JOB.fullmatch(job):
            translating[job] = path.parent
        try:
            await uploads.receive(request, path)
            facts = {
                "path": str(path),
                "translator": str(await soon(lambda: session.translator_folder(force=force))),
                "inverse": direction == "backward",
                "allow_foreign": request.query_params.get("allow_foreign") == "1",
            }
            made = await unless_gone(request, lambda: run_job("translate", facts, jobs))
        except BaseException:
            await discard(path.parent)
            raise
        finally:
            translating.pop(job, None)
        return Temporary(path.with_name(made["name"]), filename=made["name"])

    async def progress(request: Request) -> Response:
        folder = translating.get(request.query_params.get("job", ""))
        known = None if folder is None else await to_thread.run_sync(lambda: last_rows(folder), limiter=watching)
        return JSONResponse(known or {"phase": "waiting"})

    async def search(request: Request) -> Response:
        side, row, k = request.query_params.get("side", ""), _integer(request, "row", 0), _integer(request, "k", 10)
        words = request.query_params.get("words", "")[:1_000]
        return JSONResponse(
            await to_thread.run_sync(
                lambda: session.search(side, row, min(max(k, 1), 100), words), limiter=searches, abandon_on_cancel=True
            )
        )

    return Starlette(
        routes=[
            Route("/", index),
            Route("/files/{side}", put_file, methods=["PUT"]),
            Route("/sample", sample, methods=["POST"]),
            Route("/fit", fit, methods=["POST"]),
            Route("/cancel", cancel, methods=["POST"]),
            Route("/state", state),
            Route("/report", report),
            Route("/translator.zip", archive),
            Route("/translate", translate, methods=["POST"]),
            Route("/translate/progress", progress),
            Route("/search", search),
        ],
        middleware=[Middleware(Guard, port=port)],
    )


def _integer(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.removeprefix("-").isdecimal() or len(text) > 12:
        raise InputError(f"{name} is {text[:40]!r}; a whole number is needed.")
    return int(text)


def _forced(request: Request) -> bool:
    return request.query_params.get("force") == "1"


def _page(max_bytes: int, *, sample: bool) -> Callable[[], Response]:
    """Return a function that writes the page with a nonce of its own.

    The template is compiled here, once: many clients at once would keep the server from all other requests.
    """
    from jinja2 import Environment
    from starlette.responses import HTMLResponse

    own, report = files("interlingua.serve"), files("interlingua.report")
    parts: dict[str, Any] = {
        "style": report.joinpath("style.css").read_text("utf-8") + own.joinpath("page.css").read_text("utf-8"),
        "script": own.joinpath("page.js").read_text("utf-8"),
        "max_mib": max_bytes // 2**20,
        "max_bytes": max_bytes,
        "sample": sample,
        # A browser compares the last suffix of a name only.
        "accept": ",".join(sorted({f".{name.rpartition('.')[2]}" for name in (*EXTENSIONS, *READ_ONLY)})),
    }
    source = own.joinpath("page.html.jinja").read_text("utf-8")
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)

    def page() -> Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
            "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(template.render(**parts, nonce=nonce), headers={"Content-Security-Policy": policy})

    return page
