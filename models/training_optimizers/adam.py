"""Adam: steps of about equal size for every weight, by running means of gradients and of their squares.

Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
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


class AdamConfig(TrainingOptimizerConfig):
    """Options of Adam."""

    kind: Literal["adam"] = "adam"
    betas: tuple[Decay, Decay] = Field(
        (0.9, 0.999), description="decay of the running mean of gradients and of their squares"
    )
    eps: Epsilon = Field(1e-8, description="added to the denominator")

    @property
    def numbers_per_weight(self) -> int:
        """Both running means."""
        return 2


@TRAINING_OPTIMIZERS.register(AdamConfig)
class Adam:
    """torch's fused Adam."""

    def __init__(self, config: AdamConfig) -> None:
        """Bind the options."""
        self._config = config

    def build(self, groups: Sequence[ParameterGroup]) -> torch.optim.Optimizer:
        """Construct the optimizer."""
        config = self._config
        return torch.optim.Adam(
            torch_groups(groups),
            betas=config.betas,
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,
            capturable=is_cuda(groups),
        )
