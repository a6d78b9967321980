"""One cycle: the rate rises from a low one, then falls to a far lower one; momentum stays as it is.

References: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2018
(arXiv:1708.07120); both ways along half a cosine, as torch's ``OneCycleLR`` does.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.recipe.schedule import SCHEDULES, ScheduleConfig, half_cosine


class OneCycleConfig(ScheduleConfig):
    """Options of one cycle; ``learning_rate`` is its highest."""

    kind: Literal["one_cycle"] = "one_cycle"
    rise: float = Field(0.3, gt=0, lt=1, description="share of the steps over which the rate rises")
    initial_divisor: float = Field(
        25.0, ge=1, le=1e9, description="the first rate is the highest divided by this"
    )
    final_divisor: float = Field(
        1e4, ge=1, le=1e9, description="the rate at the end is the first divided by this"
    )


@SCHEDULES.register(OneCycleConfig)
class OneCycle:
    """Up, then down."""

    def __init__(self, config: OneCycleConfig) -> None:
        """Bind the options."""
        self._config = config

    def factor(self, progress: float) -> float:
        """Give 1 at the top; the lowest factor would come after the last step."""
        rise, first = self._config.rise, 1 / self._config.initial_divisor
        if progress < rise:
            return half_cosine(first, 1.0, progress / rise)
        last = first / self._config.final_divisor
        return half_cosine(1.0, last, (progress - rise) / (1 - rise))
