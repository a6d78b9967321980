"""Which recipe is best on few labels?  Digits 5-9 from a source pretrained on 0-4, some masks that no search chose.

Every seed is another split, another source, another target and other draws.  Every recipe trains every mask at full
length at each of three learning rates, of which the one with the best validation accuracy counts; reported is test
accuracy.  ``best mask`` is, for each recipe and seed, the mask with the best validation accuracy.  Differences to full
fine-tuning are paired within each seed.  Options other than the rate are fixed beforehand, one value each.

    python -m benchmarks.recipes --seeds 10 --workers 2
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pydantic import TypeAdapter

from benchmarks.record import conditions_of, over_seeds, show, write_record
from benchmarks.seed_workers import over_seed_processes
from models.evaluator import GraftEvaluator, Task
from models.final_artifacts import FinalArtifacts
from models.finetuning import STRATEGIES
from models.plans.plan import fused_plan
from models.recipe.strategy import TrainingOptions, build_strategy
from models.recipe.teachers import with_teachers
from models.surroundings import Surroundings
from search.decisions import DecisionLog
from search.evaluation import Arm, Candidate
from search.genome import Genome
from search.ledger import InMemoryLedger
from search.statistics import Interval
from service.composition import compose
from service.spec import SearchSpec

SPEC = Path(__file__).parent.parent / "examples" / "digits.json"
# The first one trains teachers.
RATES = (0.001, 0.0003, 0.003)
# Genes whose own weights are kept: all, none, all but the first 3 or 6, which are transferred.
MASKS = {
    "keep-all": "111111111",
    "transfer-all": "000000000",
    "first 3 transferred": "000111111",
    "first 6 transferred": "000000111",
}
BEST = "best mask"
SHARED: dict[str, Any] = {
    "batch_size": 32,
    "learning_rate": list(RATES),
    "schedule": {"kind": "constant"},
}
DISTILL: dict[str, Any] = {"kind": "distill", "teacher": "transfer_all", "teacher_steps": 600}
RECIPES: dict[str, dict[str, Any]] = {
    "full": {"kind": "full"},
    "partial": {"kind": "partial", "freeze": "transferred"},
    "partial, rates": {
        "kind": "partial",
        "freeze": "nothing",
        "transferred_rate": 0.1,
        "kept_rate": 1,
    },
    "linear probe, then full": {"kind": "linear_probe_then_full"},
    "distill, soft": DISTILL,
    "distill, hard": {**DISTILL, "labels": "hard"},
    "phases: distill, full": {
        "kind": "phases",
        "phases": [
            {**SHARED, **DISTILL, "steps": 20},
            {"kind": "full", **SHARED, "steps": 20, "learning_rate": RATES[0]},
        ],
    },
    "full + L2-SP 0.01": {"kind": "full", "l2_sp": 0.01},
    "full + L2-SP 0.001": {"kind": "full", "l2_sp": 0.001},
    "full + cosine, warm-up": {"kind": "full", "schedule": {"kind": "cosine", "warm_up": 0.1}},
    "full + augmentation": {
        "kind": "full",
        "augmentation": [
            {"kind": "shifted_crop", "pixels": 1},
            {"kind": "rotation", "degrees": 10},
        ],
    },
}
NOTE = (
    "Of `partial`: with keep-all nothing is frozen, so that it is full fine-tuning; with transfer-all everything is, "
    "so that no loss can fall and the accuracy is that of the source as it is, whose classes are others. The "
    "distilling recipes also need a teacher, trained once for all masks in {teacher_steps} steps, which their "
    "times leave out."
)


def parsed(options: Mapping[str, Any]) -> TrainingOptions:
    """Read options as a spec's ``finetune``."""
    adapter: TypeAdapter[TrainingOptions] = TypeAdapter(STRATEGIES.union())
    return adapter.validate_python(options)


def recipe(name: str) -> TrainingOptions:
    """Options of one recipe of this benchmark."""
    options = RECIPES[name]
    return parsed(options if options["kind"] == "phases" else {**SHARED, **options})


def demo_task(seed: int, train_size: int, folder: Path) -> Task:
    """Build the demo's task with so many labels."""
    document = json.loads(SPEC.read_text(encoding="utf-8"))
    document["dataset"]["train_size"] = train_size
    document |= {"seed": seed, "plan": fused_plan("vmap", len(MASKS), threads=1).model_dump()}
    spec = SearchSpec.model_validate(document)
    decisions = DecisionLog(InMemoryLedger())
    return compose(
        spec, decisions=decisions, folder=folder, surroundings=Surroundings.of(folder)
    ).task


def measure_seed(seed: int, steps: int, train_size: int) -> dict[str, Any]:
    """Train all masks by all recipes at one seed, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = demo_task(seed, train_size, folder)
        by_recipe = {name: _measure(task, name, steps, folder) for name in RECIPES}
    return {"seed": seed, "n_test": len(task.data.test), "recipes": by_recipe}


def _measure(task: Task, name: str, steps: int, folder: Path) -> dict[str, Any]:
    """Scores of all masks by one recipe, each at its own best rate."""
    learning = with_teachers(replace(task, strategy=build_strategy(recipe(name))), folder)
    artifacts = FinalArtifacts(folder / name)
    plan = fused_plan("vmap", len(MASKS), threads=1)
    evaluator = GraftEvaluator(learning, plan, torch.device("cpu"), artifacts)
    masks = [Genome.from_bitstring(bits) for bits in MASKS.values()]
    # With several rates the evaluator trains a candidate at each and judges it at its best on validation.
    asked = [Candidate(mask, steps, arm=Arm(RATES)) for mask in masks]
    started = time.process_time()
    evaluations = evaluator.evaluate(asked)
    seconds = time.process_time() - started
    answers = artifacts.answers(asked, task.data.test.labels)
    rows: dict[str, Any] = {}
    for label, evaluation, hits in zip(MASKS, evaluations, answers.target.hits, strict=True):
        rows[label] = {
            "outcome": str(evaluation.outcome),
            "validation": evaluation.fitness,
            "loss": evaluation.loss,
            "test": float(hits.double().mean()),
        }
    # Of masks with equal accuracy, the one with the lower loss.
    best = max(MASKS, key=lambda label: _rank(rows[label]))
    rows[BEST] = {"mask": best, **rows[best]}
    return {"masks": rows, "processor_seconds": seconds}


def _rank(row: Mapping[str, Any]) -> tuple[float, float]:
    if row["validation"] is None:
        return (-1.0, 0.0)
    return (row["validation"], -row["loss"])


def marked(difference: Interval) -> str:
    """A paired difference in points; bold where its interval leaves out 0."""
    text = show(difference, 1, 100)
    if difference.low is None or difference.high is None:
        return text
    return f"**{text}**" if difference.low > 0 or difference.high < 0 else text


def table(header: str, columns: list[str], row: Callable[[str], list[str]]) -> list[str]:
    """One row per recipe."""
    lines = [f"| {header} | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    return lines + [f"| {name} | " + " | ".join(row(name)) + " |" for name in RECIPES]


def summarise(runs: list[dict[str, Any]], steps: int, train_size: int) -> str:
    """Two tables: test accuracy, and its paired difference to full fine-tuning."""
    columns = [*MASKS, BEST]

    def tests(name: str, column: str) -> list[float]:
        return [run["recipes"][name]["masks"][column]["test"] for run in runs]

    def accuracies(name: str) -> list[str]:
        used = [run["recipes"] for run in runs]
        times = [own[name]["processor_seconds"] / own["full"]["processor_seconds"] for own in used]
        means = [show(over_seeds(tests(name, column)), 1, 100) for column in columns]
        return [*means, f"{median(times):.2f}"]

    def differences(name: str) -> list[str]:
        if name == "full":
            return ["0"] * len(columns)
        pairs = [zip(tests(name, c), tests("full", c), strict=True) for c in columns]
        return [marked(over_seeds([own - full for own, full in pair])) for pair in pairs]

    teacher_steps = DISTILL["teacher_steps"]
    n_comparisons = (len(RECIPES) - 1) * len(columns)
    lines = table("recipe: test accuracy, %", [*columns, "time / full"], accuracies)
    lines += ["", *table("recipe: minus `full`, points", columns, differences), ""]
    lines += [
        f"{train_size} labels, {steps} steps, {len(runs)} seeds, {runs[0]['n_test']} test samples each; means with "
        "95% t intervals over the seeds. Every recipe and mask has its own best of the rates "
        f"{', '.join(f'{rate:g}' for rate in sorted(RATES))}, chosen on validation; the best mask too. Differences are "
        "paired within each seed; bold: the interval leaves out 0, which about one in 20 of the "
        f"{n_comparisons} would by chance alone. Times: processor seconds of one thread that trains and applies the "
        "four masks, the median over the seeds.",
        "",
        NOTE.format(teacher_steps=teacher_steps),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure all seeds and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--train-size", type=int, default=60)
    parser.add_argument("--label", default="", help="tells records apart")
    arguments = parser.parse_args()
    conditions = conditions_of("recipes")
    measure = functools.partial(
        measure_seed, steps=arguments.steps, train_size=arguments.train_size
    )
    runs: list[dict[str, Any]] = []
    seeds = range(1, arguments.seeds + 1)
    for run in over_seed_processes(measure, seeds, arguments.workers):
        runs = sorted([*runs, run], key=lambda run: run["seed"])
        # Written anew after each seed: a run that is cut short leaves what it has, and says how many.
        summary = summarise(runs, arguments.steps, arguments.train_size)
        write_record(conditions, {"runs": runs}, summary, arguments.label)


if __name__ == "__main__":
    main()
