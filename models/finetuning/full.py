"""Full fine-tuning: every weight is trained, whichever network it came from."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from models.genes import GeneMap
from models.strategy import STRATEGIES, StrategyConfig
from search.genome import Genome


class FullConfig(StrategyConfig):
    """Options of full fine-tuning with cross entropy."""

    kind: Literal["full"] = "full"


@STRATEGIES.register(FullConfig)
class FullFineTuning:
    """Trains everything at one learning rate."""

    def __init__(self, config: FullConfig) -> None:
        """Bind the options."""
        self.config = config

    def frozen(self, genes: GeneMap, genome: Genome) -> frozenset[str]:  # noqa: ARG002 - all alike
        """Give no name: everything is trained."""
        return frozenset()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy."""
        return cross_entropy(logits, labels)

    def build_optimizer(
        self, parameters: list[Tensor], learning_rate: float
    ) -> torch.optim.Optimizer:
        """Construct the configured optimizer."""
        return self.config.optimizer.build(parameters, learning_rate)
