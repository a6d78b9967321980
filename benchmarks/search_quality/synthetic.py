"""How good is what a search returns?  Synthetic noisy problems with a known optimum, everybody at equal evaluations.

Quality is 0 for the mean of random masks and 1 for the optimum; the noise of one evaluation is given in standard
deviations of the fitness of random masks.  Results go into one record per number of genes, beside what is there
already: a cell measured again replaces the old one, ``--missing`` leaves out those that are there.

    python -m benchmarks.search_quality.synthetic --genes 12,30,60,120 --optimizers genetic,annealing --workers 2
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmarks.search_quality.searchers import can_search, ours

PROGRAM = "search_quality.synthetic"
WRITE_EVERY_SECONDS = 60.0
SLOW_PEERS, SLOW_SIZE = ("optuna_tpe", "optuna_gp"), 30 * 200


@dataclass(frozen=True, slots=True)
class Unit:
    """One searcher on all seeds of one family of problems."""

    n_genes: int
    noise: float
    budget: int
    searcher: str
    family: str
    n_seeds: int

    @property
    def key(self) -> str:
        """Its place in the record."""
        return f"{self.noise:g}|{self.budget}|{self.searcher}|{self.family}"


def measure(unit: Unit) -> tuple[Unit, dict[str, Any]]:
    """Search one problem per seed; quality of the best score's mask and of the leader."""
    from benchmarks.search_quality.problems import draw_problem
    from benchmarks.search_quality.replay import found_in, noisy
    from benchmarks.search_quality.searchers import run_searcher

    best_seen, leader, counts = [], [], []
    started = time.perf_counter()
    for seed in range(1, unit.n_seeds + 1):
        problem = draw_problem(unit.family, unit.n_genes, seed)
        noise = unit.noise * float(problem.random_values.std())
        landscape = noisy(problem.value, noise, seed)
        evaluations = run_searcher(unit.searcher, landscape, unit.n_genes, unit.budget, seed)
        found = found_in(evaluations)
        best_seen.append(problem.quality_of(found.best_seen))
        leader.append(problem.quality_of(found.leader))
        counts.append(found.evaluations)
    seconds = (time.perf_counter() - started) / unit.n_seeds
    return unit, {
        "best_seen": _packed(best_seen),
        "leader": _packed(leader),
        "evaluations": [min(counts), max(counts)],
        "seconds_each": round(seconds, 3),
    }


def _packed(values: Sequence[float]) -> str:
    """Numbers by seed in one string: a list would take a line of the record each."""
    return " ".join(f"{value:.4f}" for value in values)


def n_seeds_of(searcher: str, n_genes: int, budget: int, seeds: int, slow_seeds: int) -> int:
    """Fewer for a peer whose one search takes long."""
    is_slow = searcher == "optuna_gp" or (searcher in SLOW_PEERS and n_genes * budget > SLOW_SIZE)
    return min(seeds, slow_seeds) if is_slow else seeds


def units_of(arguments: argparse.Namespace) -> Iterator[Unit]:
    """All that the arguments select, small problems first."""
    from benchmarks.search_quality.problems import FAMILIES

    searchers = [*ours(arguments.optimizers), *arguments.peers]
    for n_genes, noise, budget, searcher in product(
        arguments.genes, arguments.noise, arguments.budgets, searchers
    ):
        if can_search(searcher, n_genes, budget):
            n_seeds = n_seeds_of(searcher, n_genes, budget, arguments.seeds, arguments.slow_seeds)
            for family in FAMILIES:
                yield Unit(n_genes, noise, budget, searcher, family, n_seeds)


def read_entries(n_genes: int) -> dict[str, Any]:
    """What the record of a number of genes holds."""
    from benchmarks.record import RESULTS

    path = RESULTS / f"{PROGRAM}-{n_genes}.json"
    if not path.exists():
        return {}
    entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["figures"]["entries"]
    return entries


def write_entries(
    conditions: dict[str, str], n_genes: int, entries: dict[str, Any], reference: str
) -> None:
    """Write the record of a number of genes."""
    from benchmarks.record import write_record
    from benchmarks.search_quality.synthetic_tables import render

    entries = dict(sorted(entries.items()))
    write_record(
        conditions, {"entries": entries}, render(n_genes, entries, reference), str(n_genes)
    )


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""

    def integers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    def numbers(text: str) -> list[float]:
        return [float(part) for part in text.split(",")]

    def names(text: str) -> list[str]:
        return [part for part in text.split(",") if part]

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=integers, default=[12, 30, 60, 120])
    parser.add_argument("--noise", type=numbers, default=[0.0, 0.5, 1.0])
    parser.add_argument("--budgets", type=integers, default=[50, 100, 200, 500])
    parser.add_argument("--optimizers", type=names, default=["genetic", "annealing"])
    parser.add_argument(
        "--peers",
        type=names,
        default=["random", "optuna_tpe", "nevergrad", "deap", "simanneal", "subtuning"],
        help="also: optuna_gp, which is slow",
    )
    parser.add_argument("--seeds", type=int, default=20, help="problems of each family")
    parser.add_argument("--slow-seeds", type=int, default=5, help="the same for slow peers")
    parser.add_argument(
        "--reference", default="genetic", help="optimizer that the peers are compared with"
    )
    parser.add_argument("--missing", action="store_true", help="leave out what is recorded already")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Measure what is asked for and merge it into the records."""
    arguments = parse_arguments()
    from benchmarks.record import conditions_of
    from benchmarks.seed_workers import over_seed_processes

    conditions = conditions_of(PROGRAM)
    recorded = {n_genes: read_entries(n_genes) for n_genes in arguments.genes}
    units = [
        unit
        for unit in units_of(arguments)
        if not (arguments.missing and unit.key in recorded[unit.n_genes])
    ]
    written_at, unwritten = time.monotonic(), set[int]()
    for done, (unit, entry) in enumerate(
        over_seed_processes(measure, units, arguments.workers, calls_per_process=50), start=1
    ):
        recorded[unit.n_genes][unit.key] = {"commit": conditions["commit"], **entry}
        unwritten.add(unit.n_genes)
        print(f"{done}/{len(units)} {unit.n_genes} genes {unit.key}", flush=True)
        # Tables over thousands of searches take their time; a run that is cut short loses a minute.
        if done == len(units) or time.monotonic() > written_at + WRITE_EVERY_SECONDS:
            for n_genes in sorted(unwritten):
                write_entries(conditions, n_genes, recorded[n_genes], arguments.reference)
            written_at = time.monotonic()
            unwritten.clear()


if __name__ == "__main__":
    main()
