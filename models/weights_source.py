"""The seam for where a network's weights come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from models.checkpoints import State
from models.checkpoints.report import CheckpointReport
from models.data.shapes import DataShape
from models.family import ModelFamily
from models.surroundings import Surroundings
from search.registry import PluginConfig, Registry


@dataclass(frozen=True, slots=True)
class WeightsContext:
    """What a weights source may know.

    Attributes:
        family: Builds the architecture.
        shape: Shape of the target task's data.
        surroundings: Where files named in the spec lie.
        seed: The job's.
        field: ``source`` or ``target``: where the weights stood in the spec.
        held_out: Samples on which the search will judge: nothing may be trained on them.
        cache: Folder for what is expensive to make, or None; survives a restart of the job.
    """

    family: ModelFamily
    shape: DataShape
    surroundings: Surroundings
    seed: int
    field: str
    held_out: frozenset[str] = frozenset()
    cache: Path | None = None

    def meta_network(self, shape: DataShape | None = None) -> nn.Module:
        """Build the architecture without memory for its weights."""
        with torch.device("meta"):
            return self.family.build(shape or self.shape)


class WeightsSource(Protocol):
    """Gives the state of one network.

    The promise: ``shapes`` trains nothing and reads no tensor, ``load`` gives the same state every time it is called
    with the same replicate.
    """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor of the state.

        Raises:
            InvalidInputError: The source does not exist or cannot be read.
        """
        ...

    def load(self, replicate: int) -> State:
        """Give the state, on the CPU; the replicate matters only to sources that are redrawn."""
        ...


WEIGHTS: Registry[WeightsSource] = Registry("source", "models.weights")


def open_weights(config: PluginConfig, context: WeightsContext) -> WeightsSource:
    """Construct the source that a config names."""
    return WEIGHTS.plugin(config.kind)(config, context)  # type: ignore[call-arg]


def state_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor in a network's state."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


@runtime_checkable
class ReportsCheckpoint(Protocol):
    """A weights source that reads a checkpoint, and can say what became of its tensors."""

    def report(self) -> CheckpointReport:
        """Match names and shapes; no tensor is read.

        Raises:
            InvalidInputError: The checkpoint cannot be read, or does not fit.
        """
        ...


def checkpoint_reports(**sources: WeightsSource) -> dict[str, CheckpointReport]:
    """Reports of those weights that come from a checkpoint, by the field that names them."""
    return {
        field: source.report()
        for field, source in sources.items()
        if isinstance(source, ReportsCheckpoint)
    }
