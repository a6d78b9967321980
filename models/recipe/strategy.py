"""The seam for fine-tuning strategies: the stages of a training, and what a step of each minimises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol

from torch import Tensor

from models.data.dataset import Examples
from models.genes import GeneMap
from models.recipe.loss import build_loss, weighted_mean
from models.recipe.options import RecipeOptions
from search.genome import Genome
from search.registry import PluginConfig, Registry

# What a loss compares with beside the labels, by name in ``Examples.targets``.
WEIGHTS, TEACHER = "weights", "teacher"


class StrategyConfig(RecipeOptions, PluginConfig):
    """Base of the options of a strategy of one stage, or of several that have one recipe."""

    @property
    def recipes(self) -> Mapping[str, StrategyConfig]:
        """These options alone."""
        return {"": self}

    def check(self, genes: GeneMap) -> None:
        """Refuse genes that the strategy cannot serve.

        Raises:
            InvalidInputError: The options and the genes do not fit; names both numbers.
        """


class TrainingOptions(Protocol):
    """What every strategy's options tell, those of several recipes too."""

    @property
    def kind(self) -> str:
        """The strategy's name."""
        ...

    @property
    def steps(self) -> int:
        """Training steps of one evaluation of the search."""
        ...

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The rates to choose from, each once."""
        ...

    @property
    def learning_rate_per_candidate(self) -> bool:
        """Whether every candidate is judged at its best rate."""
        ...

    @property
    def learning_rates_of_one(self) -> tuple[float, ...]:
        """The rates at which one candidate is trained unless its arm names others."""
        ...

    @property
    def recipes(self) -> Mapping[str, StrategyConfig]:
        """Every recipe by where it stands below ``finetune``, ``phases.0`` say; by "" where it is all of it."""
        ...


class Objective(Protocol):
    """What one training step does to one candidate; every layout runs it, alone or for a whole chunk."""

    @property
    def config(self) -> RecipeOptions:
        """How it is trained."""
        ...

    @property
    def teacher(self) -> Teacher | None:
        """Whose logits the loss compares with, if anybody's."""
        ...

    def frozen(self, genes: GeneMap, genome: Genome) -> frozenset[str]:
        """Names of the tensors that training leaves as they are in a candidate of that mask."""
        ...

    def rate_factors(self, genes: GeneMap, genome: Genome) -> Mapping[str, float]:
        """What the learning rate of tensors is multiplied with in a candidate of that mask; 1 for those not named."""
        ...

    def loss(self, logits: Tensor, minibatch: Examples) -> Tensor:
        """Mean loss of one candidate on one minibatch: a scalar from ``(N, C)``.

        ``minibatch.targets`` has what the loss needs beside the labels: ``weights`` of samples ``(N,)`` where classes
        are weighted, the ``teacher``'s logits ``(N, C)`` where there is one.
        """
        ...


@dataclass(frozen=True, slots=True)
class Teacher:
    """A network that candidates learn from: the source as it is, or the transfer-all network after its own training.

    Attributes:
        steps: Of its training; 0 for the source as it is.
        recipe: How it is trained.
    """

    steps: int
    recipe: StrategyConfig

    @property
    def name(self) -> str:
        """Text that is equal for equal teachers."""
        return f"{self.steps} steps {self.recipe.model_dump_json()}" if self.steps else "source"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of a training; each has an optimizer and a schedule of its own.

    Attributes:
        objective: What its steps do.
        share: Of the training's steps, in proportion to the other stages'.
        learning_rate_factor: What the training's learning rate is multiplied with.
    """

    objective: Objective
    share: float = 1.0
    learning_rate_factor: float = 1.0


class Strategy(Protocol):
    """A training as a sequence of stages."""

    @property
    def config(self) -> TrainingOptions:
        """The options."""
        ...

    @property
    def stages(self) -> tuple[Stage, ...]:
        """At least one."""
        ...


class LabelTraining:
    """Learns from labels; base of strategies that differ in what they freeze only."""

    def __init__(self, config: StrategyConfig) -> None:
        """Bind the options."""
        self.config = config
        self._loss = build_loss(config.loss)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One."""
        return (Stage(self),)

    @property
    def teacher(self) -> Teacher | None:
        """Nobody."""
        return None

    def frozen(self, genes: GeneMap, genome: Genome) -> frozenset[str]:  # noqa: ARG002 - for subclasses
        """Give no name: everything is trained."""
        return frozenset()

    def rate_factors(self, genes: GeneMap, genome: Genome) -> Mapping[str, float]:  # noqa: ARG002 - for subclasses
        """Give no name: everything is trained at one rate."""
        return {}

    def loss(self, logits: Tensor, minibatch: Examples) -> Tensor:
        """Mean of the configured loss, weighted by class where that is asked for."""
        losses = self._loss.per_sample(logits, minibatch.labels)
        return weighted_mean(losses, minibatch.targets.get(WEIGHTS))


STRATEGIES: Registry[Strategy] = Registry("finetune", "models.finetuning")


def build_strategy(config: TrainingOptions) -> Strategy:
    """Construct the strategy that a config names."""
    return STRATEGIES.plugin(config.kind)(config)  # type: ignore[call-arg]


def steps_by_stage(strategy: Strategy, n_steps: int) -> list[tuple[Stage, int]]:
    """Share out the steps of a training: their sum is ``n_steps``, and each is its share rounded up or down."""
    shares = [stage.share for stage in strategy.stages]
    ends = [round(n_steps * end / sum(shares)) for end in accumulate(shares, initial=0.0)]
    return [
        (stage, end - start)
        for stage, (start, end) in zip(strategy.stages, pairwise(ends), strict=True)
    ]
