"""Refuses large request bodies with a problem document.

The framework's own limit answers in plain text whatever handlers are installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.error_handlers import respond
from service.problem import problem


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest body of a request, and the setting that says so."""

    max_bytes: int
    setting: str

    def reason(self, size: str) -> str:
        """What is wrong with a body of some size."""
        return f"the body has {size} bytes; at most {self.max_bytes} are taken ({self.setting})"


class BodyLimit:
    """ASGI middleware: refuses by ``Content-Length`` where it is given, else while the body is read."""

    def __init__(self, app: ASGIApp, usual: Limit, others: Mapping[tuple[str, str], Limit]) -> None:
        """Wrap an application; ``others`` are the limits of some methods and paths in place of the usual one."""
        self._app, self._usual, self._others = app, usual, others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, its body watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._others.get((scope["method"], scope["path"]), self._usual)
        announced = Request(scope).headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > limit.max_bytes:
            document = problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", limit.reason(announced)
            )
            await respond(document)(scope, receive, send)
            return
        read_bytes = 0

        async def receive_within_limit() -> Message:
            nonlocal read_bytes
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > limit.max_bytes:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, limit.reason("more"))
            return message

        await self._app(scope, receive_within_limit, send)
