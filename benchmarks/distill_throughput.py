"""What does learning from a teacher cost a candidate?  Whole evaluations of ``distill`` against those of ``full``.

Both evaluate the same chunks of the demo's task by the same plan, one after the other within a round, another one first
each time, in one process and in the environment in which the service computes.  The teacher's logits are there
beforehand, as in a search.  The ratio is candidate-steps per second of ``distill`` over those of ``full`` within a
round; that of processor seconds is given as well, on which other programs have less influence.

    python -m benchmarks.distill_throughput --rounds 12
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.record import conditions_of, over_seeds, show, write_record
from benchmarks.throughput.load import OtherLoad
from models.devices import available_cores, pick_device
from models.evaluator import GraftEvaluator, Task
from models.finetuning.distill import DistillConfig
from models.plans.plan import Plan, fused_plan
from models.process_environment import computing_environment
from models.recipe.strategy import build_strategy
from models.recipe.teachers import with_teachers
from models.surroundings import Surroundings
from search.decisions import DecisionLog
from search.evaluation import Candidate
from search.genome import Genome
from search.ledger import InMemoryLedger
from search.statistics import Interval
from service.composition import compose
from service.spec import SearchSpec

SPEC = Path(__file__).parent.parent / "examples" / "digits.json"
MODULE = "benchmarks.distill_throughput"
CHUNK, SEED = 16, 1
FULL, DISTILL = "full", "distill"
TARGET = 0.9


def demo_tasks(folder: Path) -> dict[str, Task]:
    """The demo's task by both recipes; how well source and teacher are trained changes no time."""
    document = json.loads(SPEC.read_text(encoding="utf-8"))
    plan = fused_plan("vmap", CHUNK, threads=1).model_dump()
    document |= {"source": {"kind": "init"}, "seed": SEED, "plan": plan}
    spec = SearchSpec.model_validate(document)
    decisions = DecisionLog(InMemoryLedger())
    full = compose(
        spec, decisions=decisions, folder=folder, surroundings=Surroundings.of(folder)
    ).task
    options = spec.finetune.model_dump(exclude={"kind"})  # type: ignore[attr-defined]
    config = DistillConfig.model_validate({**options, "labels": "soft", "teacher_steps": 1})
    return {FULL: full, DISTILL: with_teachers(replace(full, strategy=build_strategy(config)))}


def measure(tasks: dict[str, Task], plan: Plan, rounds: int, chunks: int) -> dict[str, Any]:
    """Time both recipes in alternating rounds; the first round is to warm up."""
    device = pick_device()
    evaluators = {name: GraftEvaluator(task, plan, device) for name, task in tasks.items()}
    full = tasks[FULL]
    steps, n_genes = full.strategy.config.steps, full.genes.n_genes
    drawn = np.random.default_rng(SEED).random((plan.chunk_size, n_genes)) < 0.5
    asked = [Candidate(Genome.from_bits(row), steps) for row in drawn]
    wall: dict[str, list[float]] = {FULL: [], DISTILL: []}
    processor: dict[str, list[float]] = {FULL: [], DISTILL: []}
    load = OtherLoad()
    for number in range(rounds + 1):
        order = (FULL, DISTILL) if number % 2 else (DISTILL, FULL)
        for name in order:
            started, used = time.perf_counter(), time.process_time()
            for _ in range(chunks):
                evaluators[name].evaluate(asked)
            if number:
                wall[name].append(time.perf_counter() - started)
                processor[name].append(time.process_time() - used)
    return {
        "plan": plan.model_dump(mode="json"),
        "name": plan.label,
        "candidate_steps_per_round": chunks * len(asked) * steps,
        "seconds": wall,
        "processor_seconds": processor,
        "other_load_cores": load.cores(),
    }


def ratio(seconds: dict[str, list[float]]) -> Interval:
    """Geometric mean over the rounds of speed of ``distill`` / speed of ``full``, with its 95% t interval."""
    pairs = zip(seconds[FULL], seconds[DISTILL], strict=True)
    logs = over_seeds([float(np.log(full / distill)) for full, distill in pairs])
    bounds = [None if bound is None else float(np.exp(bound)) for bound in (logs.low, logs.high)]
    return Interval(float(np.exp(logs.mean)), *bounds)


def summarise(measured: Sequence[dict[str, Any]]) -> str:
    """One row per plan."""
    lines = [
        "| plan | full, candidate-steps/s | distill, candidate-steps/s | distill / full | rounds, least to most "
        "| distill / full by processor seconds |",
        "|---|---|---|---|---|---|",
    ]
    for own in measured:
        seconds, n_steps = own["seconds"], own["candidate_steps_per_round"]
        ratios = [f / d for f, d in zip(seconds[FULL], seconds[DISTILL], strict=True)]
        speeds = [f"{n_steps / median(seconds[name]):.0f}" for name in (FULL, DISTILL)]
        lines.append(
            f"| {own['name']} | {speeds[0]} | {speeds[1]} | {show(ratio(seconds), 3)} "
            f"| {min(ratios):.3f} to {max(ratios):.3f} | {show(ratio(own['processor_seconds']), 3)} |"
        )
    load = max(own["other_load_cores"] for own in measured)
    lines += [
        "",
        f"{len(ratios)} rounds; speeds are medians, ratios geometric means over the rounds with 95% t intervals. A "
        "round is "
        f"{measured[0]['candidate_steps_per_round']} candidate-steps of each recipe: grafting, training and "
        f"validation. Aim: at least {TARGET}. Other programs kept {load:.2f} cores busy at most.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure all plans and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--chunks", type=int, default=1, help="evaluated in a round by each recipe")
    parser.add_argument("--threads", type=int, default=available_cores())
    arguments = parser.parse_args()
    environment = computing_environment(os.environ)
    if environment != dict(os.environ):
        # Part of it is read before a process's first line runs.
        os.execve(sys.executable, [sys.executable, "-m", MODULE, *sys.argv[1:]], environment)
    conditions = conditions_of("distill_throughput")
    with tempfile.TemporaryDirectory() as name:
        tasks = demo_tasks(Path(name))
    plans = [
        fused_plan("vmap", CHUNK, arguments.threads),
        fused_plan("stacked", CHUNK, arguments.threads),
    ]
    measured: list[dict[str, Any]] = []
    for plan in plans:
        measured.append(measure(tasks, plan, arguments.rounds, arguments.chunks))
        write_record(conditions, {"plans": measured}, summarise(measured))


if __name__ == "__main__":
    main()
