"""Uploads: send a file, look at what is there, delete what no search needs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from service.context import Context
from service.error_handlers import problem_responses
from service.routes.searches import Limit
from service.schemas import Artifact, ArtifactSummary, List
from service.uploads import Arrival

PREFIX = "/v1/artifacts"
router = APIRouter(prefix=PREFIX, tags=["uploads"])

# Pieces arrive in some 64 kB; each switch to a thread that may wait for the disk costs more than to copy it.
PIECE_BYTES = 1 << 20

ArtifactId = Annotated[str, Path(description="art_...", max_length=80)]
AfterArtifact = Annotated[
    str | None, Query(max_length=80, description="id of the last item of the page before")
]
CONTENT_TYPE = "application/octet-stream"
BODY = {
    "requestBody": {
        "required": True,
        "content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}
CREATED: dict[int | str, dict[str, Any]] = {
    201: {
        "model": Artifact,
        "description": "the upload, new",
        "headers": {"Location": {"schema": {"type": "string"}}},
    },
    200: {"model": Artifact, "description": "the same content was there already"},
}


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=Artifact,
    responses=CREATED | problem_responses(413, 415, 422, 507),
    openapi_extra=BODY,
)
async def create_artifact(
    request: Request,
    response: Response,
    context: Context,
    name: Annotated[
        str,
        Query(
            max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", description="for people; a file's name"
        ),
    ] = "",
) -> Artifact:
    """Upload a file as the raw body: weights as safetensors, or arrays as npz.

    It is checked when it has arrived, and known by its content from then on: the same content again is the same upload.
    """
    _check_type(request)
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdecimal() else None
    arrival = await run_in_threadpool(context.uploads.receive, size)
    try:
        await _receive(request, arrival)
        artifact_id, is_new = await run_in_threadpool(arrival.publish, name)
    except ClientDisconnect as error:
        # Nobody reads this answer.
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body ended too early") from error
    finally:
        # Not in a thread: a request that is being cancelled could not wait for it.
        arrival.close()
    response.status_code = HTTPStatus.CREATED if is_new else HTTPStatus.OK
    response.headers["Location"] = f"{PREFIX}/{artifact_id}"
    return await run_in_threadpool(_artifact, artifact_id, context)


@router.get("", response_model=List[ArtifactSummary], responses=problem_responses(404, 422))
def list_artifacts(
    context: Context, after: AfterArtifact = None, limit: Limit = 20
) -> List[ArtifactSummary]:
    """List uploads, newest first."""
    page = context.artifacts.list(after, limit)
    uploads = tuple(ArtifactSummary.of(row) for row in page.rows)
    return List[ArtifactSummary](data=uploads, has_more=page.has_more)


@router.get("/{artifact_id}", response_model=Artifact, responses=problem_responses(404, 422))
def get_artifact(artifact_id: ArtifactId, context: Context) -> Artifact:
    """Read what is in an upload, and which searches need it."""
    return _artifact(artifact_id, context)


@router.delete(
    "/{artifact_id}",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=problem_responses(404, 409, 422),
)
def delete_artifact(artifact_id: ArtifactId, context: Context) -> None:
    """Delete an upload that no stored search needs."""
    context.uploads.delete(artifact_id)


def _check_type(request: Request) -> None:
    """Demand a type that no form of another web site can send."""
    given = request.headers.get("content-type", "none").partition(";")[0]
    if given.strip().lower() != CONTENT_TYPE:
        reason = f"send the file itself as the body, with the header Content-Type: {CONTENT_TYPE}, not {given}"
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason)


async def _receive(request: Request, arrival: Arrival) -> None:
    gathered = bytearray()
    async for piece in request.stream():
        gathered += piece
        if len(gathered) >= PIECE_BYTES:
            await run_in_threadpool(arrival.write, bytes(gathered))
            gathered.clear()
    if gathered:
        await run_in_threadpool(arrival.write, bytes(gathered))


def _artifact(artifact_id: str, context: Context) -> Artifact:
    row = context.artifacts.get(artifact_id)
    return Artifact.of_row(row, context.artifacts.used_by(artifact_id))
