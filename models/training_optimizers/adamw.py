"""AdamW: Adam whose weight decay shrinks the weights themselves, whatever their gradients are.

Reference: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2; the decay is
multiplied with the learning rate, as torch does.
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


class AdamWConfig(TrainingOptimizerConfig):
    """Options of AdamW."""

    kind: Literal["adamw"] = "adamw"
    betas: tuple[Decay, Decay] = Field(
        (0.9, 0.999), description="decay of the running mean of gradients and of their squares"
    )
    eps: Epsilon = Field(1e-8, description="added to the denominator")
    weight_decay: float = Field(
        0.01,
        ge=0,
        le=1e6,
        description="decoupled: a step shrinks the weight by this times the learning rate, a share of it",
    )

    @property
    def numbers_per_weight(self) -> int:
        """Both running means."""
        return 2


@TRAINING_OPTIMIZERS.register(AdamWConfig)
class AdamW:
    """torch's fused AdamW."""

    def __init__(self, config: AdamWConfig) -> None:
        """Bind the options."""
        self._config = config

    def build(self, groups: Sequence[ParameterGroup]) -> torch.optim.Optimizer:
        """Construct the optimizer."""
        config = self._config
        return torch.optim.AdamW(
            torch_groups(groups),
            betas=config.betas,
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,
            capturable=is_cuda(groups),
        )
