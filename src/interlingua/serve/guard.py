"""Keeps pages of other sites out and turns every error into a sentence."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any

from interlingua.core.errors import InputError
from interlingua.serve.jobs import argument_on_page

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard"]

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_HEADERS = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
}
_LOG = logging.getLogger(__name__)


class Guard:
    """ASGI middleware.

    Requests for another host or port are refused, so that a page of another site cannot use the server even if its
    name resolves to this machine. So are requests that a page of another site causes, by what the browser says of them.

    Args:
        app: the application.
        port: of the page.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = {f"{host}:{port}" for host in _LOOPBACK} | ({*_LOOPBACK} if port == 80 else set())
        self._address = f"127.0.0.1:{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        from starlette.requests import ClientDisconnect

        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *((k, v) for k, v in _HEADERS.items() if k not in given)]
            await send(message)

        try:
            refused = self._foreign(scope)
            if refused:
                await _answer(403, refused)(scope, receive, send_guarded)
            else:
                await self._app(scope, receive, send_guarded)
        except ClientDisconnect:
            return
        except Exception as error:
            if begun:
                raise
            await _explained(error)(scope, receive, send_guarded)

    def _foreign(self, scope: Scope) -> str:
        """Return why a request is not one of this page, or an empty text."""
        from starlette.datastructures import Headers

        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            return f"This page only answers requests for {self._address}."
        origins, site = headers.getlist("origin"), headers.get("sec-fetch-site", "none")
        foreign = any(not origin.startswith("http://") or origin[7:] not in self._hosts for origin in origins)
        # A link on another page may lead here, but nothing else of it may.
        if foreign or (site not in ("same-origin", "none") and scope["path"] != "/"):
            return "Pages of other sites may not use this one."
        return ""


def _answer(status: int, message: str) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse({"error": message}, status_code=status)


def _explained(error: Exception) -> Response:
    """Return the answer to a request that ended with an error."""
    if isinstance(error, InputError):
        status: Any = getattr(error, "status", 400)
        return _answer(status, error.render(argument_on_page))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _answer(507, "The disk is full. Free space in the temporary folder and try again.")
    _LOG.error("A request ended with an error of the server.", exc_info=error)
    return _answer(500, f"The server could not answer ({type(error).__name__}). Its terminal says more.")
