"""Searches: ask for one, look at them, cancel, delete, and read what was measured."""

from __future__ import annotations

import shutil
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from models.uploads import referred_uploads
from search.errors import InvalidInputError
from service.composition import check_spec
from service.context import Context
from service.error_handlers import problem_responses
from service.routes.spec_body import SpecBody
from service.schemas import List, Search, StoredEvaluation
from service.states import JobState
from service.store import EVALUATION_PREFIX

router = APIRouter(prefix="/v1/searches", tags=["searches"])

SearchId = Annotated[str, Path(description="srch_...", max_length=40)]
Limit = Annotated[int, Query(ge=1, le=1000, description="most items of the page")]
After = Annotated[
    str | None, Query(max_length=40, description="id of the last item of the page before")
]


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    response_model=Search,
    responses=problem_responses(400, 413, 415, 422),
)
def create_search(
    spec: SpecBody,
    response: Response,
    context: Context,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="the same key with the same body gives the same search, however often it is sent",
        ),
    ] = None,
) -> Search:
    """Check a spec and queue its search."""
    check_spec(spec, context.surroundings)
    row = context.store.create(
        spec.model_dump(mode="json"),
        name=spec.name,
        priority=spec.priority,
        idempotency_key=idempotency_key,
        uploads=referred_uploads(spec),
    )
    context.supervisor.wake()
    response.headers["Location"] = f"{router.prefix}/{row['id']}"
    return Search.of(row)


@router.get("", response_model=List[Search], responses=problem_responses(422))
def list_searches(
    context: Context,
    status: Annotated[JobState | None, Query(description="only those in this state")] = None,
    after: After = None,
    limit: Limit = 20,
) -> List[Search]:
    """List searches, newest first."""
    page = context.store.list(status, after, limit)
    return List[Search](data=tuple(Search.of(row) for row in page.rows), has_more=page.has_more)


@router.get("/{search_id}", response_model=Search, responses=problem_responses(404, 422))
def get_search(search_id: SearchId, context: Context) -> Search:
    """Read one search and how it stands."""
    return Search.of(context.store.get(search_id))


@router.post(
    "/{search_id}/cancel", response_model=Search, responses=problem_responses(404, 409, 422)
)
def cancel_search(search_id: SearchId, context: Context) -> Search:
    """End a search; what it measured stays readable."""
    row = context.store.cancel(search_id)
    context.supervisor.wake()
    return Search.of(row)


@router.delete(
    "/{search_id}",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=problem_responses(404, 409, 422),
)
def delete_search(search_id: SearchId, context: Context) -> None:
    """Delete a finished search, its evaluations and its artifacts."""
    # Files first: a row without files can be deleted again, files without a row would be found by nobody.
    context.store.check_deletable(search_id)
    shutil.rmtree(context.settings.job_dir(search_id), ignore_errors=True)
    context.store.delete(search_id)


@router.get(
    "/{search_id}/evaluations",
    response_model=List[StoredEvaluation],
    responses=problem_responses(404, 422),
)
def list_evaluations(
    search_id: SearchId, context: Context, after: After = None, limit: Limit = 100
) -> List[StoredEvaluation]:
    """List what was measured, oldest first."""
    page = context.store.evaluations(search_id, _row_number(after), limit)
    evaluations = tuple(StoredEvaluation.of(row) for row in page.rows)
    return List[StoredEvaluation](data=evaluations, has_more=page.has_more)


def _row_number(after: str | None) -> int:
    if after is None:
        return -1
    number = after.removeprefix(EVALUATION_PREFIX)
    if number == after or not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InvalidInputError(
            "after", after, f"the id of an evaluation, {EVALUATION_PREFIX}12 say"
        )
    return int(number)
