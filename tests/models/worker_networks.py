"""Tasks for worker processes, healthy ones and one that misbehaves; in a module that workers can import."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.evaluator import Task
from models.fixed_target import FixedTarget
from search.errors import InvalidInputError
from search.evaluation import Candidate
from search.genome import Genome
from tests.models.small_task import N_CLASSES, build_task, family_task

# A weight that no training reaches: it marks the source, and so every candidate that transfers the layer.
MARK = 1e6


def run_out_of_memory() -> None:
    """Say what torch says when an allocation fails."""
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


def raise_an_error() -> None:
    """Have a programming error."""
    raise RuntimeError("shapes do not fit")


def be_killed() -> None:
    """End as the kernel ends what takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


MISDEEDS: dict[str, Callable[[], None]] = {
    "memory": run_out_of_memory,
    "error": raise_an_error,
    "kill": be_killed,
    "crash": os.abort,
}


class Misbehaving(nn.Module):
    """Has one layer per misdeed, and commits it in candidates that transfer the layer.

    The files in ``folder`` are named after the processes that have trained it.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.misdeeds = nn.ModuleDict({name: nn.Linear(1, N_CLASSES) for name in MISDEEDS})
        self.head = nn.Linear(64, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            (self.folder / str(os.getpid())).touch()
        logits: Tensor = self.head(x.flatten(1))
        for name, layer in self.misdeeds.items():
            assert isinstance(layer, nn.Linear)
            if layer.bias.detach().max() > MARK / 2:
                MISDEEDS[name]()
            logits = logits + 0 * layer(x.flatten(1)[:, :1])
        return logits


class TargetOnDisk:
    """A target whose file may vanish."""

    def __init__(self, path: Path, state: State) -> None:
        path.touch()
        self.path, self._state = path, state

    def __call__(self, replicate: int) -> State:
        if not self.path.exists():
            raise InvalidInputError("target.path", self.path.name, "a file that is there")
        return self._state


def misbehaving_task(folder: Path) -> Task:
    """A task that misbehaves; its target needs the file ``target`` in the folder."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    network = Misbehaving(folder)
    target = {name: torch.randn_like(x) for name, x in network.state_dict().items()}
    source = {name: torch.full_like(x, MARK) for name, x in target.items()}
    return replace(
        build_task(network, source, target), target=TargetOnDisk(folder / "target", target)
    )


def doing(*misdeeds: str, steps: int = 0) -> Candidate:
    """A candidate of that task that transfers the layers of some misdeeds and keeps the rest.

    Unless it is to be trained, it misbehaves when it is scored: a new worker's first optimizer takes seconds to load.
    """
    return Candidate(Genome(tuple(name not in misdeeds for name in [*MISDEEDS, "head"])), steps)


def small_task() -> Task:
    """A healthy task of several genes."""
    return shareable(family_task("small_cnn", {"width": 4, "hidden": 8, "norm": "batch"}))


def shareable(task: Task) -> Task:
    """The same task with a target that can be sent to another process."""
    return replace(task, target=FixedTarget(task.target(0)))
