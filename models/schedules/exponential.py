"""The rate falls by the same share at every step."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.recipe.schedule import SCHEDULES, ScheduleConfig


class ExponentialConfig(ScheduleConfig):
    """Options of an exponential decay."""

    kind: Literal["exponential"] = "exponential"
    final: float = Field(0.1, gt=0, le=1, description="share of the rate that is left at the end")


@SCHEDULES.register(ExponentialConfig)
class Exponential:
    """The final factor to the power of the progress."""

    def __init__(self, config: ExponentialConfig) -> None:
        """Bind the options."""
        self._config = config

    def factor(self, progress: float) -> float:
        """Give 1 at the start; the final factor would come after the last step."""
        return float(self._config.final**progress)
