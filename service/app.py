"""The HTTP application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from models.uploads import UploadFolder
from service.artifact_rows import ArtifactRows
from service.body_limit import BodyLimit, Limit
from service.context import ServiceContext
from service.database import open_database
from service.error_handlers import install_error_handlers
from service.problem import Problem
from service.queue import JobQueue
from service.routes import artifacts, genes, health, plugins, results, searches
from service.settings import Settings
from service.store import SearchStore
from service.supervisor import Supervisor
from service.uploads import UploadStore
from service.version import VERSION


def create_app(settings: Settings) -> FastAPI:
    """Build the application; database, folders and supervisor open when it starts and close when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings.create_folders()
        engine = await run_in_threadpool(open_database, settings.sqlalchemy_url)
        surroundings, rows = settings.surroundings, ArtifactRows(engine)
        uploads = UploadStore(
            UploadFolder(settings.uploads_dir),
            rows,
            max_bytes=settings.max_artifact_bytes,
            max_total_bytes=settings.max_artifact_store_bytes,
        )
        await run_in_threadpool(uploads.clean)
        supervisor = Supervisor(JobQueue(engine, settings.lease_seconds), settings)
        app.state.context = ServiceContext(
            settings=settings,
            store=SearchStore(engine),
            surroundings=surroundings,
            supervisor=supervisor,
            artifacts=rows,
            uploads=uploads,
        )
        supervisor.start()
        try:
            yield
        finally:
            await run_in_threadpool(supervisor.stop)
            engine.dispose()

    app = FastAPI(
        title="transfermask",
        summary="Searches which layers of a pretrained network to transfer and which to keep.",
        version=VERSION,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    app.add_middleware(
        BodyLimit,
        usual=Limit(settings.max_body_bytes, "TRANSFERMASK_MAX_BODY_BYTES"),
        others={
            ("POST", artifacts.PREFIX): Limit(
                settings.max_artifact_bytes, "TRANSFERMASK_MAX_ARTIFACT_BYTES"
            )
        },
    )
    install_error_handlers(app)
    for routes in (searches, results, genes, artifacts, plugins, health):
        app.include_router(routes.router)
    # FastAPI's own way to change what it publishes.
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Describe the service, with the problem documents that the routes refer to."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document["components"]["schemas"]
        schemas |= schema.pop("$defs") | {"Problem": schema}
        app.openapi_schema = document
    return app.openapi_schema
