"""Refuses large request bodies with a problem document.

The framework's own limit answers in plain text whatever handlers are installed.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.error_handlers import respond
from service.problem import problem


class BodyLimit:
    """ASGI middleware: refuses by ``Content-Length`` where it is given, else while the body is read."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        """Wrap an application."""
        self._app, self._max_body_bytes = app, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, its body watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Request(scope).headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_body_bytes:
            document = problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", self._reason(announced)
            )
            await respond(document)(scope, receive, send)
            return
        read_bytes = 0

        async def receive_within_limit() -> Message:
            nonlocal read_bytes
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > self._max_body_bytes:
                reason = self._reason("more")
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason)
            return message

        await self._app(scope, receive_within_limit, send)

    def _reason(self, size: str) -> str:
        return f"the body has {size} bytes; at most {self._max_body_bytes} are taken"
