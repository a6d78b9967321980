"""The seam for schedules: how the learning rate changes over a training."""

from __future__ import annotations

import math
from typing import Protocol

from pydantic import Field

from search.registry import PluginConfig, Registry


class ScheduleConfig(PluginConfig):
    """Base of every schedule's options."""

    warm_up: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the steps over which the rate rises linearly from about 0",
    )


class Schedule(Protocol):
    """The shape of the learning rate after the warm-up."""

    def factor(self, progress: float) -> float:
        """Give what the learning rate is multiplied with.

        Args:
            progress: Share of the steps after the warm-up that are done, at least 0 and below 1.
        """
        ...


SCHEDULES: Registry[Schedule] = Registry("finetune.schedule", "models.schedules")


def rate_factors(config: ScheduleConfig, n_steps: int) -> list[float]:
    """What the learning rate of each step is multiplied with, from 0 to 1.

    The k-th of w warm-up steps has k / (w + 1) of the factor that comes after them, so that no step has rate 0, and at
    least one step comes after them.  A warm-up rises linearly as in Goyal et al., "Accurate, Large Minibatch SGD",
    2017, section 2.2.
    """
    schedule = SCHEDULES.plugin(config.kind)(config)  # type: ignore[call-arg]
    n_rising = max(0, min(round(config.warm_up * n_steps), n_steps - 1))
    n_following = n_steps - n_rising
    first = schedule.factor(0.0)
    rising = [first * (step + 1) / (n_rising + 1) for step in range(n_rising)]
    return rising + [schedule.factor(step / n_following) for step in range(n_following)]


def half_cosine(first: float, last: float, share: float) -> float:
    """Go from ``first`` (share 0) to ``last`` (share 1), slowly at both ends."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
