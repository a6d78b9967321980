"""Results: the document, the weights, the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, StreamingResponse

from service.context import Context, ServiceContext
from service.error_handlers import problem_responses
from service.errors import NoModelFolderError, ResultNotReadyError
from service.job_files import GRAFTED, MODEL, REPORT, WEIGHTS
from service.model_folder import zipped
from service.result import SearchResult
from service.routes.searches import SearchId
from service.states import JobState

router = APIRouter(prefix="/v1/searches/{search_id}/result", tags=["results"])

PROBLEMS = problem_responses(404, 409, 422)
WEIGHTS_ANSWERS = PROBLEMS | {
    200: {
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    }
}
MODEL_ANSWERS = PROBLEMS | {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}
REPORT_ANSWERS = PROBLEMS | {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


@router.get("", response_model=SearchResult, responses=PROBLEMS)
def get_result(search_id: SearchId, context: Context) -> SearchResult:
    """Read the mask that was found, and the evidence for it."""
    row = context.store.get(search_id)
    if row["result"] is None:
        raise ResultNotReadyError(search_id, JobState(row["status"]))
    return SearchResult.model_validate(row["result"])


@router.get("/weights", response_class=FileResponse, responses=WEIGHTS_ANSWERS)
def get_weights(
    search_id: SearchId,
    context: Context,
    fine_tuned: Annotated[
        bool, Query(description="false: grafted only, before fine-tuning")
    ] = True,
) -> FileResponse:
    """Download the winner's weights as safetensors, which ``load_state_dict`` takes."""
    name = WEIGHTS if fine_tuned else GRAFTED
    path = _artifact(context, search_id, name)
    return FileResponse(path, media_type="application/octet-stream", filename=f"{search_id}-{name}")


@router.get("/model", response_class=StreamingResponse, responses=MODEL_ANSWERS)
def get_model(search_id: SearchId, context: Context) -> StreamingResponse:
    """Download the fine-tuned winner as a zip of the folder that its library loads, by ``from_pretrained`` say."""
    folder = _artifact(context, search_id, WEIGHTS).with_name(MODEL)
    if not folder.is_dir():
        raise NoModelFolderError(search_id)
    name = f'attachment; filename="{search_id}-{MODEL}.zip"'
    return StreamingResponse(
        zipped(folder), media_type="application/zip", headers={"Content-Disposition": name}
    )


@router.get("/report", response_class=FileResponse, responses=REPORT_ANSWERS)
def get_report(search_id: SearchId, context: Context) -> FileResponse:
    """Read the report: one page with its figures inside."""
    return FileResponse(_artifact(context, search_id, REPORT), media_type="text/html")


def _artifact(context: ServiceContext, search_id: str, name: str) -> Path:
    """Find a file of a search that succeeded; earlier ones may be incomplete."""
    state = JobState(context.store.get(search_id)["status"])
    path = context.settings.job_dir(search_id) / name
    if state is not JobState.SUCCEEDED or not path.is_file():
        raise ResultNotReadyError(search_id, state)
    return path
