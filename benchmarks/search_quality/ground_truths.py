"""Does a whole search find what the literature says must be found?

Four tasks on digits, an MLP of five layers, source pretrained on plain digits, target fresh, 100 labels.
Labels permuted: early layers are worth transferring, late ones are not (Lee et al., "Surgical Fine-Tuning", ICLR 2023).
Pixels permuted: the first layer is not.  Every pixel scaled: a mild corruption, all layers are.  Source and target the
same network: nothing to decide, and the answer must be "no evidence".

Every seed is another split, source, target and shift; every arm takes its own best learning rate.

    python -m benchmarks.search_quality.ground_truths --seeds 10 --workers 2
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import conditions_of, over_seeds, show, write_record
from benchmarks.seed_workers import over_seed_processes
from models.plans.plan import fused_plan
from models.surroundings import Surroundings
from search.decisions import DecisionLog
from search.ledger import InMemoryLedger
from service.composition import Workbench, compose, set_up
from service.pipeline import run_phases
from service.spec import SearchSpec

SPEC: dict[str, Any] = {
    "model": {"kind": "mlp", "hidden": [96, 96, 96, 96]},
    "source": {"kind": "pretrain", "dataset": {"kind": "digits"}, "steps": 600},
    "dataset": {"kind": "digits", "train_size": 100, "validation_size": 300, "test_size": 400},
    "finetune": {"kind": "full", "steps": 40, "learning_rate": [0.001, 0.003]},
    "final": {"steps": 300},
    "budget": {"evaluations": 200},
    "plan": fused_plan("stacked", 32, threads=1).model_dump(),
}
IDENTICAL = "same network"
SHIFTS: dict[str, list[dict[str, Any]]] = {
    "labels permuted": [{"kind": "label_cycle"}],
    "pixels permuted": [{"kind": "pixel_permutation"}],
    "pixels scaled": [{"kind": "scale"}],
    IDENTICAL: [],
}
PURE = ("keep_all", "transfer_all")


def run_seed(seed: int) -> list[dict[str, Any]]:
    """Search all tasks at one seed, in a process of its own."""
    return [search(task, seed) for task in SHIFTS]


def search(name: str, seed: int) -> dict[str, Any]:
    """Run one whole search; give its result without what is not needed."""
    shifts = [
        shift | ({} if shift["kind"] == "label_cycle" else {"seed": seed}) for shift in SHIFTS[name]
    ]
    dataset = SPEC["dataset"] | {"shift": shifts}
    spec = SearchSpec.model_validate(SPEC | {"seed": seed, "dataset": dataset})
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)

        def prepare(decisions: DecisionLog) -> Workbench:
            bench = compose(
                spec,
                decisions=decisions,
                folder=folder,
                surroundings=Surroundings.of(folder),
            )
            if name != IDENTICAL:
                return bench
            bench.close()
            source = bench.task.source
            task = replace(bench.task, target=lambda _: source)
            return set_up(task, spec, decisions=decisions, folder=folder)

        result = run_phases(spec, prepare, ledger=InMemoryLedger(), folder=folder)
    kept = result.model_dump(mode="json", include={"mask", "test", "baselines", "verdict"})
    return {"task": name, "seed": seed} | kept


def summarise(runs: list[dict[str, Any]]) -> str:
    """One row per task: what was kept, what it gains, what the verdicts said."""
    lines = [
        "| task | kept, share of searches by layer | test accuracy of the found mask, % | gain over keep-all, points "
        "| gain over transfer-all, points | verdicts |",
        "|---|---|---|---|---|---|",
    ]
    for task in SHIFTS:
        own = [run for run in runs if run["task"] == task]
        kept = np.mean([[bit == "1" for bit in run["mask"]] for run in own], axis=0)
        test = over_seeds([run["test"]["mean"] for run in own])
        gains = [
            show(over_seeds([run["baselines"][name]["gain"]["mean"] for run in own]), 1, 100)
            for name in PURE
        ]
        codes = [run["verdict"]["code"] for run in own]
        counted = ", ".join(f"{code} {codes.count(code)}" for code in sorted(set(codes)))
        shares = " ".join(f"{share:.1f}" for share in kept)
        lines.append(
            f"| {task} | {shares} | {show(test, 1, 100)} | {' | '.join(gains)} | {counted} |"
        )
    n_seeds = len({run["seed"] for run in runs})
    lines += [
        "",
        f"{n_seeds} seeds; means with 95% t intervals over the seeds, gains paired within each seed.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run all searches and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    conditions = conditions_of("search_quality.ground_truths")
    runs: list[dict[str, Any]] = []
    for of_seed in over_seed_processes(run_seed, range(1, arguments.seeds + 1), arguments.workers):
        runs += of_seed
        runs.sort(key=lambda run: (list(SHIFTS).index(run["task"]), run["seed"]))
        # Written anew after each seed: a run that is cut short leaves what it has, and says how many.
        write_record(conditions, {"runs": runs}, summarise(runs))


if __name__ == "__main__":
    main()
