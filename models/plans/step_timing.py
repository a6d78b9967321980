"""Timing a plan: some training steps on a job's own networks and data."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from models.evaluator import GraftEvaluator, Task
from models.plans.plan import Plan

# Of each stage, for a stage takes some time to begin.
STEPS_PER_STAGE = 2
# Runs are timed until there are enough of them: small networks take a few milliseconds, and other programs interfere.
FEWEST_RUNS, MOST_RUNS, ENOUGH_SECONDS = 3, 15, 0.15


def step_milliseconds(
    plan: Plan,
    task: Task,
    device: torch.device,
    start_together: Callable[[], None] = lambda: None,
) -> float:
    """Median time of one candidate's training step in one chunk of a plan, in this process alone.

    A candidate that is trained at several learning rates takes a step at each.

    Args:
        plan: How to compute it; sets the process's number of threads.
        task: What to compute; not changed.
        device: Where.
        start_together: Called between the run that warms up and those that are timed; may wait for other processes.

    Raises:
        RuntimeError: The layout cannot compute this network, or memory ran out.
    """
    evaluator = GraftEvaluator(task, plan, device)
    steps = STEPS_PER_STAGE * len(task.strategy.stages)
    evaluator.rehearse(steps, only_steps=True)
    start_together()
    durations: list[float] = []
    while len(durations) < FEWEST_RUNS or (
        len(durations) < MOST_RUNS and sum(durations) < ENOUGH_SECONDS
    ):
        started = time.perf_counter()
        evaluator.rehearse(steps, only_steps=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        durations.append(time.perf_counter() - started)
    n_rates = len(task.strategy.config.learning_rates_of_one)
    return 1000 * statistics.median(durations) / (steps * plan.chunk_size * n_rates)
