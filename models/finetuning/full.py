"""Full fine-tuning: every weight is trained, whichever network it came from."""

from __future__ import annotations

from typing import Literal

from models.genes import GeneMap
from models.strategy import STRATEGIES, CrossEntropyTraining, StrategyConfig
from search.genome import Genome


class FullConfig(StrategyConfig):
    """Options of full fine-tuning with cross entropy."""

    kind: Literal["full"] = "full"


@STRATEGIES.register(FullConfig)
class FullFineTuning(CrossEntropyTraining):
    """Trains everything at one learning rate."""

    def frozen(self, genes: GeneMap, genome: Genome) -> frozenset[str]:  # noqa: ARG002 - all alike
        """Give no name: everything is trained."""
        return frozenset()
