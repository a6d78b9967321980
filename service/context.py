"""What the routes work with: one object per running service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from models.surroundings import Surroundings
from service.artifact_rows import ArtifactRows
from service.settings import Settings
from service.store import SearchStore
from service.supervisor import Supervisor
from service.uploads import UploadStore


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The parts that requests share; each is safe for use by several threads."""

    settings: Settings
    store: SearchStore
    surroundings: Surroundings
    supervisor: Supervisor
    artifacts: ArtifactRows
    uploads: UploadStore


def _context_of(request: Request) -> ServiceContext:
    context = request.app.state.context
    assert isinstance(context, ServiceContext)
    return context


Context = Annotated[ServiceContext, Depends(_context_of)]
