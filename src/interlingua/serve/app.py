"""Routes and guards of the page."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlingua.core.arrays import require
from interlingua.core.errors import InputError
from interlingua.serve.session import Session

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["create_app"]

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def create_app(session: Session, *, port: int, max_bytes: int) -> Starlette:
    """Return the page as an ASGI application.

    Args:
        session: the files and the fit of the page.
        port: the port of the page. Requests for another host or port are refused, so that pages of other sites
            cannot use it even if their names resolve to this machine.
        max_bytes: the largest file that is accepted.

    Raises:
        MissingExtraError: the extra ``serve`` is not installed.
    """
    require("starlette", "serve")
    for module in ("jinja2", "matplotlib"):
        require(module, "serve")
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import FileResponse, HTMLResponse, JSONResponse
    from starlette.routing import Route

    hosts = {f"{host}:{port}" for host in _LOOPBACK} | ({*_LOOPBACK} if port == 80 else set())

    async def guard(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.headers.get("host") not in hosts:
            return _refusal(403, f"This page only answers requests for {sorted(hosts)[0]}.")
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
        foreign = origin is not None and origin.removeprefix("http://") not in hosts
        if foreign or (site not in ("same-origin", "none") and request.url.path != "/"):
            return _refusal(403, "Pages of other sites may not use this one.")
        try:
            response = await call(request)
        except InputError as error:
            response = _refusal(400, error.render(_as_on_the_page))
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response

    async def receive(request: Request, path: Path) -> None:
        """Write the body to a file; if it is too long, delete the file again."""
        size = 0
        try:
            with path.open("wb") as stream:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > max_bytes:
                        raise InputError(
                            f"The file is larger than {max_bytes // 2**20:,} MiB; start with a larger --max-mb, or use "
                            "`interlingua fit`, which needs no upload."
                        )
                    stream.write(chunk)
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise

    async def index(request: Request) -> Response:
        return _page(max_bytes)

    async def put_file(request: Request) -> Response:
        side = request.path_params["side"]
        path = session.upload_path(side, request.query_params.get("name", "vectors"))
        await receive(request, path)
        return JSONResponse(await run_in_threadpool(session.accept, side, path))

    async def fit(request: Request) -> Response:
        await run_in_threadpool(session.start, _integer(request, "seed", 0))
        return JSONResponse(await run_in_threadpool(session.state), status_code=202)

    async def cancel(request: Request) -> Response:
        await run_in_threadpool(session.stop)
        return JSONResponse(await run_in_threadpool(session.state))

    async def state(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(session.state))

    async def report(request: Request) -> Response:
        # The report's own policy allows its styles; a stricter header would override it.
        return HTMLResponse(
            await run_in_threadpool(lambda: session.report().read_text("utf-8")),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"},
        )

    async def archive(request: Request) -> Response:
        path = await run_in_threadpool(lambda: session.archive(force=_forced(request)))
        return FileResponse(path, filename="translator.zip")

    async def translate(request: Request) -> Response:
        direction = request.query_params.get("direction", "forward")
        if direction not in ("forward", "backward"):
            raise InputError(f"There is no direction {direction!r}; use forward or backward.")
        path = session.temporary_path(request.query_params.get("name", "vectors.npy"))
        await receive(request, path)
        try:
            out = await run_in_threadpool(
                lambda: session.translate(
                    path,
                    inverse=direction == "backward",
                    force=_forced(request),
                    allow_foreign=request.query_params.get("allow_foreign") == "1",
                )
            )
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        return FileResponse(out, filename=out.name, background=BackgroundTask(shutil.rmtree, path.parent))

    async def search(request: Request) -> Response:
        side, row, k = request.query_params.get("side", ""), _integer(request, "row", 0), _integer(request, "k", 10)
        return JSONResponse(await run_in_threadpool(session.search, side, row, min(max(k, 1), 100)))

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/files/{side}", put_file, methods=["PUT"]),
            Route("/fit", fit, methods=["POST"]),
            Route("/cancel", cancel, methods=["POST"]),
            Route("/state", state),
            Route("/report", report),
            Route("/translator.zip", archive),
            Route("/translate", translate, methods=["POST"]),
            Route("/search", search),
        ]
    )
    app.add_middleware(BaseHTTPMiddleware, dispatch=guard)
    return app


def _refusal(code: int, message: str) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse({"error": message}, status_code=code)


def _as_on_the_page(name: str, value: str) -> str:
    """Return how an argument of a remedy is written: as a box of the page, or as a parameter of the request."""
    boxes = {
        "force": 'the box "Use the translator of a failed fit nevertheless" (force=1)',
        "allow_foreign": "The parameter allow_foreign=1 of the request",
    }
    return boxes.get(name, f"{name}={value}")


def _integer(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.removeprefix("-").isdecimal() or len(text) > 12:
        raise InputError(f"{name} is {text[:40]!r}; a whole number is needed.")
    return int(text)


def _forced(request: Request) -> bool:
    return request.query_params.get("force") == "1"


def _page(max_bytes: int) -> Response:
    from jinja2 import Environment
    from starlette.responses import HTMLResponse

    own, report = files("interlingua.serve"), files("interlingua.report")
    nonce = secrets.token_urlsafe(16)
    parts: dict[str, Any] = {
        "style": report.joinpath("style.css").read_text("utf-8") + own.joinpath("page.css").read_text("utf-8"),
        "script": own.joinpath("page.js").read_text("utf-8"),
        "nonce": nonce,
        "max_mib": max_bytes // 2**20,
    }
    template = own.joinpath("page.html.jinja").read_text("utf-8")
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    html = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template).render(**parts)
    return HTMLResponse(html, headers={"Content-Security-Policy": policy})
