"""Phases: one strategy after another on the same weights, distillation before fine-tuning say.

Each phase is a strategy with a recipe of its own; how many steps it has beside the others says what share of a longer
or shorter training it gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from models.recipe.strategy import STRATEGIES, Stage, StrategyConfig, build_strategy
from search.registry import PluginConfig

if TYPE_CHECKING:
    PhaseConfig = StrategyConfig
else:
    # Phases themselves are not registered yet, so none is inside another.
    PhaseConfig = STRATEGIES.union()


class PhasesConfig(PluginConfig):
    """Options of a sequence of strategies.

    The search chooses the learning rate of the first phase; those of the others keep their ratio to its first one.
    """

    kind: Literal["phases"] = "phases"
    phases: tuple[PhaseConfig, ...] = Field(
        min_length=1, max_length=8, description="strategies, in order"
    )

    @model_validator(mode="after")
    def _only_the_first_chooses_its_rate(self) -> PhasesConfig:
        for number, phase in enumerate(self.phases[1:], start=2):
            if len(phase.learning_rates) > 1:
                raise ValueError(
                    f"phase {number} has the learning rates {list(phase.learning_rates)}; "
                    "only the first phase may have several, the others keep their ratio to it"
                )
        return self

    @property
    def steps(self) -> int:
        """Training steps of one evaluation, over all phases."""
        return sum(phase.steps for phase in self.phases)

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """Those of the first phase."""
        return self.phases[0].learning_rates

    @property
    def learning_rate_per_candidate(self) -> bool:
        """Whether every candidate is judged at its best rate."""
        return self.phases[0].learning_rate_per_candidate

    @property
    def learning_rates_of_one(self) -> tuple[float, ...]:
        """Those of the first phase."""
        return self.phases[0].learning_rates_of_one

    @property
    def recipes(self) -> Mapping[str, StrategyConfig]:
        """Those of the phases."""
        return {f"phases.{index}": phase for index, phase in enumerate(self.phases)}


@STRATEGIES.register(PhasesConfig)
class Phases:
    """The stages of all phases."""

    def __init__(self, config: PhasesConfig) -> None:
        """Construct the strategies."""
        self.config = config
        self._strategies = [build_strategy(phase) for phase in config.phases]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those of the strategies in order; a strategy shares out its phase's steps."""
        stages = []
        for phase, strategy in zip(self.config.phases, self._strategies, strict=True):
            total = sum(stage.share for stage in strategy.stages)
            ratio = phase.learning_rates[0] / self.config.learning_rates[0]
            stages += [
                Stage(
                    stage.objective,
                    phase.steps * stage.share / total,
                    ratio * stage.learning_rate_factor,
                )
                for stage in strategy.stages
            ]
        return tuple(stages)
