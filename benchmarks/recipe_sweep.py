"""Does every recipe train, alike in every layout?  All strategies x optimizers x schedules x losses x metrics.

Each combination trains a few masks of a tiny network for a few steps in float64, by the loop, by ``vmap`` and stacked,
twice each: an MLP in all combinations, a CNN with batch norm in some.  A combination fails if it raises, if a candidate
diverges or a score is not finite, if layouts differ in a validation loss by more than a relative 1e-6 or in a metric,
or if the second run does not give every sample's loss bit for bit.  Metrics are computed from the same predictions.

    python -m benchmarks.recipe_sweep
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic import TypeAdapter

from benchmarks.record import conditions_of, write_record
from models.evaluator import GraftEvaluator, Task
from models.final_artifacts import FinalArtifacts
from models.finetuning import STRATEGIES
from models.losses import LOSSES
from models.metrics import METRICS
from models.plans.plan import Plan
from models.population import LayoutName
from models.recipe.strategy import TrainingOptions, build_strategy
from models.recipe.teachers import with_teachers
from models.schedules import SCHEDULES
from models.scoring.metric import build_metric
from models.scoring.predictions import Predictions
from models.surroundings import Surroundings
from models.training_optimizers import TRAINING_OPTIMIZERS
from search.decisions import DecisionLog
from search.errors import TransferMaskError
from search.evaluation import Candidate, Evaluation
from search.genome import Genome
from search.ledger import InMemoryLedger
from service.composition import compose
from service.spec import SearchSpec

STEPS, CHUNK, TOLERANCE = 6, 4, 1e-6
RECORD_EVERY = 100
LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)
REFERENCE: LayoutName = "loop"
SHARED: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.01, "steps": STEPS}
TAUGHT: dict[str, Any] = {"kind": "distill", "teacher_steps": 5}
STRATEGY_OPTIONS: dict[str, dict[str, Any]] = {
    "full": {"kind": "full"},
    "full, regularised": {
        "kind": "full",
        "l1": 0.001,
        "l2_sp": 0.01,
        "gradient_norm": 1.0,
        "sampling": "balanced",
        "augmentation": [{"kind": "shifted_crop"}, {"kind": "rotation"}, {"kind": "noise"}],
        "early_stopping": {"interval": 2, "patience": 1},
    },
    "partial": {"kind": "partial"},
    "partial, kept frozen": {"kind": "partial", "freeze": "kept"},
    "partial, last gene": {"kind": "partial", "freeze": "all_but_last", "last_genes": 1},
    "partial, rates": {
        "kind": "partial",
        "freeze": "nothing",
        "transferred_rate": 0.1,
        "kept_rate": 2,
    },
    "linear probe, then full": {"kind": "linear_probe_then_full", "probe_rate": 3},
    "distill, soft": TAUGHT,
    "distill, hard": {**TAUGHT, "labels": "hard"},
    "distill, source": {**TAUGHT, "teacher": "source"},
    "phases": {"kind": "phases", "phases": [TAUGHT, {"kind": "full"}]},
}
# For networks with running statistics.
STATISTICS_OPTIONS: dict[str, dict[str, Any]] = {
    "full, statistics frozen": {"kind": "full", "batch_norm": {"frozen": True}},
    "full, statistics before": {"kind": "full", "batch_norm": {"reestimate": "before"}},
    "full, statistics after": {"kind": "full", "batch_norm": {"reestimate": "after"}},
}
OPTIMIZER_OPTIONS: dict[str, dict[str, Any]] = {
    "sgd": {"kind": "sgd"},
    "sgd, momentum": {"kind": "sgd", "momentum": 0.9},
    "sgd, nesterov": {"kind": "sgd", "momentum": 0.9, "nesterov": True},
    "rmsprop": {"kind": "rmsprop"},
    "adam": {"kind": "adam"},
    "adamw": {"kind": "adamw"},
}
SCHEDULE_OPTIONS: dict[str, dict[str, Any]] = {
    f"{kind}{', warm-up' if warm_up else ''}": {"kind": kind, "warm_up": warm_up}
    for kind in SCHEDULES.names()
    for warm_up in (0.0, 0.3)
}
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"kind": "mlp", "hidden": [12, 8]},
    "cnn with batch norm": {
        "kind": "small_cnn",
        "width": 4,
        "convolutions": 1,
        "hidden": 8,
        "norm": "batch",
    },
}
SOME_OPTIMIZERS, SOME_SCHEDULES = ("sgd, nesterov", "adamw"), ("constant", "cosine, warm-up")


@dataclass(frozen=True, slots=True)
class Combination:
    """One recipe on one network, by the names in the tables above."""

    network: str
    strategy: str
    optimizer: str
    schedule: str
    loss: str

    def options(self) -> TrainingOptions:
        """The recipe; all phases of a sequence have the same optimizer, schedule and loss."""
        own = {
            **SHARED,
            "optimizer": OPTIMIZER_OPTIONS[self.optimizer],
            "schedule": SCHEDULE_OPTIONS[self.schedule],
            "loss": {"kind": self.loss},
        }
        given = {**STRATEGY_OPTIONS, **STATISTICS_OPTIONS}[self.strategy]
        if given["kind"] == "phases":
            options = {**given, "phases": [{**own, **phase} for phase in given["phases"]]}
        else:
            options = {**own, **given}
        adapter: TypeAdapter[TrainingOptions] = TypeAdapter(STRATEGIES.union())
        return adapter.validate_python(options)


@dataclass(frozen=True, slots=True)
class Run:
    """What one layout gave, and what it says of every validation sample."""

    evaluations: list[Evaluation]
    predictions: Predictions

    def metrics(self) -> dict[str, torch.Tensor]:
        """Every registered metric of every candidate."""
        return {name: build_metric(name).values(self.predictions) for name in METRICS.names()}


def combinations() -> Iterator[Combination]:
    """All of the MLP, some of the CNN.

    Raises:
        ValueError: A registered plug-in is in no combination.
    """
    for registry, options in (
        (STRATEGIES, STRATEGY_OPTIONS),
        (TRAINING_OPTIMIZERS, OPTIMIZER_OPTIONS),
    ):
        missing = set(registry.names()) - {own["kind"] for own in options.values()}
        if missing:
            raise ValueError(f"{registry.family} {sorted(missing)} would not be swept")
    mlp, cnn = NETWORKS
    losses = LOSSES.names()
    everything = itertools.product(STRATEGY_OPTIONS, OPTIMIZER_OPTIONS, SCHEDULE_OPTIONS, losses)
    some = itertools.product(
        (*STRATEGY_OPTIONS, *STATISTICS_OPTIONS), SOME_OPTIMIZERS, SOME_SCHEDULES, losses
    )
    yield from (Combination(mlp, *names) for names in everything)
    yield from (Combination(cnn, *names) for names in some)


def base_task(network: str, folder: Path) -> Task:
    """Two fresh networks and a few digits; the validation part stands for the test part, whose predictions are kept."""
    document = {
        "model": NETWORKS[network],
        "source": {"kind": "init"},
        "dataset": {"kind": "digits", "train_size": 40, "validation_size": 50},
        "plan": Plan(layout=REFERENCE, threads=1).model_dump(),
        "seed": 1,
    }
    spec = SearchSpec.model_validate(document)
    decisions = DecisionLog(InMemoryLedger())
    task = compose(
        spec, decisions=decisions, folder=folder, surroundings=Surroundings.of(folder)
    ).task
    return replace(task, data=replace(task.data, test=task.data.validation))


def masks(n_genes: int) -> list[Genome]:
    """Keep-all, transfer-all and two between them."""
    halves = [Genome(tuple((gene + first) % 2 == 0 for gene in range(n_genes))) for first in (0, 1)]
    return [Genome((True,) * n_genes), Genome((False,) * n_genes), *halves]


def run_once(task: Task, layout: LayoutName, folder: Path) -> Run:
    """Train all masks by one layout, from the start."""
    artifacts = FinalArtifacts(folder)
    chunks = (1,) if layout == "loop" else (1, CHUNK)
    plan = Plan(layout=layout, chunks=chunks, dtype="float64", threads=1)
    evaluator = GraftEvaluator(task, plan, torch.device("cpu"), artifacts)
    asked = [Candidate(mask, STEPS) for mask in masks(task.genes.n_genes)]
    evaluations = [
        evaluation
        for start in range(0, len(asked), plan.chunk_size)
        for evaluation in evaluator.evaluate(asked[start : start + plan.chunk_size])
    ]
    return Run(evaluations, artifacts.answers(asked, task.data.validation.labels).target)


def examine(base: Task, combination: Combination, folder: Path) -> dict[str, Any]:
    """Train one combination in every layout, twice each, and compare."""
    task = with_teachers(replace(base, strategy=build_strategy(combination.options())))
    runs = {layout: run_once(task, layout, folder) for layout in LAYOUTS}
    repeated = {layout: run_once(task, layout, folder) for layout in LAYOUTS}
    reference = runs[REFERENCE]
    return {
        "not_finite": sum(not _is_finite(run) for run in runs.values()),
        "difference": max(_difference(run, reference) for run in runs.values()),
        "metrics_differ": sum(not _same_metrics(run, reference) for run in runs.values()),
        "repeats_differ": sum(
            not torch.equal(run.predictions.losses, repeated[layout].predictions.losses)
            for layout, run in runs.items()
        ),
    }


def _is_finite(run: Run) -> bool:
    measured = all(e.fitness is not None and e.loss is not None for e in run.evaluations)
    return measured and all(bool(torch.isfinite(v).all()) for v in run.metrics().values())


def _difference(run: Run, reference: Run) -> float:
    """Largest relative difference of a validation loss."""
    own, other = (one.predictions.losses.mean(dim=1) for one in (run, reference))
    return float(((own - other) / other).abs().max())


def _same_metrics(run: Run, reference: Run) -> bool:
    own, other = run.metrics(), reference.metrics()
    return all(torch.allclose(own[name], other[name], rtol=TOLERANCE, atol=1e-12) for name in own)


def is_sound(row: Mapping[str, Any]) -> bool:
    """Whether a combination did what every combination shall."""
    return (
        row["error"] is None
        and row["difference"] <= TOLERANCE
        and not (row["not_finite"] or row["metrics_differ"] or row["repeats_differ"])
    )


def sweep(some: Sequence[Combination]) -> Iterator[dict[str, Any]]:
    """Examine combinations one by one; what one raises is a finding."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bases = {network: base_task(network, folder / network) for network in NETWORKS}
        for combination in some:
            names = asdict(combination)
            try:
                found = examine(bases[combination.network], combination, folder / "run")
            except (TransferMaskError, RuntimeError, TypeError, ValueError, LookupError) as error:
                yield {**names, "error": f"{type(error).__name__}: {error}"}
            else:
                yield {**names, "error": None, **found}


def summarise(rows: Sequence[Mapping[str, Any]]) -> str:
    """One row per network."""
    lines = [
        "| network | combinations | with metrics | raised | not finite | layouts differ in a metric | repeats differ "
        "| largest relative difference in a loss | failed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for network in dict.fromkeys(row["network"] for row in rows):
        own = [row for row in rows if row["network"] == network]
        done = [row for row in own if row["error"] is None]
        counts = [
            sum(row[what] > 0 for row in done)
            for what in ("not_finite", "metrics_differ", "repeats_differ")
        ]
        largest = max((row["difference"] for row in done), default=float("nan"))
        lines.append(
            f"| {network} | {len(own)} | {len(own) * len(METRICS.names())} | {len(own) - len(done)} "
            f"| {' | '.join(map(str, counts))} | {largest:.1e} | {sum(not is_sound(row) for row in own)} |"
        )
    lines += [
        "",
        f"{CHUNK} masks of each, {STEPS} steps, float64, {', '.join(LAYOUTS)} compared with {REFERENCE}, each trained "
        f"twice. Strategies: {'; '.join(STRATEGY_OPTIONS)}; with batch norm also {'; '.join(STATISTICS_OPTIONS)}. "
        f"Optimizers: {'; '.join(OPTIMIZER_OPTIONS)}. Schedules: {'; '.join(SCHEDULE_OPTIONS)}. Losses: "
        f"{'; '.join(LOSSES.names())}. Metrics: {'; '.join(METRICS.names())}. With batch norm only the optimizers "
        f"{' and '.join(SOME_OPTIMIZERS)}, and the schedules {' and '.join(SOME_SCHEDULES)}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Sweep, write the record, fail if a combination failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take each so many-th combination")
    arguments = parser.parse_args()
    conditions = conditions_of("recipe_sweep")
    rows: list[dict[str, Any]] = []
    for row in sweep(list(combinations())[:: arguments.every]):
        rows.append(row)
        if not is_sound(row):
            print(row, flush=True)
        if len(rows) % RECORD_EVERY == 0:
            write_record(conditions, {"rows": rows}, summarise(rows))
    write_record(conditions, {"rows": rows}, summarise(rows))
    sys.exit(0 if all(map(is_sound, rows)) else 1)


if __name__ == "__main__":
    main()
