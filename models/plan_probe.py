"""Choosing a plan by measuring a few training steps on the job's own network and data."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass

import torch
from torch import nn

from models.checkpoints import State
from models.dataset import Examples
from models.devices import available_cores
from models.freezing import nothing_frozen
from models.layout import Recipe
from models.memory import is_out_of_memory
from models.minibatches import draw_minibatches
from models.plan import CHUNK_SIZES, Plan, fused_plan
from models.population import build_layout
from models.strategy import Strategy

TIMED_RUNS, STEPS_PER_RUN = 3, 2
# Larger chunks are tried as long as they gain at least this much per candidate.
WORTHWHILE_GAIN = 0.97
PROBED_CHUNKS = tuple(size for size in CHUNK_SIZES if size in (4, 8, 16, 32, 64))


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """The chosen plan, milliseconds per candidate-step of every plan tried, and why others were not."""

    plan: Plan
    milliseconds: dict[str, float]
    refusals: dict[str, str]


@dataclass(frozen=True, slots=True)
class ProbeWork:
    """What the probe computes: some training steps of candidates that all have one state.

    Attributes:
        network: Architecture, on the device of ``state``.
        state: State of one network.
        data: Training part, on the same device.
        strategy: What a step does.
    """

    network: nn.Module
    state: State
    data: Examples
    strategy: Strategy


def probe_plans(work: ProbeWork, most_candidates: int) -> ProbeOutcome:
    """Time the loop and fused chunks of growing size, then the best of them with one thread; take the fastest.

    Args:
        work: What to compute.
        most_candidates: Chunks beyond what the search ever asks at once are not tried.
    """
    threads = available_cores()
    best = Plan(layout="loop", threads=threads)
    fastest = _milliseconds(best, work)
    timings, refusals = {_label(best): fastest}, dict[str, str]()
    previous = float("inf")
    for size in PROBED_CHUNKS:
        if size > max(most_candidates, PROBED_CHUNKS[0]):
            break
        plan = fused_plan("vmap", size, threads)
        try:
            taken = _milliseconds(plan, work)
        except (RuntimeError, MemoryError, NotImplementedError) as error:
            # vmap refuses what it cannot transform with a RuntimeError; so does memory that ran out.
            cause = "out of memory" if is_out_of_memory(error) else str(error).partition("\n")[0]
            refusals[_label(plan)] = cause
            break
        timings[_label(plan)] = taken
        if taken < fastest:
            best, fastest = plan, taken
        if taken > WORTHWHILE_GAIN * previous:
            break
        previous = taken
    if threads > 1 and work.data.labels.device.type == "cpu":
        # Threads that wait for a core which another process has cost more than they gain.
        alone = best.model_copy(update={"threads": 1})
        timings[f"{_label(best)}, 1 thread"] = taken = _milliseconds(alone, work)
        if taken < fastest:
            best = alone
    return ProbeOutcome(best, timings, refusals)


def _label(plan: Plan) -> str:
    return plan.layout if plan.layout == "loop" else f"{plan.layout} x {plan.chunk_size}"


def _milliseconds(plan: Plan, work: ProbeWork) -> float:
    """Median time of one candidate's training step under a plan."""
    torch.set_num_threads(plan.threads)
    layout = build_layout(plan.layout, copy.deepcopy(work.network))
    config, device = work.strategy.config, work.data.labels.device
    minibatches = draw_minibatches(len(work.data), STEPS_PER_RUN, config.batch_size, 0, "probe").to(
        device
    )
    durations = []
    for _ in range(1 + TIMED_RUNS):
        population = {
            name: tensor.unsqueeze(0).repeat(plan.chunk_size, *[1] * tensor.ndim)
            for name, tensor in work.state.items()
        }
        started = time.perf_counter()
        recipe = Recipe(work.strategy, config.learning_rates[0], nothing_frozen(plan.chunk_size))
        layout.train(population, work.data, minibatches, recipe)
        if device.type == "cuda":
            torch.cuda.synchronize()
        durations.append(time.perf_counter() - started)
    # The first run warms up.
    return 1000 * statistics.median(durations[1:]) / (len(minibatches) * plan.chunk_size)
