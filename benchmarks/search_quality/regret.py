"""How soon does a search know the best mask of a real task?  Replays on the measured tables, everybody alike.

Regret is the true mean fitness of the best mask minus that of the mask a search would return if it ended now, in points
of validation accuracy at the brief fidelity.  transfermask returns the best expectation, a peer its best score.  A
search knows its budget, and may spend a small one otherwise than the first part of a large one.

    python -m benchmarks.search_quality.regret --optimizers genetic,annealing --seeds 100 --workers 2
    python -m benchmarks.search_quality.regret --budget 50 --tables pixel_permutation_mlp
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.search_quality.searchers import is_ours, ours
from search.evaluation import UNTRAINED, Evaluation
from search.observations import FloatArray

if TYPE_CHECKING:
    from benchmarks.search_quality.table_data import Table

PROGRAM = "search_quality.regret"
USUAL_BUDGET = 200
SEEDS_OF_A_UNIT = 5
WRITE_EVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Unit:
    """Some replays of one searcher on one table."""

    table: str
    searcher: str
    seeds: tuple[int, ...]
    budget: int


def counts_of(budget: int) -> tuple[int, ...]:
    """After how many evaluations a search is judged."""
    return tuple(range(10, budget + 1, 5))


def label_of(table: str, budget: int) -> str:
    """Tells records apart."""
    return table if budget == USUAL_BUDGET else f"{table}-{budget}"


def measure(unit: Unit) -> tuple[Unit, list[dict[str, Any]]]:
    """Search once per seed; regret after each count, and after all with the other way to choose."""
    from benchmarks.search_quality.replay import found_in
    from benchmarks.search_quality.table_data import load_table

    table = load_table(unit.table)
    rows = []
    for seed in unit.seeds:
        started = time.perf_counter()
        evaluations = search_table(unit.searcher, table, unit.budget, seed)
        seconds = time.perf_counter() - started
        costs = np.cumsum([e.candidate.fidelity / table.brief_steps for e in evaluations])
        curve = [
            _regret(table, unit.searcher, evaluations[: int((costs <= count + 1e-9).sum())])
            for count in counts_of(unit.budget)
        ]
        found = found_in(evaluations)
        other = found.best_seen if is_ours(unit.searcher) else found.leader
        rows.append(
            {
                "seed": seed,
                "curve": " ".join(f"{value:.2f}" for value in curve),
                "other": round(100 * (table.optimum - table.true_fitness(other)), 2),
                "evaluations": found.evaluations,
                "untrained": sum(e.candidate.fidelity == UNTRAINED for e in evaluations),
                "seconds": round(seconds, 2),
            }
        )
    return unit, rows


def search_table(searcher: str, table: Table, budget: int, seed: int) -> tuple[Evaluation, ...]:
    """Replay one search on a table; what was evaluated, in order, looks at untrained masks among it."""
    from benchmarks.search_quality.meter import retold
    from benchmarks.search_quality.peers import run_peer
    from benchmarks.search_quality.replay import run_study_on
    from benchmarks.search_quality.searchers import OURS
    from search.optimizer import SearchProblem

    if is_ours(searcher):
        problem = SearchProblem(
            table.n_genes, table.brief_steps, budget, untrained_share=table.untrained_share
        )
        options = {"kind": searcher.removeprefix(OURS)}
        return run_study_on(table.evaluator(seed), options, problem, seed)
    evaluations = run_peer(searcher, table.landscape(seed), table.n_genes, budget, seed)
    return retold(evaluations, table.brief_steps)


def _regret(table: Table, searcher: str, evaluations: Sequence[Evaluation]) -> float:
    """In points; of a random mask as long as nothing was measured at the brief fidelity."""
    from benchmarks.search_quality.replay import best_score, found_in

    evaluations = [e for e in evaluations if e.candidate.fidelity == table.brief_steps]
    if not evaluations:
        return 100 * (table.optimum - float(table.brief.truth.mean()))
    # The leader takes a fit, and a peer does not ask for it.
    chosen = found_in(evaluations).leader if is_ours(searcher) else best_score(evaluations)
    return 100 * (table.optimum - table.true_fitness(chosen))


def units_of(arguments: argparse.Namespace) -> Iterator[Unit]:
    """All that the arguments select."""
    for table in arguments.tables:
        for searcher in [*ours(arguments.optimizers), *arguments.peers]:
            n_seeds = arguments.seeds if is_ours(searcher) else arguments.peer_seeds
            if searcher == "optuna_gp":
                n_seeds = min(n_seeds, arguments.slow_seeds)
            for first in range(1, n_seeds + 1, SEEDS_OF_A_UNIT):
                last = min(n_seeds, first + SEEDS_OF_A_UNIT - 1)
                yield Unit(table, searcher, tuple(range(first, last + 1)), arguments.budget)


def read_rows(table: str, budget: int) -> dict[str, dict[int, Any]]:
    """What the record of a table holds: by searcher and seed."""
    from benchmarks.record import RESULTS

    path = RESULTS / f"{PROGRAM}-{label_of(table, budget)}.json"
    if not path.exists():
        return {}
    searchers = json.loads(path.read_text(encoding="utf-8"))["figures"]["searchers"]
    return {name: {row["seed"]: row for row in rows} for name, rows in searchers.items()}


def write(
    conditions: dict[str, str], table: str, budget: int, rows: dict[str, dict[int, Any]]
) -> None:
    """Write the record of a table and, for the usual budget, its figure."""
    from benchmarks.record import write_record
    from benchmarks.search_quality.regret_report import draw, render
    from benchmarks.search_quality.table_data import load_table

    ordered = {name: [rows[name][seed] for seed in sorted(rows[name])] for name in sorted(rows)}
    curves: dict[str, FloatArray] = {
        name: np.array([row["curve"].split() for row in own], dtype=np.float64)
        for name, own in ordered.items()
    }
    others = {name: [row["other"] for row in own] for name, own in ordered.items()}
    counts = counts_of(budget)
    untrained = {name: [row.get("untrained", 0) for row in own] for name, own in ordered.items()}
    text = render(table, load_table(table).summary(), counts, curves, others, untrained)
    figures = {"counts": list(counts), "searchers": ordered}
    write_record(conditions, figures, text, label_of(table, budget))
    if budget == USUAL_BUDGET:
        draw(table, counts, curves)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    from benchmarks.search_quality.table_data import table_names

    def names(text: str) -> list[str]:
        return [part for part in text.split(",") if part]

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tables", type=names, default=[n for n in table_names() if not n.startswith("demo")]
    )
    parser.add_argument("--optimizers", type=names, default=["genetic", "annealing"])
    parser.add_argument(
        "--peers",
        type=names,
        default=["random", "optuna_tpe", "nevergrad", "deap", "simanneal", "subtuning"],
        help="also: optuna_gp, which is slow",
    )
    parser.add_argument("--budget", type=int, default=USUAL_BUDGET, help="evaluations of a search")
    parser.add_argument("--seeds", type=int, default=100, help="replays of each optimizer")
    parser.add_argument("--peer-seeds", type=int, default=100)
    parser.add_argument("--slow-seeds", type=int, default=20, help="of optuna_gp")
    parser.add_argument("--missing", action="store_true", help="leave out what is recorded already")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Replay what is asked for and merge it into the records."""
    arguments = parse_arguments()
    from benchmarks.record import conditions_of
    from benchmarks.seed_workers import over_seed_processes

    conditions = conditions_of(PROGRAM)
    budget = arguments.budget
    recorded = {table: read_rows(table, budget) for table in arguments.tables}
    units = list(units_of(arguments))
    if arguments.missing:
        units = [u for u in units if not set(u.seeds) <= set(recorded[u.table].get(u.searcher, {}))]
    written_at, unwritten = time.monotonic(), set[str]()
    for done, (unit, rows) in enumerate(
        over_seed_processes(measure, units, arguments.workers, calls_per_process=20), start=1
    ):
        own = recorded[unit.table].setdefault(unit.searcher, {})
        own |= {row["seed"]: {"commit": conditions["commit"], **row} for row in rows}
        unwritten.add(unit.table)
        print(f"{done}/{len(units)} {unit.table} {unit.searcher} {unit.seeds}", flush=True)
        if done == len(units) or time.monotonic() > written_at + WRITE_EVERY_SECONDS:
            for table in sorted(unwritten):
                write(conditions, table, budget, recorded[table])
            written_at = time.monotonic()
            unwritten.clear()


if __name__ == "__main__":
    main()
