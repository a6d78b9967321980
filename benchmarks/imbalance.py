"""Do class weights or balanced minibatches help when classes are rare?  Ten digits, five with 60 samples, five with 3.

The training part is cut down to that; validation and test part are cut to equal numbers of every class, so that their
accuracy is balanced accuracy, the mean over the classes of the share of their samples that is classified rightly.  The
source is pretrained on digits turned by 90 degrees, all classes alike, without the samples of validation and test.
Keep-all and transfer-all, each arm at its own best of three learning rates by validation; every seed is another split,
source and target.

    python -m benchmarks.imbalance --seeds 10 --workers 2
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import conditions_of, over_seeds, show, write_record
from benchmarks.seed_workers import over_seed_processes
from models.data.dataset import Examples
from models.evaluator import GraftEvaluator, Task
from models.final_artifacts import FinalArtifacts
from models.finetuning.full import FullConfig
from models.plans.plan import fused_plan
from models.randomness import derive_seed
from models.recipe.strategy import build_strategy
from models.surroundings import Surroundings
from search.decisions import DecisionLog
from search.evaluation import Arm, Candidate
from search.genome import keep_all, transfer_all
from search.ledger import InMemoryLedger
from service.composition import compose
from service.spec import SearchSpec

RATES = (0.0003, 0.001, 0.003)
FREQUENT, RARE = 60, 3
SAMPLES_PER_CLASS = (*(FREQUENT,) * 5, *(RARE,) * 5)
# Of every class.
VALIDATION_SAMPLES, TEST_SAMPLES = 28, 70
SPEC: dict[str, Any] = {
    "model": {"kind": "small_cnn", "width": 16},
    "source": {
        "kind": "pretrain",
        "dataset": {"kind": "digits", "shift": [{"kind": "rotate", "degrees": 90}]},
        "steps": 600,
    },
    "dataset": {"kind": "digits", "train_size": 700, "validation_size": 300},
    "fitness": {"metric": "balanced_accuracy"},
    "plan": fused_plan("vmap", 2, threads=1).model_dump(),
}
ARMS: dict[str, dict[str, Any]] = {
    "none": {},
    "class weights, balanced": {"loss": {"kind": "cross_entropy", "class_weights": "balanced"}},
    "sampling, balanced": {"sampling": "balanced"},
}
MASKS = {"keep-all": keep_all, "transfer-all": transfer_all}
PARTS = {"all classes": slice(None), "frequent": slice(0, 5), "rare": slice(5, None)}


def imbalanced_task(seed: int, folder: Path) -> Task:
    """Build the task of one seed."""
    spec = SearchSpec.model_validate(SPEC | {"seed": seed})
    decisions = DecisionLog(InMemoryLedger())
    task = compose(
        spec, decisions=decisions, folder=folder, surroundings=Surroundings.of(folder)
    ).task
    rng = np.random.default_rng(derive_seed(seed, "imbalance"))
    data, n_classes = task.data, len(SAMPLES_PER_CLASS)
    validation = drawn(data.validation, (VALIDATION_SAMPLES,) * n_classes, rng)
    test = drawn(data.test, (TEST_SAMPLES,) * n_classes, rng)
    train = drawn(data.train, SAMPLES_PER_CLASS, rng)
    return replace(task, data=replace(data, train=train, validation=validation, test=test))


def drawn(part: Examples, counts: tuple[int, ...], rng: np.random.Generator) -> Examples:
    """Draw so many samples of each class.

    Raises:
        ValueError: A class has fewer.
    """
    labels = part.labels.numpy()
    chosen = [
        rng.choice(np.flatnonzero(labels == label), count, replace=False)
        for label, count in enumerate(counts)
    ]
    return part.take(torch.from_numpy(np.concatenate(chosen)))


def measure_seed(seed: int, steps: int) -> dict[str, Any]:
    """Train both masks by all arms at one seed, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = imbalanced_task(seed, folder)
        return {"seed": seed, "arms": {arm: _measure(task, arm, steps, folder) for arm in ARMS}}


def _measure(task: Task, arm: str, steps: int, folder: Path) -> dict[str, Any]:
    """Test scores of both masks in one arm, each at its own best rate."""
    constant = {"kind": "constant"}
    config = FullConfig.model_validate({"learning_rate": RATES, "schedule": constant, **ARMS[arm]})
    artifacts = FinalArtifacts(folder / arm)
    evaluator = GraftEvaluator(
        replace(task, strategy=build_strategy(config)),
        fused_plan("vmap", len(MASKS), threads=1),
        torch.device("cpu"),
        artifacts,
    )
    genomes = [mask(task.genes.n_genes) for mask in MASKS.values()]
    # With several rates the evaluator trains a candidate at each and judges it at its best on validation.
    asked = [Candidate(genome, steps, arm=Arm(RATES)) for genome in genomes]
    evaluations = evaluator.evaluate(asked)
    labels, rows = task.data.test.labels, {}
    tested = artifacts.answers(asked, labels).target.hits.double()
    for name, evaluation, hits in zip(MASKS, evaluations, tested, strict=True):
        recalls = [float(hits[labels == label].mean()) for label in range(len(SAMPLES_PER_CLASS))]
        rows[name] = {"validation": evaluation.fitness, "recalls": recalls}
    return rows


def summarise(runs: list[dict[str, Any]], steps: int) -> str:
    """One row per mask and arm."""

    def scores(mask: str, arm: str, part: str) -> list[float]:
        return [float(np.mean(run["arms"][arm][mask]["recalls"][PARTS[part]])) for run in runs]

    lines = [
        "| mask | arm | balanced accuracy, % | minus none, points | of the frequent classes, % | of the rare, % "
        "| rare, minus none, points |",
        "|---|---|---|---|---|---|---|",
    ]
    for mask in MASKS:
        for arm in ARMS:
            own = {part: scores(mask, arm, part) for part in PARTS}
            gains = {
                part: over_seeds(
                    [a - b for a, b in zip(own[part], scores(mask, "none", part), strict=True)]
                )
                for part in PARTS
            }
            means = {part: show(over_seeds(own[part]), 1, 100) for part in PARTS}
            shown = {
                part: "" if arm == "none" else show(gain, 1, 100) for part, gain in gains.items()
            }
            lines.append(
                f"| {mask} | {arm} | {means['all classes']} | {shown['all classes']} | {means['frequent']} "
                f"| {means['rare']} | {shown['rare']} |"
            )
    lines += [
        "",
        f"Test part of {TEST_SAMPLES} samples of every class, {steps} steps, batch 32, {len(runs)} "
        "seeds; means with 95% t intervals over the seeds, differences paired within each seed. Frequent: digits 0 to "
        f"4 with {FREQUENT} training samples each, rare: 5 to 9 with {RARE}. Every arm and mask has its own best of "
        f"the rates {', '.join(f'{rate:g}' for rate in RATES)} by balanced accuracy on validation.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure all seeds and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=1000)
    arguments = parser.parse_args()
    conditions = conditions_of("imbalance")
    measure = functools.partial(measure_seed, steps=arguments.steps)
    runs: list[dict[str, Any]] = []
    seeds = range(1, arguments.seeds + 1)
    for run in over_seed_processes(measure, seeds, arguments.workers):
        runs = sorted([*runs, run], key=lambda run: run["seed"])
        # Written anew after each seed: a run that is cut short leaves what it has, and says how many.
        write_record(conditions, {"runs": runs}, summarise(runs, arguments.steps))


if __name__ == "__main__":
    main()
