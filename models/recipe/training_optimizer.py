"""The seam for optimizers of fine-tuning.

All are element-wise, so one of them over the stacked weights of a population trains every candidate as it would alone;
and what they change is proportional to the learning rate, so that rows of a leaf can have rates of their own.  What
they remember of earlier steps does not depend on the rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Protocol, TypedDict

import torch
from pydantic import Field
from torch import Tensor

from search.registry import PluginConfig, Registry

Decay = Annotated[float, Field(ge=0, lt=1)]
# Smaller numbers are 0 in float32 and bfloat16, and 0 / 0 where a gradient is 0.
Epsilon = Annotated[float, Field(ge=1e-30, le=1e3)]


class ParameterGroup(TypedDict):
    """Leaves that are trained at one learning rate; a tensor ``()`` if steps are captured as graphs."""

    params: list[Tensor]
    lr: float | Tensor


class TrainingOptimizerConfig(PluginConfig):
    """Base of every optimizer's options."""

    weight_decay: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="L2 penalty: this times the weight is added to its gradient, before anything else",
    )

    @property
    def numbers_per_weight(self) -> int:
        """How many numbers it remembers for each weight: memory is planned with it before anything is trained."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it remembers")


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


def torch_groups(groups: Sequence[ParameterGroup]) -> list[dict[str, Any]]:
    """Copy groups for a torch optimizer, which adds its defaults to those it is given; leaves and rates are shared."""
    return [dict(group) for group in groups]


def is_cuda(groups: Sequence[ParameterGroup]) -> bool:
    """Whether the leaves are on a GPU, where steps may be captured and so must be counted there."""
    return any(leaf.is_cuda for group in groups for leaf in group["params"])
