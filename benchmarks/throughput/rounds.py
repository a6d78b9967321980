"""Rounds: all ways on one network, started once, then asked in turn for one timed round after another."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benchmarks.throughput.child import Child, default_environment, product_environment
from benchmarks.throughput.load import OtherLoad
from benchmarks.throughput.networks import (
    NETWORKS,
    Arithmetic,
    build_task,
    count_arithmetic,
)
from benchmarks.throughput.peak import PeakMeter
from benchmarks.throughput.ways import OURS, PLAIN_LOOP, PLAIN_POOL, Score
from models.devices import available_cores
from models.plans.plan import Plan, fused_plan

FEWEST_CANDIDATES = 16
NAMED_CHUNK = 8


@dataclass
class Way:
    """One way on one network.

    Attributes:
        name: As in the table.
        child: Answers with the seconds of a round.
        plan: Of the project's own ways.
        refusal: Why a layout cannot compute the network, or None.
        seconds: One per timed round.
        scores: Of the last round's candidates.
        scores_after_one_step: Of the same candidates, trained for one step.
    """

    name: str
    child: Child
    plan: Plan | None
    refusal: str | None
    seconds: list[float] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    scores_after_one_step: list[Score] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything measured on one network."""

    network: str
    n_candidates: int
    steps: int
    arithmetic: Arithmetic
    ways: list[Way]
    peak: Mapping[str, list[float]]
    other_load_cores: float


def named_plans(cores: int) -> dict[str, Plan]:
    """Fixed plans for the long table: each layout in one process with all threads, and one process per core."""
    plans = []
    for processes, threads in ((1, cores), (cores, 1)):
        plans.append(Plan(layout="loop", threads=threads, processes=processes))
        plans.append(fused_plan("vmap", NAMED_CHUNK, threads, processes=processes))
        plans.append(fused_plan("stacked", NAMED_CHUNK, threads, processes=processes))
    return {plan.label: plan for plan in plans}


def measure(network: str, arguments: argparse.Namespace) -> Measured:
    """Start all ways of one network, ask them in turn, end them."""
    cores = available_cores()
    with ExitStack() as ends:
        ways, at_once = [], []
        for name, plan in _ways_to_start(network, arguments, cores).items():
            way, size = _started(network, name, plan)
            ends.callback(way.child.end)
            ways.append(way)
            if way.refusal is None:
                at_once.append(size)
        multiple = math.lcm(*at_once)
        n_candidates = multiple * math.ceil(FEWEST_CANDIDATES / multiple)
        steps = arguments.steps or NETWORKS[network].steps
        running = [way for way in ways if way.refusal is None]
        _take_rounds(1, running, n_candidates, steps)
        for way in running:  # that one was to warm up
            way.seconds.clear()
        peak, load = PeakMeter(cores), OtherLoad()
        ends.callback(peak.end)
        _take_rounds(arguments.rounds, running, n_candidates, steps, peak)
        other_load = load.cores()
        for way in running:
            if way.name in (OURS, PLAIN_LOOP):
                answer = way.child.ask({"candidates": n_candidates, "steps": 1})
                way.scores_after_one_step = answer["scores"]
    arithmetic = count_arithmetic(build_task(network))
    return Measured(network, n_candidates, steps, arithmetic, ways, peak.gflops, other_load)


def _ways_to_start(
    network: str, arguments: argparse.Namespace, cores: int
) -> dict[str, dict[str, Any] | None]:
    """Name of each way and its plan, None where it has none or the product's probe chooses it."""
    given = arguments.plan or {}
    own = given if "layout" in given else given.get(network)
    ways = {OURS: own, PLAIN_LOOP: None, PLAIN_POOL: None}
    if arguments.all_plans:
        ways |= {name: plan.model_dump() for name, plan in named_plans(cores).items()}
    return ways


def _started(network: str, name: str, plan: dict[str, Any] | None) -> tuple[Way, int]:
    """Start a way and wait until it is ready; give it with the number of candidates it takes at once."""
    if name == PLAIN_LOOP:
        environment = default_environment()
    elif name == PLAIN_POOL:
        environment = default_environment(threads=1)
    else:
        environment = product_environment()
    options = ["--network", network, "--way", name]
    if plan is not None:
        options += ["--plan", json.dumps(plan)]
    child = Child("benchmarks.throughput.ways", options, environment)
    ready = child.receive()
    chosen = None if ready["plan"] is None else Plan.model_validate(ready["plan"])
    return Way(name, child, chosen, ready["refusal"]), ready["candidates_at_once"]


def _take_rounds(
    count: int, ways: list[Way], n_candidates: int, steps: int, peak: PeakMeter | None = None
) -> None:
    """Ask each way once per round, and measure the peak."""
    for round_number in range(count):
        # Another one goes first each time: no way always follows the same other way.
        first = round_number % len(ways)
        for way in ways[first:] + ways[:first]:
            answer = way.child.ask({"candidates": n_candidates, "steps": steps})
            way.seconds.append(answer["seconds"])
            way.scores = answer["scores"]
        if peak is not None:
            peak.measure()
