"""The source task of a spec, where keeping it counts: which data set, whether it fits, its judging parts."""

from __future__ import annotations

from dataclasses import dataclass

from models.data.dataset import Dataset, DatasetConfig
from models.data.shapes import DataShape
from models.data.splits import TaskData, part_sizes
from models.family import build_family, open_data
from models.randomness import derive_seed
from models.scoring.retention import Retention, load_retention
from models.surroundings import Surroundings
from models.weights.pretrain import PretrainConfig
from search.errors import InvalidInputError
from service.spec import SearchSpec

FIELD = "fitness.source_retention"


@dataclass(frozen=True, slots=True)
class SourceTask:
    """A data set that is opened but not read; ``field`` is where it stood in the spec."""

    weight: float
    dataset: Dataset
    config: DatasetConfig
    field: str


def check_source_task(spec: SearchSpec, surroundings: Surroundings, target: DataShape) -> None:
    """Refuse a source task that is missing, or that the target task's network cannot answer.

    Args:
        spec: Of the search.
        surroundings: What the spec may reach outside of itself.
        target: Shape of the target task.

    Raises:
        InvalidInputError: Names the field, what came and what was expected.
    """
    task = _open_source_task(spec, surroundings)
    if task is None:
        return
    shape = task.dataset.shape()
    if shape.n_classes != target.n_classes:
        raise InvalidInputError(
            task.field,
            f"{shape.n_classes} classes",
            f"{target.n_classes}, as many as the target task has: with {FIELD} one network answers both",
        )
    if dict(shape.inputs) != dict(target.inputs):
        raise InvalidInputError(
            task.field,
            f"inputs of shape {dict(shape.inputs)}",
            f"{dict(target.inputs)}, as the target task has: with {FIELD} one network answers both",
        )
    part_sizes(task.dataset, task.config, task.field)


def read_retention(
    spec: SearchSpec, surroundings: Surroundings, target: TaskData
) -> Retention | None:
    """Read the source task and draw its judging parts; None where it does not count.

    Raises:
        InvalidInputError: What only the data can show is wrong.
    """
    task = _open_source_task(spec, surroundings)
    if task is None:
        return None
    seed = derive_seed(spec.seed, "source data")
    return load_retention(
        task.weight, task.dataset, task.config, target.names, seed, field=task.field
    )


def _open_source_task(spec: SearchSpec, surroundings: Surroundings) -> SourceTask | None:
    options = spec.fitness.retention
    if options is None:
        return None
    config, field = options.dataset, f"{FIELD}.dataset"
    if config is None and isinstance(spec.source, PretrainConfig):
        config, field = spec.source.dataset, "source.dataset"
    if config is None:
        raise InvalidInputError(
            field, "null", f"the source task's data: a source of kind {spec.source.kind} names none"
        )
    family = build_family(spec.model, surroundings)
    dataset = open_data(family, config, surroundings, field)
    return SourceTask(options.weight, dataset, config, field)
