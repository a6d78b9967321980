"""Stochastic gradient descent, with momentum if asked for.

References: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Nesterov's momentum as in
Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator

from models.recipe.training_optimizer import (
    TRAINING_OPTIMIZERS,
    Decay,
    ParameterGroup,
    TrainingOptimizerConfig,
    torch_groups,
)


class SGDConfig(TrainingOptimizerConfig):
    """Options of stochastic gradient descent."""

    kind: Literal["sgd"] = "sgd"
    momentum: Decay = Field(0.0, description="share of the last update that is kept")
    nesterov: bool = Field(
        False, description="Nesterov's momentum: the update looks one step ahead"
    )

    @property
    def numbers_per_weight(self) -> int:
        """The last update, if a share of it is kept."""
        return int(self.momentum > 0)

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> SGDConfig:
        if self.nesterov and self.momentum == 0:
            raise ValueError(f"nesterov needs momentum above 0, given momentum {self.momentum}")
        return self


@TRAINING_OPTIMIZERS.register(SGDConfig)
class SGD:
    """torch's fused SGD."""

    def __init__(self, config: SGDConfig) -> None:
        """Bind the options."""
        self._config = config

    def build(self, groups: Sequence[ParameterGroup]) -> torch.optim.Optimizer:
        """Construct the optimizer."""
        config = self._config
        return torch.optim.SGD(
            torch_groups(groups),
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=True,
        )
