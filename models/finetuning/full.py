"""Full fine-tuning: every weight is trained, whichever network it came from."""

from __future__ import annotations

from typing import Literal

from models.recipe.strategy import STRATEGIES, LabelTraining, StrategyConfig


class FullConfig(StrategyConfig):
    """Options of full fine-tuning."""

    kind: Literal["full"] = "full"


@STRATEGIES.register(FullConfig)
class FullFineTuning(LabelTraining):
    """Trains everything at one learning rate."""
