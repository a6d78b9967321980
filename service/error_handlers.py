"""Turns every error into a problem document, whoever raised it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from search.errors import InvalidInputError, TransferMaskError
from service.errors import (
    ArtifactInUseError,
    IdempotencyKeyReusedError,
    ImpossibleTransitionError,
    NoModelFolderError,
    NotFoundError,
    ResultNotReadyError,
    StorageFullError,
)
from service.problem import MEDIA_TYPE, Problem, problem, problem_of_inputs
from service.spec_problems import problem_of_details

logger = logging.getLogger(__name__)

# The one table of what an error means to a client.
STATUS: Mapping[type[TransferMaskError], tuple[HTTPStatus, str]] = MappingProxyType(
    {
        NotFoundError: (HTTPStatus.NOT_FOUND, "not_found"),
        ArtifactInUseError: (HTTPStatus.CONFLICT, "artifact_in_use"),
        StorageFullError: (HTTPStatus.INSUFFICIENT_STORAGE, "storage_full"),
        ImpossibleTransitionError: (HTTPStatus.CONFLICT, "impossible_transition"),
        ResultNotReadyError: (HTTPStatus.CONFLICT, "result_not_ready"),
        NoModelFolderError: (HTTPStatus.NOT_FOUND, "no_model_folder"),
        IdempotencyKeyReusedError: (HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
    }
)
HTTP_CODES: Mapping[int, str] = MappingProxyType(
    {
        HTTPStatus.BAD_REQUEST: "malformed_body",
        HTTPStatus.NOT_FOUND: "not_found",
        HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    }
)
DOCUMENTED: Mapping[int, str] = MappingProxyType(
    {
        400: "the body is not JSON",
        404: "there is nothing with that id",
        409: "the state of it does not allow that",
        413: "the body is too large",
        415: "the body is not sent as what it must be",
        422: "a field is wrong; errors names each",
        507: "no room for another upload",
    }
)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the problem documents of a route, for OpenAPI."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": DOCUMENTED[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def install_error_handlers(app: FastAPI) -> None:
    """Give the application its one shape of errors."""
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(InvalidInputError, _invalid_input)
    app.add_exception_handler(TransferMaskError, _refused)
    app.add_exception_handler(Exception, _crashed)


def respond(document: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a problem document."""
    return Response(
        document.model_dump_json(),
        status_code=document.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def _invalid_request(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, RequestValidationError)
    details = error.errors()
    for detail in details:
        if detail["type"] == "json_invalid":
            reason = (
                f"the body is not JSON: {detail['ctx']['error']} at character {detail['loc'][-1]}"
            )
            return respond(problem(HTTPStatus.BAD_REQUEST, "malformed_body", reason))
        if isinstance(detail.get("input"), bytes):
            # FastAPI reads JSON only where the header says so, which keeps other web sites' forms out.
            reason = "send the body with the header Content-Type: application/json"
            return respond(
                problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", reason)
            )
    return respond(problem_of_details(details))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTP_CODES.get(error.status_code, "http_error")
    detail = f"{request.method} {request.url.path}: {_reason(error)}"
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_allowed_methods(request))}
    return respond(problem(error.status_code, code, detail), headers)


def _reason(error: HTTPException) -> str:
    """What an error says, and why, where the framework says only that a body could not be parsed."""
    cause = error.__cause__
    if isinstance(cause, RecursionError):
        return "the body is not JSON that can be read: it is nested too deeply"
    if isinstance(cause, ValueError):
        # Behind the semicolon: which function of Python would raise the limit.
        reason = str(cause).partition(";")[0]
        return f"the body is not JSON that can be read: {reason[:200]}"
    return str(error.detail)


def _allowed_methods(request: Request) -> list[str]:
    """Collect the methods of every route with this path; the framework names those of the first one only."""
    operations = request.app.openapi()["paths"]
    found: set[str] = set()
    for path, methods in operations.items():
        if compile_path(path)[0].match(request.url.path):
            found |= {method.upper() for method in methods}
    return sorted(found)


def _invalid_input(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, InvalidInputError)
    return respond(problem_of_inputs([error]))


def _refused(request: Request, error: Exception) -> Response:
    for error_type, (status, code) in STATUS.items():
        if isinstance(error, error_type):
            return respond(problem(status, code, str(error)))
    return _crashed(request, error)


def _crashed(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = f"{request.method} {request.url.path} failed; the service's log says why"
    return respond(problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", detail))
