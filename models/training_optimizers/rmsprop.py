"""RMSprop: gradients divided by the root of the running mean of their squares, with momentum if asked for.

Reference: Tieleman and Hinton, "Lecture 6.5 - rmsprop", Coursera: Neural Networks for Machine Learning, 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field

from models.recipe.training_optimizer import (
    TRAINING_OPTIMIZERS,
    Decay,
    Epsilon,
    ParameterGroup,
    TrainingOptimizerConfig,
    is_cuda,
    torch_groups,
)


class RMSpropConfig(TrainingOptimizerConfig):
    """Options of RMSprop."""

    kind: Literal["rmsprop"] = "rmsprop"
    alpha: Decay = Field(0.99, description="decay of the running mean of squared gradients")
    momentum: Decay = Field(0.0, description="share of the last update that is kept")
    eps: Epsilon = Field(1e-8, description="added to the denominator")

    @property
    def numbers_per_weight(self) -> int:
        """The running mean and, if a share of it is kept, the last update."""
        return 1 + int(self.momentum > 0)


@TRAINING_OPTIMIZERS.register(RMSpropConfig)
class RMSprop:
    """torch's RMSprop over all leaves at once; it has no fused one."""

    def __init__(self, config: RMSpropConfig) -> None:
        """Bind the options."""
        self._config = config

    def build(self, groups: Sequence[ParameterGroup]) -> torch.optim.Optimizer:
        """Construct the optimizer."""
        config = self._config
        return torch.optim.RMSprop(
            torch_groups(groups),
            alpha=config.alpha,
            momentum=config.momentum,
            eps=config.eps,
            weight_decay=config.weight_decay,
            foreach=True,
            capturable=is_cuda(groups),
        )
