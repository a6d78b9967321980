"""Are the answers true?  Whole searches simulated where the truth is known: intervals, claims, verdicts.

A stated 95% interval must contain the truth in 93 to 97 of 100 searches, and where no mask is better than another,
"better" may be said in at most 6.5.  ``worlds`` and ``table_worlds`` say what is simulated.

    python -m benchmarks.search_quality.calibration --searches 1000 --workers 2
    python -m benchmarks.search_quality.calibration --landscapes "synthetic:flat,table:label_cycle_mlp"
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.search_quality.simulated_search import Judged

PROGRAM = "search_quality.calibration"
SEARCHES_OF_A_UNIT = 20
WRITE_EVERY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Unit:
    """Some searches on one landscape."""

    landscape: str
    optimizer: str
    budget: int
    seeds: tuple[int, ...]


def simulate(unit: Unit) -> tuple[Unit, list[Judged]]:
    """Search once per seed."""
    from benchmarks.search_quality.landscapes import open_world
    from benchmarks.search_quality.simulated_search import judged, search

    options, found = {"kind": unit.optimizer}, []
    for seed in unit.seeds:
        world = open_world(unit.landscape, seed)
        found.append(judged(world, search(world, options, unit.budget, seed)))
    return unit, found


def units_of(arguments: argparse.Namespace) -> list[Unit]:
    """All that the arguments select."""
    firsts = range(1, arguments.searches + 1, SEARCHES_OF_A_UNIT)
    return [
        Unit(
            landscape,
            arguments.optimizer,
            arguments.budget,
            tuple(range(first, min(arguments.searches + 1, first + SEARCHES_OF_A_UNIT))),
        )
        for landscape in arguments.landscapes
        for first in firsts
    ]


def read_record() -> dict[str, Any]:
    """What the record holds, by landscape."""
    from benchmarks.record import RESULTS

    path = RESULTS / f"{PROGRAM}.json"
    if not path.exists():
        return {}
    landscapes: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return landscapes


def write(
    conditions: Mapping[str, str],
    recorded: Mapping[str, Any],
    done: Mapping[str, Mapping[int, Judged]],
    arguments: argparse.Namespace,
) -> None:
    """Write the record: landscapes simulated now replace those recorded before."""
    from benchmarks.record import write_record
    from benchmarks.search_quality.calibration_report import render, tally

    own = {"commit": conditions["commit"]} | {
        name: getattr(arguments, name) for name in ("optimizer", "budget")
    }
    new = {
        landscape: own | tally([searches[seed] for seed in sorted(searches)])
        for landscape, searches in done.items()
    }
    figures = dict(sorted({**recorded, **new}.items()))
    write_record(conditions, figures, render(figures))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    from benchmarks.search_quality.landscapes import all_landscapes
    from benchmarks.search_quality.table_data import table_names

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--landscapes",
        type=lambda text: text.split(","),
        default=all_landscapes([name for name in table_names() if name != "tiny"]),
    )
    parser.add_argument("--searches", type=int, default=1000, help="on each landscape")
    parser.add_argument("--budget", type=int, default=100, help="evaluations of a search phase")
    parser.add_argument("--optimizer", default="genetic")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Simulate what is asked for and merge it into the record."""
    arguments = parse_arguments()
    from benchmarks.record import conditions_of
    from benchmarks.search_quality.landscapes import open_world
    from benchmarks.seed_workers import over_seed_processes

    # A name that does not exist is better refused now than after hours.
    for landscape in arguments.landscapes:
        open_world(landscape, seed=1)
    conditions, recorded = conditions_of(PROGRAM), read_record()
    done: dict[str, dict[int, Judged]] = {}
    units, written_at = units_of(arguments), time.monotonic()
    for number, (unit, found) in enumerate(
        over_seed_processes(simulate, units, arguments.workers, calls_per_process=50), start=1
    ):
        done.setdefault(unit.landscape, {}).update(zip(unit.seeds, found, strict=True))
        print(
            f"{number}/{len(units)} {unit.landscape} {unit.seeds[0]}-{unit.seeds[-1]}", flush=True
        )
        if number == len(units) or time.monotonic() > written_at + WRITE_EVERY_SECONDS:
            write(conditions, recorded, done, arguments)
            written_at = time.monotonic()


if __name__ == "__main__":
    main()
