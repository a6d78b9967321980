"""Optimizers of fine-tuning, by name.

All are element-wise, so one of them over the stacked weights of a population trains every candidate as it would alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from search.registry import PluginConfig


class AdamConfig(PluginConfig):
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015."""

    kind: Literal["adam"] = "adam"
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), description="decay of the running mean of gradients and of their squares"
    )
    eps: float = Field(1e-8, gt=0, description="added to the denominator")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty")

    def build(self, parameters: Sequence[Tensor], learning_rate: float) -> torch.optim.Optimizer:
        """Construct the optimizer over leaves that it will change in place."""
        return torch.optim.Adam(
            parameters,
            lr=learning_rate,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
            # Steps counted on the GPU, so that they can be captured.
            capturable=parameters[0].is_cuda,
        )


class SGDConfig(PluginConfig):
    """Stochastic gradient descent, with momentum if asked for."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last update that is kept")
    nesterov: bool = Field(False, description="look-ahead momentum")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty")

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> SGDConfig:
        if self.nesterov and self.momentum == 0:
            raise ValueError(f"nesterov needs momentum above 0, given momentum {self.momentum}")
        return self

    def build(self, parameters: Sequence[Tensor], learning_rate: float) -> torch.optim.Optimizer:
        """Construct the optimizer over leaves that it will change in place."""
        return torch.optim.SGD(
            parameters,
            lr=learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=True,
        )


TrainingOptimizer = Annotated[AdamConfig | SGDConfig, Field(discriminator="kind")]
