"""What a search costs beside training and validation: optimizer, ledger, grafting, scores, waiting.

The search phase of the demo on a ledger in a file, at the demo's steps and at ten times as many, for both optimizers,
in the environment in which the service computes.  The share is 1 - (seconds of training and of applying networks) /
(seconds from the first ask to the last tell).

    python -m benchmarks.study_overhead --repetitions 5
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.record import conditions_of, over_seeds, show, write_record
from benchmarks.throughput.load import OtherLoad
from models.process_environment import computing_environment
from models.surroundings import Surroundings
from search.decisions import DecisionLog
from search.evaluation import Arm, Candidate, Evaluation
from search.ledger import JsonLinesLedger, Row
from search.optimizer import Optimizer
from search.optimizers import build_optimizer
from search.recorded import RecordedEvaluator
from search.study import Study
from service.composition import compose
from service.spec import SearchSpec

SPEC = Path(__file__).parent.parent / "examples" / "digits.json"
PLAN = {"layout": "vmap", "chunks": [1, 2, 4, 8, 16], "threads": 2}
LONGER = 10
OPTIMIZERS = ("genetic", "annealing")
MODULE = "benchmarks.study_overhead"


class TimedOptimizer:
    """An optimizer that keeps its own seconds, and the times of the first ask and the last tell."""

    def __init__(self, optimizer: Optimizer) -> None:
        """Wrap an optimizer."""
        self._optimizer = optimizer
        self.seconds, self.first_ask, self.last_tell = 0.0, float("inf"), 0.0

    def ask(self) -> list[Candidate]:
        """Ask it."""
        started = time.perf_counter()
        self.first_ask = min(self.first_ask, started)
        asked = self._optimizer.ask()
        self.seconds += time.perf_counter() - started
        return asked

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Tell it."""
        started = time.perf_counter()
        self._optimizer.tell(evaluations)
        self.last_tell = time.perf_counter()
        self.seconds += self.last_tell - started


class TimedLedger(JsonLinesLedger):
    """A ledger in a file that keeps the seconds spent on appending."""

    seconds = 0.0

    def append(self, rows: Sequence[Row]) -> None:
        """Append."""
        started = time.perf_counter()
        super().append(rows)
        self.seconds += time.perf_counter() - started


def search_once(
    optimizer: str, seed: int, steps: int, evaluations: int, plan: dict[str, Any]
) -> dict[str, Any]:
    """Run one search phase and give where its seconds went."""
    document = json.loads(SPEC.read_text(encoding="utf-8"))
    if document["optimizer"]["kind"] != optimizer:
        document["optimizer"] = {"kind": optimizer}
    document["finetune"]["steps"] = steps
    document["budget"]["evaluations"] = evaluations
    document |= {"source": {"kind": "init"}, "seed": seed, "plan": plan}
    spec = SearchSpec.model_validate(document)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = TimedLedger(folder / "ledger.jsonl")
        decisions, inputs = DecisionLog(ledger), Surroundings.of(folder)
        with closing(
            compose(spec, decisions=decisions, folder=folder, surroundings=inputs)
        ) as bench:
            recorded = RecordedEvaluator(
                bench.evaluator,
                ledger,
                decisions,
                chunk_size=bench.plan.candidates_at_once,
                mixes_replicates=bench.task.mixes_replicates,
            )
            ledger.seconds = 0.0
            timed = TimedOptimizer(build_optimizer(spec.optimizer, bench.problem, spec.seed))
            arm = Arm(spec.finetune.learning_rates[0])
            load = OtherLoad()
            found = Study(timed, recorded, bench.problem, arm).run()
            other_load = load.cores()
            computing = bench.evaluator.computing_seconds
    seconds = timed.last_tell - timed.first_ask
    return {
        "optimizer": optimizer,
        "seed": seed,
        "steps": steps,
        "evaluations": len(found.evaluations),
        "seconds": seconds,
        "overhead": 1 - computing / seconds,
        "optimizer_share": timed.seconds / seconds,
        "ledger_share": ledger.seconds / seconds,
        "other_load_cores": other_load,
    }


def summarise(runs: list[dict[str, Any]], plan: dict[str, Any]) -> str:
    """One row per optimizer and number of steps."""
    lines = [
        "| optimizer | steps | evaluations | seconds | not training or validation, % | smallest to largest "
        "| optimizer, % | ledger, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for optimizer, steps in dict.fromkeys((run["optimizer"], run["steps"]) for run in runs):
        own = [run for run in runs if (run["optimizer"], run["steps"]) == (optimizer, steps)]
        overhead = [run["overhead"] for run in own]
        medians = {
            name: statistics.median(run[name] for run in own)
            for name in ("evaluations", "seconds", "optimizer_share", "ledger_share")
        }
        lines.append(
            f"| {optimizer} | {steps} | {medians['evaluations']:.0f} | {medians['seconds']:.1f} "
            f"| {show(over_seeds(overhead), 2, 100)} | {100 * min(overhead):.2f} to {100 * max(overhead):.2f} "
            f"| {100 * medians['optimizer_share']:.2f} | {100 * medians['ledger_share']:.2f} |"
        )
    n_repetitions = len({run["seed"] for run in runs})
    lines += [
        "",
        f"{n_repetitions} repetitions with different seeds, in turns; the share as mean with its 95% t interval, the "
        "rest as medians. What is neither optimizer nor ledger is grafting, scores, minibatches and waiting for "
        f"processes. Other programs kept {max(run['other_load_cores'] for run in runs):.2f} cores busy at most. "
        f"Plan: `{json.dumps(plan)}`.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run all repetitions and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=200, help="at the demo's steps")
    parser.add_argument("--long-evaluations", type=int, default=48, help="at ten times its steps")
    parser.add_argument("--plan", type=json.loads, default=PLAN, help="JSON")
    arguments = parser.parse_args()
    environment = computing_environment(os.environ)
    if environment != dict(os.environ):
        # Part of it is read before a process's first line runs.
        os.execve(sys.executable, [sys.executable, "-m", MODULE, *sys.argv[1:]], environment)
    conditions = conditions_of("study_overhead")
    steps = json.loads(SPEC.read_text(encoding="utf-8"))["finetune"]["steps"]
    # The first computations of a process are slow.
    search_once(OPTIMIZERS[0], 0, steps, 2, arguments.plan)
    runs = []
    for seed in range(1, arguments.repetitions + 1):
        for factor, evaluations in (
            (1, arguments.evaluations),
            (LONGER, arguments.long_evaluations),
        ):
            for optimizer in OPTIMIZERS:
                run = search_once(optimizer, seed, factor * steps, evaluations, arguments.plan)
                runs.append(run)
        write_record(conditions, {"runs": runs}, summarise(runs, arguments.plan))


if __name__ == "__main__":
    main()
