"""How much does one evaluation say of a mask, by the course of its learning rate?

Masks of the tables' tasks, some drawn and some that lead, are trained at several draws under each schedule.  What one
evaluation says is its reliability: the variance between drawn masks over that plus the noise of one evaluation.  A
reliability of .9 is a signal-to-noise ratio of 9.  What brief training is for is told by the correlation of single
evaluations with full length, at whose rate (constant) the tables have every mask.

    python -m benchmarks.search_quality.schedule_noise --workers 2
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.record import conditions_of, write_record
from benchmarks.search_quality.table_data import Table, load_table
from benchmarks.search_quality.table_parts import compose_task, evaluate_in_chunks
from benchmarks.search_quality.table_shape import own_fitness
from benchmarks.search_quality.table_tasks import TABLE_TASKS
from search.observations import FloatArray, IntArray

TABLES = (
    "pixel_permutation_mlp",
    "classes_cnn",
    "demo",
    "label_cycle_mlp_300",
    "label_cycle_mlp",
)
# Name: schedule, and its highest rate over the task's own.
ARMS: dict[str, tuple[dict[str, Any], float]] = {
    "constant": ({"kind": "constant"}, 1.0),
    "constant, half the rate": ({"kind": "constant"}, 0.5),
    "cosine": ({"kind": "cosine"}, 1.0),
    "one cycle": ({"kind": "one_cycle"}, 1.0),
    "one cycle, twice the rate": ({"kind": "one_cycle"}, 2.0),
}
N_DRAWN, N_LEADING = 64, 16
N_BOOTSTRAP = 2000


@dataclass(frozen=True, slots=True)
class Unit:
    """One task under one schedule."""

    table: str
    arm: str
    replicates: int
    folder: Path


def rows_of(table: Table) -> IntArray:
    """Rows of the masks: drawn ones first, then leading ones."""
    n_masks = len(table.brief.truth)
    drawn = np.random.default_rng(0).choice(n_masks, N_DRAWN, replace=False)
    leading = np.argsort(-table.brief.truth, kind="stable")[:N_LEADING]
    return np.concatenate([drawn, leading])


def measure(unit: Unit) -> tuple[Unit, FloatArray]:
    """Train all masks at every replicate; ``(R, M)`` validation accuracies, 0 where one diverged."""
    from search.evaluation import Candidate

    task, table = TABLE_TASKS[unit.table], load_table(unit.table)
    schedule, factor = ARMS[unit.arm]
    rate = factor * task.document["finetune"]["learning_rate"]
    bench = compose_task(task.trained(schedule=schedule, learning_rate=rate), unit.folder)
    genomes = [table.genome(int(row)) for row in rows_of(table)]
    candidates = [
        Candidate(genome, table.brief_steps, replicate)
        for replicate in range(unit.replicates)
        for genome in genomes
    ]
    evaluations = evaluate_in_chunks(bench.evaluator, candidates, bench.plan.chunk_size)
    bench.close()
    fitness = [e.fitness or 0.0 for e in evaluations]
    return unit, np.reshape(fitness, (unit.replicates, -1))


def reliability(drawn: FloatArray) -> float:
    """Share of the variance of one evaluation that is between masks, 0 to 1; ``drawn`` is ``(R, M)``."""
    means, noise = own_fitness(drawn)
    between = max(0.0, float(means.var(ddof=1)) - noise / len(drawn))
    return between / (between + noise)


def figures_of(table: Table, fitness: FloatArray) -> dict[str, Any]:
    """What is reported of one task under one schedule; the interval is a bootstrap over the drawn masks."""
    drawn = fitness[:, :N_DRAWN]
    rng = np.random.default_rng(0)
    again = [reliability(drawn[:, rng.integers(N_DRAWN, size=N_DRAWN)]) for _ in range(N_BOOTSTRAP)]
    figures: dict[str, Any] = {
        "mean": round(float(drawn.mean()), 4),
        "best": round(float(fitness.mean(axis=0).max()), 4),
        "noise": round(float(np.sqrt(own_fitness(drawn)[1])), 4),
        "reliability": round(reliability(drawn), 4),
        "reliability_interval": [round(float(q), 4) for q in np.quantile(again, [0.025, 0.975])],
    }
    if table.document["full_factors"]:
        full = table.full(1.0).truth[rows_of(table)[:N_DRAWN]]
        correlations = [float(spearmanr(row, full).statistic) for row in drawn]
        figures["single_with_full_length"] = round(float(np.mean(correlations)), 3)
    return figures


def render(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """One row per task and schedule."""
    lines = [
        "| task | learning rate | accuracy of drawn masks, % | of the best, % | noise of one evaluation, points "
        "| reliability of one evaluation | its rank correlation with full length |",
        "|---|---|---|---|---|---|---|",
    ]
    for table, arms in results.items():
        for arm, own in arms.items():
            low, high = own["reliability_interval"]
            full = own.get("single_with_full_length")
            lines.append(
                f"| {table} | {arm} | {100 * own['mean']:.1f} | {100 * own['best']:.1f} | {100 * own['noise']:.1f} "
                f"| {own['reliability']:.2f} [{low:.2f}, {high:.2f}] | {'' if full is None else f'{full:.2f}'} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure all and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tables", default=",".join(TABLES))
    arguments = parser.parse_args()
    conditions = conditions_of("search_quality.schedule_noise")
    names: Sequence[str] = arguments.tables.split(",")
    from benchmarks.seed_workers import over_seed_processes

    results: dict[str, dict[str, dict[str, Any]]] = {
        name: {arm: {} for arm in ARMS} for name in names
    }
    with tempfile.TemporaryDirectory() as scratch:
        units = []
        for name in names:
            folder = Path(scratch) / name
            units += [Unit(name, arm, arguments.replicates, folder) for arm in ARMS]
        for unit, fitness in over_seed_processes(measure, units, arguments.workers):
            results[unit.table][unit.arm] = figures_of(load_table(unit.table), fitness)
            print(unit.table, unit.arm, results[unit.table][unit.arm], flush=True)
    write_record(conditions, results, render(results))


if __name__ == "__main__":
    main()
