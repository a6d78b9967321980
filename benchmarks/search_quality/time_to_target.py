"""How long until a search truly has a mask within 1% of the best?  Speed and search together, on the demo's task.

transfermask (plan and all, measured by itself) against what a user would write today: DEAP's ``eaSimple`` and Optuna's
TPE around a plain training loop.  And transfermask once more with that plan pinned, as somebody searches who has
searched this task before, or asked ``transfermask bench``.  One program at a time, all of them in turn for each seed,
so that a ratio compares neighbours in time.

``benchmarks.search_quality.target`` says when a search is there, and what failures cost.  The first time that an answer
is within 1% is given too.  ``benchmarks.search_quality.evaluations_to_target`` asks the same of many more searches,
without a clock.

    python -m benchmarks.search_quality.time_to_target --seeds 5
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import conditions_of, spread, write_record
from benchmarks.search_quality.leaders import remeasured
from benchmarks.search_quality.table_tasks import DEMO_SPEC
from benchmarks.search_quality.target import (
    TABLE,
    Answer,
    Run,
    answers_of,
    first_and_settled,
    n_within,
    show_cost,
    show_ratio,
)
from benchmarks.throughput.child import ROOT, default_environment, product_environment
from models.surroundings import Surroundings
from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome
from service.composition import draw_up, read_data
from service.spec import SearchSpec

OURS, PINNED = "transfermask", "transfermask, plan pinned"
PEERS = ("deap", "optuna_tpe")


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
    told = [_told(row) for row in found["rows"]]
    answers = answers_of(told, is_peer=searcher in PEERS)
    first, settled = first_and_settled(answers, truth)
    last = answers[-1].mask.bitstring
    regret = None if last not in truth else round(100 * (max(truth.values()) - truth[last]), 2)
    return {
        "first_seconds": _seconds_until(first),
        "settled_seconds": _seconds_until(settled),
        "seconds": round(found["seconds"], 3),
        "evaluations": len(told),
        "answer": last,
        "regret_points": regret,
        "plan": found["plan"],
    }


def _told(row: Sequence[Any]) -> tuple[float, Evaluation]:
    seconds, mask, steps, replicate, fitness = row
    candidate = Candidate(Genome.from_bitstring(mask), steps, replicate)
    outcome = Outcome.DIVERGED if fitness is None else Outcome.MEASURED
    return seconds, Evaluation(candidate, outcome, fitness, 0.0)


def _seconds_until(answer: Answer | None) -> float | None:
    """Choosing it takes time too."""
    return None if answer is None else round(answer.moment + answer.choosing_seconds, 3)


def runs_of(judged: Sequence[Mapping[str, Any]]) -> list[Run]:
    """What counts of each run."""
    return [Run(own["settled_seconds"], own["seconds"]) for own in judged]


def render(truth: Mapping[str, float], runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """One table: successes, expected running times and ratios."""
    best = max(truth, key=lambda mask: truth[mask])
    near = n_within(truth)
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
        cells.append(show_cost(runs_of(own), 1))
        for ours in (OURS, PINNED):
            is_compared = name in PEERS and ours in runs
            cells.append(show_ratio(runs_of(own), runs_of(runs[ours])) if is_compared else "")
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
