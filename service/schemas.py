"""The documents of the HTTP contract that the service itself makes up; the result's are in ``result``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import RowMapping

from models.formats.content import FileKind
from models.uploads import ID_PREFIX
from service.artifact_rows import MOST_SEARCHES, MOST_TENSORS
from service.problem import Problem
from service.states import JobState
from service.store import EVALUATION_PREFIX

ItemT = TypeVar("ItemT", bound=BaseModel)


class Document(BaseModel):
    """Base of every document: frozen; what an older or newer worker stored beside its fields is left out."""

    model_config = ConfigDict(frozen=True)


class SearchProgress(Document):
    """Where a search is; absent until its first report."""

    phase: str
    evaluations: int
    budget: int
    fraction: float
    generation: int
    best_fitness: float | None
    seconds: float
    eta_seconds: float | None
    message: str | None = None


class BestSoFar(Document):
    """The mask with the best selection score so far: an optimistic figure, no verdict."""

    mask: str
    fitness: float


class Search(Document):
    """One search and how it stands."""

    id: str
    name: str
    status: JobState
    spec: dict[str, Any] = Field(description="as it was sent, the defaults filled in")
    progress: SearchProgress | None
    best: BestSoFar | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: Problem | None = Field(description="what went wrong, where the status is failed")
    stop_reason: str | None

    @classmethod
    def of(cls, row: RowMapping) -> Search:
        """Read a row of the table of searches."""
        progress = row["progress"]
        best = None
        if progress is not None and progress["best_mask"] is not None:
            best = BestSoFar(mask=progress["best_mask"], fitness=progress["best_fitness"])
        fields = {name: row[name] for name in cls.model_fields if name in row}
        return cls.model_validate(fields | {"best": best})


class StoredEvaluation(Document):
    """One evaluation of the ledger."""

    id: str
    phase: str
    batch: int
    chunk: int
    mask: str
    steps: int
    arm: str
    replicate: int
    outcome: Literal["measured", "diverged", "out_of_memory"]
    fitness: float | None
    loss: float | None

    @classmethod
    def of(cls, row: RowMapping) -> StoredEvaluation:
        """Read a row of the ledger's table."""
        fields = {name: row[name] for name in cls.model_fields if name in row}
        return cls.model_validate(fields | {"id": f"{EVALUATION_PREFIX}{row['row']}"})


class ArtifactSummary(Document):
    """One upload."""

    id: str = Field(description="art_ and the SHA-256 of the content")
    kind: FileKind
    name: str = Field(description="for people, as it was first sent")
    bytes: int
    sha256: str
    created_at: datetime
    n_tensors: int = Field(description="tensors of safetensors, arrays of npz")
    n_used_by: int = Field(
        description="searches that need it; it can be deleted while there are none"
    )

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """Read a row of the table of uploads."""
        return cls.model_validate(_upload_fields(row))


class StoredTensor(Document):
    """A tensor or array of an upload."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Artifact(ArtifactSummary):
    """One upload, what is in it, and what needs it."""

    tensors: tuple[StoredTensor, ...] = Field(description=f"the first {MOST_TENSORS}")
    used_by: tuple[str, ...] = Field(
        description=f"ids of searches that need it, the newest {MOST_SEARCHES}"
    )

    @classmethod
    def of_row(cls, row: RowMapping, used_by: tuple[str, ...]) -> Artifact:
        """Read a row of the table of uploads; the searches are those of ``ArtifactRows.used_by``."""
        names = StoredTensor.model_fields
        tensors = [dict(zip(names, entry, strict=True)) for entry in row["tensors"]]
        return cls.model_validate(_upload_fields(row) | {"tensors": tensors, "used_by": used_by})


def _upload_fields(row: RowMapping) -> dict[str, Any]:
    fields = {name: row[name] for name in ArtifactSummary.model_fields if name in row}
    return fields | {"sha256": row["id"].removeprefix(ID_PREFIX)}


class List(Document, Generic[ItemT]):
    """A page of a list; the next one is asked for with ``after`` = the id of its last item."""

    data: tuple[ItemT, ...]
    has_more: bool


class Plugin(Document):
    """One plug-in and the JSON schema of its options."""

    kind: str
    description: str
    options: dict[str, Any]


class Plugins(Document):
    """Every registered plug-in, by the field of the spec that takes it."""

    model: tuple[Plugin, ...]
    weights: tuple[Plugin, ...] = Field(description="for source and target")
    dataset: tuple[Plugin, ...]
    optimizer: tuple[Plugin, ...]
    finetune: tuple[Plugin, ...]
    metric: tuple[Plugin, ...] = Field(description="for fitness, by name alone")
    training_optimizer: tuple[Plugin, ...] = Field(description="for finetune.optimizer")
    schedule: tuple[Plugin, ...] = Field(description="for finetune.schedule")
    loss: tuple[Plugin, ...] = Field(description="for finetune.loss")
    augmentation: tuple[Plugin, ...] = Field(description="for finetune.augmentation")
    execution: tuple[Plugin, ...]


class Health(Document):
    """Whether the service can do its work."""

    status: Literal["ok"]
