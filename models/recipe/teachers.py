"""Teachers: what they say about the training part, computed once for a whole search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn

from models.checkpoints import State, load_state, save_state
from models.evaluator import Task
from models.graft import graft_population
from models.placement import placed_network
from models.population.loop import LoopLayout
from models.recipe.fine_tuning import FineTuner, Rows
from models.recipe.strategy import LabelTraining, Teacher
from search.errors import InvalidInputError
from search.genome import transfer_all

# A block of its own beside those of search, race and final.
TEACHER_REPLICATE = 3_000
CPU = torch.device("cpu")


def with_teachers(task: Task, cache: Path | None = None) -> Task:
    """Give the task with the logits of every teacher that its strategy asks for.

    Args:
        task: On the CPU.
        cache: Where logits are kept for a job that is started again.

    Raises:
        InvalidInputError: A source that shall teach has other classes than the target task.
    """
    teachers = (stage.objective.teacher for stage in task.strategy.stages)
    by_name = {teacher.name: teacher for teacher in teachers if teacher is not None}
    logits: Mapping[str, Tensor] = {
        name: _kept(task, teacher, cache) for name, teacher in by_name.items()
    }
    return replace(task, teachers=logits) if logits else task


def untaught(task: Task) -> Task:
    """Give the task with teachers that say nothing: enough for timing, and nothing is trained for it."""
    silence = torch.zeros(len(task.data.train), len(task.data.class_names))
    teachers = (stage.objective.teacher for stage in task.strategy.stages)
    return replace(task, teachers={t.name: silence for t in teachers if t is not None})


def check_source_teaches(network: nn.Module, source: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a source that does not have every tensor of the network.

    Args:
        network: The target's architecture.
        source: Shapes of the source's tensors.

    Raises:
        InvalidInputError: Names the first tensor that is missing or of another shape.
    """
    for name, tensor in network.state_dict().items():
        if source.get(name) != tuple(tensor.shape):
            raise InvalidInputError(
                "finetune.teacher",
                f"source, whose {name} is {source.get(name, 'missing')} where the target has {tuple(tensor.shape)}",
                "transfer_all, or a source of the same architecture and classes",
            )


def _kept(task: Task, teacher: Teacher, cache: Path | None) -> Tensor:
    digest = sha256(teacher.name.encode()).hexdigest()[:16]
    path = None if cache is None else cache / f"teacher-{digest}.safetensors"
    if path is not None and path.exists():
        return load_state(path, "finetune.teacher")["logits"]
    logits = _logits(task, teacher)
    if path is not None:
        save_state(path, {"logits": logits})
    return logits


def _logits(task: Task, teacher: Teacher) -> Tensor:
    """Logits ``(N, C)`` on the training part."""
    layout = LoopLayout(placed_network(task.network, CPU, torch.float32))
    state = _trained(task, teacher, layout) if teacher.steps else _source(task)
    logits = layout.logits(state, task.data.train)[0]
    if not torch.isfinite(logits).all():
        if not teacher.steps:
            raise InvalidInputError(
                "source", "a network whose logits are NaN or infinite", "one that can teach"
            )
        raise InvalidInputError(
            "finetune.learning_rate",
            teacher.recipe.learning_rates[0],
            "a rate at which the teacher trains without diverging; try a smaller one",
        )
    return logits


def _trained(task: Task, teacher: Teacher, layout: LoopLayout) -> State:
    """The transfer-all network after its training."""
    genome = transfer_all(task.genes.n_genes)
    state = graft_population(
        task.target(TEACHER_REPLICATE), task.source, task.genes, torch.tensor([genome.keeps])
    )
    training = LabelTraining(teacher.recipe)
    tuner = FineTuner(task.network, task.genes, task.data, training, task.seed, {})
    rows = Rows((genome,), teacher.recipe.learning_rates[:1])
    tuner.train(layout, state, rows, steps=teacher.steps, replicates=TEACHER_REPLICATE)
    return state


def _source(task: Task) -> State:
    """The source as it is."""
    shapes = {name: tuple(tensor.shape) for name, tensor in task.source.items()}
    check_source_teaches(task.network, shapes)
    return {name: task.source[name].unsqueeze(0) for name in task.network.state_dict()}
