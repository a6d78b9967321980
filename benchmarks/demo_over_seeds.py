"""Does the demo's search find something real?  The whole search again over many seeds, with both optimizers.

Every seed is another split, another source and another target.  Every arm (found mask, keep-all, transfer-all, best
prefix) has its own best learning rate.  Reported: test accuracy, and the paired gain of the found mask on test data.

    python -m benchmarks.demo_over_seeds --seeds 10 --workers 2
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

SPEC = Path(__file__).parent.parent / "examples" / "digits.json"
# Holds all entrants of the race's long heat; two seeds side by side leave one core to each.
PLAN = {"layout": "stacked", "chunks": [1, 2, 4, 8, 12, 18], "channels_last": True, "threads": 1}
OPTIMIZERS = ("genetic", "annealing")
BASELINES = ("keep_all", "transfer_all", "best_prefix")


def run_seed(seed: int) -> list[dict[str, Any]]:
    """Run one whole search per optimizer, with one thread.

    The second one finds in its ledger what the first one measured in search and race: equal keys, equal results.
    """
    from models.surroundings import Surroundings
    from search.ledger import EvaluationRow, InMemoryLedger, Row
    from service.pipeline import run_search
    from service.spec import SearchSpec

    runs, known = [], list[Row]()
    for optimizer in OPTIMIZERS:
        document = json.loads(SPEC.read_text(encoding="utf-8"))
        if document["optimizer"]["kind"] != optimizer:
            document["optimizer"] = {"kind": optimizer}
        document |= {"seed": seed, "plan": PLAN}
        ledger = InMemoryLedger(known)
        with tempfile.TemporaryDirectory() as folder:
            result = run_search(
                SearchSpec.model_validate(document),
                ledger=ledger,
                folder=Path(folder),
                surroundings=Surroundings.of(Path(folder)),
            )
        evaluations = [row for row in ledger.rows() if isinstance(row, EvaluationRow)]
        known = [row for row in evaluations if row.position.phase != "final"]
        found = result.model_dump(mode="json", exclude={"curve", "genes", "provenance", "seconds"})
        runs.append({"optimizer": optimizer, "seed": seed} | found)
    return runs


def summarise(runs: list[dict[str, Any]]) -> str:
    """One table: a row per optimizer and arm."""
    from benchmarks.record import over_seeds, show

    lines = [
        "| optimizer | arm | test accuracy, % | paired gain of the found mask, points | seeds with a gain |",
        "|---|---|---|---|---|",
    ]
    for optimizer in dict.fromkeys(run["optimizer"] for run in runs):
        own = [run for run in runs if run["optimizer"] == optimizer]
        mean = over_seeds([run["test"]["mean"] for run in own])
        lines.append(f"| {optimizer} | found mask | {show(mean, 1, 100)} | | |")
        for name in BASELINES:
            tests = [run["baselines"][name]["test"]["mean"] for run in own]
            gains = [run["baselines"][name]["gain"]["mean"] for run in own]
            wins = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
            lines.append(
                f"| {optimizer} | {name.replace('_', '-')} | {show(over_seeds(tests), 1, 100)} "
                f"| {show(over_seeds(gains), 1, 100)} | {wins} |"
            )
        verdicts = [run["verdict"]["code"] for run in own]
        counted = ", ".join(f"{code} {verdicts.count(code)}" for code in sorted(set(verdicts)))
        lines.append(f"| {optimizer} | verdicts of the single runs | {counted} | | |")
    n_seeds = len({run["seed"] for run in runs})
    lines += [
        "",
        f"Means over {n_seeds} seeds with 95% t intervals; gains are paired within each seed.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run all searches and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    from benchmarks.record import conditions_of, write_record
    from benchmarks.seed_workers import over_seed_processes

    conditions = conditions_of("demo_over_seeds")
    runs: list[dict[str, Any]] = []
    # One seed per process: simanneal and torch start afresh each time.
    for of_seed in over_seed_processes(run_seed, range(1, arguments.seeds + 1), arguments.workers):
        runs += of_seed
        runs.sort(key=lambda run: (run["optimizer"], run["seed"]))
        # Written anew after each seed: a run that is cut short leaves what it has, and says how many.
        write_record(conditions, {"runs": runs}, summarise(runs))


if __name__ == "__main__":
    main()
