"""How long until a search truly has a mask within 1% of the best?  Speed and search together, on the demo's task.

transfermask (plan and all, measured by itself) against what a user would write today: DEAP's ``eaSimple`` and Optuna's
TPE around a plain training loop.  And transfermask once more with that plan pinned, as somebody searches who has
searched this task before, or asked ``transfermask bench``.  One program at a time, all of them in turn for each seed,
so that a ratio compares neighbours in time.

A search is within 1% while the mask it would return has a true fitness of at least 0.99 times the best mask's; truth is
what many more trainings of the leading masks say (``benchmarks.search_quality.leaders demo_one_cycle``).  A search is
there from the time on from which this stays so to the end of its budget: a lucky score that is displaced by a luckier
one of a worse mask does not count.  The first time is given too.

Searches that never get there cost time as well.  What a search costs is its expected running time when it is started
again until it succeeds: the time of all runs, of successful ones until they were there, over the number of successes
(Hansen et al., "COCO: a platform for comparing continuous optimizers", Optimization Methods and Software 36 (2021)).

    python -m benchmarks.search_quality.time_to_target --seeds 5
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import conditions_of, spread, write_record
from benchmarks.search_quality.leaders import remeasured
from benchmarks.search_quality.table_tasks import DEMO_SPEC
from benchmarks.throughput.child import ROOT, default_environment, product_environment
from models.surroundings import Surroundings
from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome
from search.race.leaders import leading_masks
from service.composition import draw_up, read_data
from service.spec import SearchSpec

OURS, PINNED = "transfermask", "transfermask, plan pinned"
# The demo's task at the schedule of its spec.
TABLE = "demo_one_cycle"
PEERS = ("deap", "optuna_tpe")
SHARE_OF_OPTIMUM = 0.99
N_BOOTSTRAP = 10_000


def prepare_source(folder: Path) -> None:
    """Train the source once, for everybody."""
    # As the table's: the number of threads changes the last bits.
    torch.set_num_threads(1)
    spec = SearchSpec.model_validate_json(DEMO_SPEC.read_text(encoding="utf-8"))
    inputs = Surroundings.of(folder)
    data = read_data(spec, inputs)
    draw_up(spec, inputs, held_out=data.held_out, cache=folder).source.load(0)


def run_child(
    searcher: str, arguments: argparse.Namespace, seed: int, folder: Path, plan: Any = "auto"
) -> Any:
    """Search once in a new process: the user's in the default environment, ours in the service's."""
    budget = arguments.peer_evaluations if searcher in PEERS else arguments.evaluations
    environment = default_environment() if searcher in PEERS else product_environment()
    name = searcher if searcher in PEERS else OURS
    command = [sys.executable, "-m", "benchmarks.search_quality.timed_search", name]
    command += ["--plan", json.dumps(plan)]
    command += ["--optimizer", arguments.optimizer, "--budget", str(budget)]
    command += ["--seed", str(seed), "--folder", str(folder)]
    printed = subprocess.run(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    return json.loads(printed.splitlines()[-1])


def judge(searcher: str, found: Mapping[str, Any], truth: Mapping[str, float]) -> dict[str, Any]:
    """When the search first had a mask within 1%, and from when on for good; None if never.

    Args:
        searcher: Whose way to choose an answer.
        found: What the child printed.
        truth: Mean fitness of the leading masks; any other is not within 1%.
    """
    best = max(truth.values())
    times, incumbents = _answers(searcher, found["rows"])
    masks = [genome.bitstring for genome in incumbents]
    is_there = [truth.get(mask, 0.0) >= SHARE_OF_OPTIMUM * best for mask in masks]
    first = next((at for at, there in zip(times, is_there, strict=True) if there), None)
    last_miss = max((place for place, there in enumerate(is_there) if not there), default=-1)
    stays = times[last_miss + 1] if last_miss + 1 < len(times) else None
    regret = None if masks[-1] not in truth else round(100 * (best - truth[masks[-1]]), 2)
    return {
        "first_seconds": None if first is None else round(first, 3),
        "settled_seconds": None if stays is None else round(stays, 3),
        "seconds": round(found["seconds"], 3),
        "evaluations": len(found["rows"]),
        "answer": masks[-1],
        "regret_points": regret,
        "plan": found["plan"],
    }


def _answers(searcher: str, rows: Sequence[Sequence[Any]]) -> tuple[list[float], list[Genome]]:
    """What the search would return each time that something came back, and when: choosing takes time too."""
    times: list[float] = []
    incumbents: list[Genome] = []
    evaluations: list[Evaluation] = []
    for place, (seconds, mask, steps, replicate, fitness) in enumerate(rows):
        candidate = Candidate(Genome.from_bitstring(mask), steps, replicate)
        outcome = Outcome.DIVERGED if fitness is None else Outcome.MEASURED
        evaluations.append(Evaluation(candidate, outcome, fitness, 0.0))
        # A chunk comes back at once.
        if place + 1 == len(rows) or rows[place + 1][0] > seconds:
            asked = time.perf_counter()
            if searcher not in PEERS:
                chosen = leading_masks(evaluations)[0]
            else:
                best = max(evaluations, key=lambda e: -1.0 if e.fitness is None else e.fitness)
                chosen = best.candidate.genome
            times.append(seconds + time.perf_counter() - asked)
            incumbents.append(chosen)
    return times, incumbents


def expected_seconds(runs: Sequence[Mapping[str, Any]], field: str) -> float:
    """Expected running time until success; the time of all runs, a lower bound, if none succeeded."""
    spent = sum(run["seconds"] if run[field] is None else run[field] for run in runs)
    return float(spent) / max(1, sum(run[field] is not None for run in runs))


def ratio_interval(
    theirs: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]], field: str
) -> tuple[float, float]:
    """95% bootstrap interval over seeds of their expected running time over ours; seeds are drawn in pairs."""
    rng, n_seeds = np.random.default_rng(0), min(len(theirs), len(own))
    drawn = rng.integers(n_seeds, size=(N_BOOTSTRAP, n_seeds))
    found = [
        expected_seconds([theirs[i] for i in rows], field)
        / expected_seconds([own[i] for i in rows], field)
        for rows in drawn
    ]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def render(truth: Mapping[str, float], runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """One table: successes, expected running times and ratios."""
    best = max(truth, key=lambda mask: truth[mask])
    near = sum(value >= SHARE_OF_OPTIMUM * truth[best] for value in truth.values())
    lines = [
        f"Best mask {best}, {100 * truth[best]:.1f}%; within 1% of it: {near} masks.",
        "",
        "| search | evaluations | whole search, s | first there | there for good | expected seconds until then "
        "| transfermask is faster by | with its plan pinned |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, own in runs.items():
        cells = [name, spread([run["evaluations"] for run in own], 0)]
        cells.append(spread([run["seconds"] for run in own]))
        for field in ("first_seconds", "settled_seconds"):
            cells.append(f"{sum(run[field] is not None for run in own)} of {len(own)}")
        bound = "" if any(run["settled_seconds"] is not None for run in own) else "more than "
        cells.append(f"{bound}{expected_seconds(own, 'settled_seconds'):.0f}")
        for ours in (OURS, PINNED):
            is_compared = name in PEERS and ours in runs
            cells.append(f"{bound}{_faster_by(own, runs[ours])}" if is_compared else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            "Evaluations and seconds of whole searches: median (least to most).  Expected seconds: of all runs, of",
            "successful ones until they were there, over the number of successes; where nobody succeeded, as if the",
            "last run had.  Ratios with 95% bootstrap intervals over the seeds.",
        ]
    )


def _faster_by(theirs: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]) -> str:
    """Ratio of the expected seconds, with its interval."""
    low, high = ratio_interval(theirs, ours, "settled_seconds")
    factor = expected_seconds(theirs, "settled_seconds") / expected_seconds(ours, "settled_seconds")
    return f"{factor:.1f} [{low:.1f}, {high:.1f}]"


def main() -> None:
    """Run all searches in turn and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--optimizer", default="genetic")
    parser.add_argument("--evaluations", type=int, default=400, help="of transfermask")
    parser.add_argument("--peer-evaluations", type=int, default=600)
    arguments = parser.parse_args()
    conditions = conditions_of("search_quality.time_to_target")
    truth = remeasured(TABLE)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in (OURS, PINNED, *PEERS)}
    with tempfile.TemporaryDirectory() as folder:
        prepare_source(Path(folder))
        for seed in range(1, arguments.seeds + 1):
            plan: Any = "auto"
            for name, own in runs.items():
                # What was measured just before, when it comes to pinning it.
                found = run_child(name, arguments, seed, Path(folder), plan)
                plan = found.get("plan_document")
                own.append({"seed": seed} | judge(name, found, truth))
                print(name, json.dumps(own[-1]), flush=True)
            write_record(conditions, {"runs": runs}, render(truth, runs))


if __name__ == "__main__":
    main()
