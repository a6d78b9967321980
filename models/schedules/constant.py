"""One learning rate throughout."""

from __future__ import annotations

from typing import Literal

from models.recipe.schedule import SCHEDULES, ScheduleConfig


class ConstantConfig(ScheduleConfig):
    """Options of a constant rate."""

    kind: Literal["constant"] = "constant"


@SCHEDULES.register(ConstantConfig)
class Constant:
    """Changes nothing."""

    def __init__(self, config: ConstantConfig) -> None:
        """Take the options; there are none beside the warm-up."""

    def factor(self, progress: float) -> float:  # noqa: ARG002 - always the same
        """Give 1."""
        return 1.0
