"""How long until a search truly has a mask within 1% of the best?  Speed and search together, on the demo's task.

transfermask (plan and all, measured by itself) against what a user would write today: DEAP's ``eaSimple`` and Optuna's
TPE around a plain training loop.  One program at a time, all of them in turn for each seed, so that a ratio compares
neighbours in time.

A search is within 1% while the mask it would return has a true fitness of at least 0.99 times the best mask's; truth is
the mean over the replicates of the exhaustive table.  Everybody's time is that from which on this stays so to the end
of the budget: a lucky score that is displaced by a luckier one of a worse mask does not count.  The first time is given
too.

    python -m benchmarks.search_quality.time_to_target --seeds 5
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import conditions_of, over_seeds, show, spread, write_record
from benchmarks.search_quality.table_data import Table, load_table
from benchmarks.search_quality.table_tasks import DEMO_SPEC
from benchmarks.throughput.child import ROOT, default_environment, product_environment
from models.surroundings import Surroundings
from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome
from search.race.leaders import leading_masks
from service.composition import draw_up, read_data
from service.spec import SearchSpec

OURS = "transfermask"
PEERS = ("deap", "optuna_tpe")
SHARE_OF_OPTIMUM = 0.99


def prepare_source(folder: Path) -> None:
    """Train the source once, for everybody."""
    # As the table's: the number of threads changes the last bits.
    torch.set_num_threads(1)
    spec = SearchSpec.model_validate_json(DEMO_SPEC.read_text(encoding="utf-8"))
    inputs = Surroundings.of(folder)
    data = read_data(spec, inputs)
    draw_up(spec, inputs, held_out=data.held_out, cache=folder).source.load(0)


def run_child(searcher: str, arguments: argparse.Namespace, seed: int, folder: Path) -> Any:
    """Search once in a new process: the user's in the default environment, ours in the service's."""
    budget = arguments.evaluations if searcher == OURS else arguments.peer_evaluations
    environment = product_environment() if searcher == OURS else default_environment()
    command = [sys.executable, "-m", "benchmarks.search_quality.timed_search", searcher]
    command += ["--optimizer", arguments.optimizer, "--budget", str(budget)]
    command += ["--seed", str(seed), "--folder", str(folder)]
    printed = subprocess.run(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    return json.loads(printed.splitlines()[-1])


def judge(searcher: str, found: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """When the search first had a mask within 1%, and from when on for good; None if never."""
    goal = SHARE_OF_OPTIMUM * table.optimum
    times, incumbents = _incumbents(searcher, found["rows"], table.brief_steps)
    is_there = [table.true_fitness(genome) >= goal for genome in incumbents]
    first = next((at for at, there in zip(times, is_there, strict=True) if there), None)
    last_miss = max((place for place, there in enumerate(is_there) if not there), default=-1)
    stays = times[last_miss + 1] if last_miss + 1 < len(times) else None
    waiting = found["answer_seconds"]
    return {
        "first_seconds": None if first is None else round(first + waiting, 3),
        "settled_seconds": None if stays is None else round(stays + waiting, 3),
        "seconds": round(found["seconds"], 3),
        "evaluations": len(found["rows"]),
        "answer": incumbents[-1].bitstring,
        "regret_points": round(100 * (table.optimum - table.true_fitness(incumbents[-1])), 2),
        "plan": found["plan"],
    }


def _incumbents(
    searcher: str, rows: Sequence[Sequence[Any]], brief_steps: int
) -> tuple[list[float], list[Genome]]:
    """What the search would return each time that something came back."""
    times: list[float] = []
    incumbents: list[Genome] = []
    evaluations: list[Evaluation] = []
    for place, (seconds, mask, steps, replicate, fitness) in enumerate(rows):
        if steps == brief_steps:
            candidate = Candidate(Genome.from_bitstring(mask), steps, replicate)
            outcome = Outcome.DIVERGED if fitness is None else Outcome.MEASURED
            evaluations.append(Evaluation(candidate, outcome, fitness, 0.0))
        # A chunk comes back at once.
        is_last_of_chunk = place + 1 == len(rows) or rows[place + 1][0] > seconds
        if evaluations and is_last_of_chunk:
            if searcher == OURS:
                chosen = leading_masks(evaluations)[0]
            else:
                best = max(evaluations, key=lambda e: -1.0 if e.fitness is None else e.fitness)
                chosen = best.candidate.genome
            times.append(seconds)
            incumbents.append(chosen)
    return times, incumbents


def ratios(runs: Mapping[str, Sequence[Mapping[str, Any]]], peer: str, field: str) -> list[float]:
    """The peer's time over ours, seed by seed; who never got there counts with all of its time."""

    def time_of(run: Mapping[str, Any]) -> float:
        return float(run["seconds"] if run[field] is None else run[field])

    return [
        time_of(theirs) / time_of(own) for theirs, own in zip(runs[peer], runs[OURS], strict=False)
    ]


def render(table: Table, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """One table: times and ratios."""
    lines = [
        f"{table.summary()}.",
        "",
        "| search | seconds until within 1% for good | seeds that got there | until first within 1% | whole search, s "
        "| last regret, points | transfermask is faster by |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, own in runs.items():
        settled = [run["settled_seconds"] for run in own if run["settled_seconds"] is not None]
        first = [run["first_seconds"] for run in own if run["first_seconds"] is not None]
        ratio = "" if name == OURS else _geometric(ratios(runs, name, "settled_seconds"))
        lines.append(
            f"| {name} | {spread(settled) if settled else 'never'} | {len(settled)} of {len(own)} "
            f"| {spread(first) if first else 'never'} | {spread([run['seconds'] for run in own])} "
            f"| {show(over_seeds([run['regret_points'] for run in own]), 2)} | {ratio} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            "Times: median (least to most) over the seeds that got there.  Ratios: geometric mean over seeds with its",
            "95% interval, each within one round; a search that never got there counts with its whole time, which for",
            "a peer makes the ratio a lower bound.",
        ]
    )


def _geometric(values: Sequence[float]) -> str:
    interval = over_seeds(np.log(values).tolist())
    mean = f"{math.exp(interval.mean):.1f}"
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} [{math.exp(interval.low):.1f}, {math.exp(interval.high):.1f}]"


def main() -> None:
    """Run all searches in turn and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--optimizer", default="genetic")
    parser.add_argument("--evaluations", type=int, default=200, help="of transfermask")
    parser.add_argument("--peer-evaluations", type=int, default=400)
    arguments = parser.parse_args()
    conditions = conditions_of("search_quality.time_to_target")
    table = load_table("demo")
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in (OURS, *PEERS)}
    with tempfile.TemporaryDirectory() as folder:
        prepare_source(Path(folder))
        for seed in range(1, arguments.seeds + 1):
            for name, own in runs.items():
                found = run_child(name, arguments, seed, Path(folder))
                own.append({"seed": seed} | judge(name, found, table))
                print(name, json.dumps(own[-1]), flush=True)
            write_record(conditions, {"runs": runs}, render(table, runs))


if __name__ == "__main__":
    main()
