"""The seam for optimizers of fine-tuning.

All are element-wise, so one of them over the stacked weights of a population trains every candidate as it would alone;
and what they change is proportional to the learning rate, so that rows of a leaf can have rates of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypedDict

import torch
from pydantic import Field
from torch import Tensor

from search.registry import PluginConfig, Registry


class ParameterGroup(TypedDict):
    """Leaves that are trained at one learning rate; a tensor ``()`` if steps are captured as graphs."""

    params: list[Tensor]
    lr: float | Tensor


class TrainingOptimizerConfig(PluginConfig):
    """Base of every optimizer's options."""

    weight_decay: float = Field(0.0, ge=0, description="L2 penalty")


class TrainingOptimizer(Protocol):
    """Constructs a torch optimizer over leaves that it will change in place, stacked or not."""

    def build(self, groups: Sequence[ParameterGroup]) -> torch.optim.Optimizer:
        """Construct it; the leaves of all groups are on one device."""
        ...


TRAINING_OPTIMIZERS: Registry[TrainingOptimizer] = Registry(
    "finetune.optimizer", "models.training_optimizers"
)


def build_training_optimizer(
    config: TrainingOptimizerConfig, groups: Sequence[ParameterGroup]
) -> torch.optim.Optimizer:
    """Construct the optimizer that a config names."""
    plugin = TRAINING_OPTIMIZERS.plugin(config.kind)(config)  # type: ignore[call-arg]
    return plugin.build(groups)


def is_cuda(groups: Sequence[ParameterGroup]) -> bool:
    """Whether the leaves are on a GPU, where steps may be captured and so must be counted there."""
    return groups[0]["params"][0].is_cuda
