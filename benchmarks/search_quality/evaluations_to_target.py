"""How many evaluations until a search truly has a mask within 1% of the best?  Replays of the demo's task.

The question of ``benchmarks.search_quality.time_to_target`` without a clock: evaluations come from the table on which
every mask was measured, so that there can be as many searches as a narrow interval needs.

    python -m benchmarks.search_quality.evaluations_to_target --seeds 60 --workers 2
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.search_quality.target import (
    TABLE,
    Run,
    answers_of,
    first_and_settled,
    show_cost,
    show_ratio,
)

PROGRAM = "search_quality.evaluations_to_target"
OURS = "transfermask genetic"


@dataclass(frozen=True, slots=True)
class Unit:
    """One replay."""

    searcher: str
    budget: int
    seed: int


def measure(unit: Unit) -> tuple[Unit, int | None]:
    """Search once; evaluations until the answer was within 1% for good, None if it never was."""
    from benchmarks.search_quality.leaders import remeasured
    from benchmarks.search_quality.regret import search_table
    from benchmarks.search_quality.searchers import is_ours
    from benchmarks.search_quality.table_data import load_table

    table = load_table(TABLE)
    evaluations = search_table(unit.searcher, table, unit.budget, unit.seed)
    trained = [e for e in evaluations if e.candidate.fidelity == table.brief_steps]
    told = [(float(count), evaluation) for count, evaluation in enumerate(trained, start=1)]
    answers = answers_of(told, is_peer=not is_ours(unit.searcher))
    settled = first_and_settled(answers, remeasured(TABLE))[1]
    return unit, None if settled is None else int(settled.moment)


def render(figures: Mapping[str, Sequence[int | None]]) -> str:
    """One row per searcher and budget, against transfermask at the first budget it has."""
    runs = {
        name: [Run(own, float(name.rpartition(", ")[2])) for own in settled]
        for name, settled in figures.items()
    }
    ours = next(own for name, own in runs.items() if name.startswith(OURS))
    lines = [
        "| search, budget | there for good | expected evaluations until then | transfermask needs fewer by |",
        "|---|---|---|---|",
    ]
    for name, own in runs.items():
        n_there = sum(run.settled is not None for run in own)
        factor = "" if name.startswith(OURS) else show_ratio(own, ours)
        lines.append(f"| {name} | {n_there} of {len(own)} | {show_cost(own, 0)} | {factor} |")
    return "\n".join(lines)


def main() -> None:
    """Replay all searches and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--budgets", default="200,100", help="of transfermask")
    parser.add_argument("--peers", default="deap,optuna_tpe,random")
    parser.add_argument("--peer-budgets", default="400,200,100")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    from benchmarks.record import conditions_of, write_record
    from benchmarks.seed_workers import over_seed_processes

    conditions = conditions_of(PROGRAM)
    searches = [(OURS, int(budget)) for budget in arguments.budgets.split(",")]
    peers, budgets = arguments.peers.split(","), arguments.peer_budgets.split(",")
    searches += [(peer, int(budget)) for peer in peers for budget in budgets]
    units = [
        Unit(searcher, budget, seed)
        for searcher, budget in searches
        for seed in range(1, arguments.seeds + 1)
    ]
    found: dict[Unit, Any] = {}
    for unit, settled in over_seed_processes(
        measure, units, arguments.workers, calls_per_process=20
    ):
        found[unit] = settled
        print(f"{len(found)}/{len(units)} {unit} {settled}", flush=True)
    figures: dict[str, list[int | None]] = {}
    for unit in units:
        figures.setdefault(f"{unit.searcher}, {unit.budget}", []).append(found[unit])
    write_record(conditions, {"settled": figures}, render(figures))


if __name__ == "__main__":
    main()
