"""Do fidelity rungs save training steps?  The default optimizer with and without, at equal steps.

On planted splits, which are real networks whose best mask is known, and on the measured tables.  With rungs, what
enters the lowest rung is a whole population, so larger ones are tried too; a first generation is measured at every rung
and at the search fidelity, which is part of the price.

    python -m benchmarks.search_quality.rungs --splits 5 --searches 40 --workers 2
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.search_quality.rung_problems import RungProblem
    from search.evaluation import Evaluation

PROGRAM = "search_quality.rungs"
BUDGET = 200
COUNTS = tuple(range(10, BUDGET + 1, 10))
SEARCHES_OF_A_UNIT = 4
WRITE_EVERY_SECONDS = 120.0
REFERENCE = "without rungs"
ARMS: dict[str, dict[str, Any]] = {
    REFERENCE: {},
    "rungs, default generations": {"rungs": {}},
    "rungs, 72 masks": {"rungs": {}, "population_size": 72},
    "a third alone, 72 masks": {"rungs": {"fractions": [1 / 3]}, "population_size": 72},
    "rungs unguarded, 72 masks": {"rungs": {"least_correlation": -1}, "population_size": 72},
}


@dataclass(frozen=True, slots=True)
class Unit:
    """Some searches on one problem, every arm at each seed."""

    problem: str
    seeds: tuple[int, ...]


def measure(unit: Unit) -> tuple[Unit, dict[str, list[dict[str, Any]]]]:
    """Search with every arm at every seed."""
    return unit, {name: [search(unit.problem, name, seed) for seed in unit.seeds] for name in ARMS}


def search(problem_name: str, arm: str, seed: int) -> dict[str, Any]:
    """Run one search; give quality over steps and what the guard measured."""
    from benchmarks.search_quality.replay import build
    from benchmarks.search_quality.rung_problems import open_problem
    from search.decisions import DecisionLog
    from search.evaluation import Arm
    from search.ledger import InMemoryLedger
    from search.optimizer import SearchProblem
    from search.proposing.rungs import RungScreen
    from search.recorded import RecordedEvaluator
    from search.study import Study

    problem, ledger = open_problem(problem_name), InMemoryLedger()
    to_search = SearchProblem(problem.n_genes, problem.search_fidelity, BUDGET)
    recorded = RecordedEvaluator(
        problem.evaluator(seed), ledger, DecisionLog(ledger), chunk_size=4096
    )
    optimizer = build({"kind": "genetic"} | ARMS[arm], to_search, seed)
    evaluations = Study(optimizer, recorded, to_search, Arm()).run().evaluations
    correlations = optimizer.correlations() if isinstance(optimizer, RungScreen) else {}
    fidelities = [evaluation.candidate.fidelity for evaluation in evaluations]
    return {
        "problem": problem_name,
        "seed": seed,
        "curve": " ".join(f"{value:.4f}" for value in quality_curve(problem, evaluations)),
        "correlations": {str(steps): round(value, 3) for steps, value in correlations.items()},
        "trainings": {str(steps): fidelities.count(steps) for steps in sorted(set(fidelities))},
    }


def quality_curve(problem: RungProblem, evaluations: Sequence[Evaluation]) -> list[float]:
    """Quality of the leader after each count of evaluations' worth of steps; 0 while nothing has reached the top."""
    from search.race.leaders import leading_masks

    top = problem.search_fidelity
    costs = np.cumsum([evaluation.candidate.fidelity / top for evaluation in evaluations])
    curve, known, quality = [], 0, 0.0
    for count in COUNTS:
        n_seen = int((costs <= count + 1e-9).sum())
        seen = [e for e in evaluations[:n_seen] if e.candidate.fidelity == top]
        if len(seen) > known:
            known, leaders = len(seen), leading_masks(seen)
            quality = problem.quality(leaders[0]) if leaders else 0.0
        curve.append(quality)
    return curve


def units_of(arguments: argparse.Namespace) -> list[Unit]:
    """All that the arguments select; a split is one unit, so that it is enumerated once."""
    splits = [f"planted {split}" for split in range(1, arguments.splits + 1)]
    units = [Unit(split, tuple(range(1, arguments.split_searches + 1))) for split in splits]
    for table in arguments.tables:
        for first in range(1, arguments.searches + 1, SEARCHES_OF_A_UNIT):
            last = min(arguments.searches, first + SEARCHES_OF_A_UNIT - 1)
            units.append(Unit(table, tuple(range(first, last + 1))))
    return units


def write(conditions: Mapping[str, str], rows: Mapping[str, list[dict[str, Any]]]) -> None:
    """Write the record; the splits are one group, each table another."""
    from benchmarks.record import write_record
    from benchmarks.search_quality.rung_report import render
    from search.proposing.rungs import RungOptions

    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for arm in ARMS:
        for row in sorted(rows[arm], key=lambda row: (row["problem"], row["seed"])):
            group = "planted splits" if row["problem"].startswith("planted ") else row["problem"]
            groups.setdefault(group, {}).setdefault(arm, []).append(row)
    least = RungOptions().least_correlation
    ordered = dict(sorted(groups.items()))
    text = render(ordered, COUNTS, REFERENCE, least)
    write_record(conditions, {"counts": list(COUNTS), "searches": ordered}, text)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    from benchmarks.search_quality.table_data import table_names

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tables",
        type=lambda text: [part for part in text.split(",") if part],
        default=[name for name in table_names() if name != "tiny"],
    )
    parser.add_argument("--splits", type=int, default=5, help="planted splits")
    parser.add_argument("--split-searches", type=int, default=8, help="on each split")
    parser.add_argument("--searches", type=int, default=40, help="on each table")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Search what is asked for and write the record."""
    arguments = parse_arguments()
    from benchmarks.record import conditions_of
    from benchmarks.seed_workers import over_seed_processes

    conditions = conditions_of(PROGRAM)
    rows: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    units, written_at = units_of(arguments), time.monotonic()
    for number, (unit, found) in enumerate(
        over_seed_processes(measure, units, arguments.workers, calls_per_process=10), start=1
    ):
        for arm, own in found.items():
            rows[arm] += own
        print(f"{number}/{len(units)} {unit.problem} {unit.seeds}", flush=True)
        if number == len(units) or time.monotonic() > written_at + WRITE_EVERY_SECONDS:
            write(conditions, rows)
            written_at = time.monotonic()


if __name__ == "__main__":
    main()
