"""The seam for fine-tuning strategies: what a training step minimises, and with what."""

from __future__ import annotations

from typing import Annotated, Protocol

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from models.genes import GeneMap
from models.training_optimizers import AdamConfig, TrainingOptimizer
from search.genome import Genome
from search.registry import PluginConfig, Registry

LearningRate = Annotated[float, Field(ge=1e-12, le=1e12)]


class StrategyConfig(PluginConfig):
    """Base of every strategy's options."""

    steps: int = Field(40, ge=1, le=10_000_000, description="training steps of one evaluation")
    batch_size: int = Field(32, ge=1, le=1_000_000, description="samples per step")
    optimizer: TrainingOptimizer = Field(AdamConfig(), description="what changes the weights")
    learning_rate: (
        LearningRate | Annotated[tuple[LearningRate, ...], Field(min_length=1, max_length=20)]
    ) = Field(
        0.001,
        description="one rate, or several of which the best over keep-all and transfer-all serves",
    )

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The rates to choose from, each once."""
        rates = self.learning_rate
        return (rates,) if isinstance(rates, float) else tuple(dict.fromkeys(rates))

    def check(self, genes: GeneMap) -> None:
        """Refuse genes that the strategy cannot serve.

        Raises:
            InvalidInputError: The options and the genes do not fit; names both numbers.
        """


class Strategy(Protocol):
    """What one training step does to one candidate; every layout runs it, alone or for a whole chunk."""

    @property
    def config(self) -> StrategyConfig:
        """The options."""
        ...

    def frozen(self, genes: GeneMap, genome: Genome) -> frozenset[str]:
        """Names of the tensors that training leaves as they are in a candidate of that mask."""
        ...

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of one candidate on one minibatch: a scalar from ``(N, C)`` and ``(N,)``."""
        ...

    def build_optimizer(
        self, parameters: list[Tensor], learning_rate: float
    ) -> torch.optim.Optimizer:
        """Construct an element-wise optimizer over leaves, stacked or not."""
        ...


class CrossEntropyTraining:
    """Minimises the mean cross entropy; base of strategies that differ in what they freeze only."""

    def __init__(self, config: StrategyConfig) -> None:
        """Bind the options."""
        self.config = config

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy."""
        return cross_entropy(logits, labels)

    def build_optimizer(
        self, parameters: list[Tensor], learning_rate: float
    ) -> torch.optim.Optimizer:
        """Construct the configured optimizer."""
        return self.config.optimizer.build(parameters, learning_rate)


STRATEGIES: Registry[Strategy] = Registry("finetune", "models.finetuning")


def build_strategy(config: StrategyConfig) -> Strategy:
    """Construct the strategy that a config names."""
    return STRATEGIES.plugin(config.kind)(config)  # type: ignore[call-arg]
