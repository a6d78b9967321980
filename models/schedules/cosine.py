"""The rate falls along half a cosine.

Reference: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, equation 5, without
restarts.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.recipe.schedule import SCHEDULES, ScheduleConfig, half_cosine


class CosineConfig(ScheduleConfig):
    """Options of a cosine decay."""

    kind: Literal["cosine"] = "cosine"
    final: float = Field(0.0, ge=0, le=1, description="share of the rate that is left at the end")


@SCHEDULES.register(CosineConfig)
class Cosine:
    """Half a cosine."""

    def __init__(self, config: CosineConfig) -> None:
        """Bind the options."""
        self._config = config

    def factor(self, progress: float) -> float:
        """Give 1 at the start; the final factor would come after the last step."""
        return half_cosine(1.0, self._config.final, progress)
