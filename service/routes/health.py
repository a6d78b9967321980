"""Health: for load balancers, containers and people who wonder."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError

from service.context import Context
from service.error_handlers import respond
from service.problem import MEDIA_TYPE, problem
from service.schemas import Health

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=Health)
def is_alive() -> Health:
    """Answer while the process lives."""
    return Health(status="ok")


@router.get(
    "/readyz",
    response_model=Health,
    responses={
        503: {
            "description": "the database or the supervisor is missing",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    },
)
def is_ready(context: Context) -> Health | Response:
    """Answer while searches can be taken and worked on."""
    try:
        context.store.check_reachable()
    except SQLAlchemyError as error:
        return _unavailable(f"the database does not answer: {error}")
    if not context.supervisor.is_alive:
        return _unavailable("the supervisor has stopped; the service's log says why")
    return Health(status="ok")


def _unavailable(detail: str) -> Response:
    return respond(problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", detail))
