"""Measuring a table in parts: one process measures a block of masks at one fidelity, rate and replicate.

A part is a file in a scratch folder; a part that is there is not measured again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.observations import BoolArray

if TYPE_CHECKING:
    from benchmarks.search_quality.table_tasks import TableTask
    from search.evaluation import Candidate, Evaluation, Evaluator
    from service.composition import Workbench

# What an evaluation that diverged has instead of a number of right answers.
FAILED = 65535


@dataclass(frozen=True, slots=True)
class Part:
    """Masks measured at one fidelity, learning rate and replicate.

    Attributes:
        table: Name of the task.
        folder: Scratch folder of the table, with the trained source.
        steps: The fidelity.
        factor: Times the search's learning rate.
        replicate: As the ledger counts.
        masks: Bitstrings.
        label: What it is for, and which block of the masks it has.
        tests: Whether test answers are counted too.
    """

    table: str
    folder: Path
    steps: int
    factor: float
    replicate: int
    masks: tuple[str, ...]
    label: str
    tests: bool = False

    @property
    def path(self) -> Path:
        """Where the result is, or will be."""
        return self.folder / f"{self.label}-{self.steps}-{self.factor:g}-{self.replicate}.npz"

    @property
    def candidate_steps(self) -> int:
        """What it costs."""
        return self.steps * len(self.masks)


@cache
def open_bench(table: str, folder: Path) -> Workbench:
    """Compose the task of a table; the source is trained once for all processes that come later."""
    from benchmarks.search_quality.table_tasks import TABLE_TASKS

    return compose_task(TABLE_TASKS[table], folder)


def compose_task(task: TableTask, folder: Path) -> Workbench:
    """Compose a task in a scratch folder, which keeps its trained source."""
    from models.surroundings import Surroundings
    from search.decisions import DecisionLog
    from search.ledger import InMemoryLedger
    from service.composition import compose

    folder.mkdir(parents=True, exist_ok=True)
    return compose(
        task.spec,
        decisions=DecisionLog(InMemoryLedger()),
        folder=folder,
        surroundings=Surroundings.of(folder),
    )


def measure(part: Part) -> Part:
    """Measure one part and write its file."""
    from benchmarks.search_quality.table_tasks import TABLE_TASKS
    from search.evaluation import Arm, Candidate
    from search.genome import Genome

    bench = open_bench(part.table, part.folder)
    arm = Arm(TABLE_TASKS[part.table].spec.finetune.learning_rates[0] * part.factor)
    candidates = [
        Candidate(Genome.from_bitstring(mask), part.steps, part.replicate, arm)
        for mask in part.masks
    ]
    right, losses, hits = _evaluate(bench, candidates, tests=part.tests)
    # Complete or absent: a run may be cut short while it writes.
    unfinished = part.path.with_suffix(".tmp.npz")
    np.savez(unfinished, right=right, loss=losses, hits=np.packbits(hits, axis=1))
    unfinished.replace(part.path)
    return part


def evaluate_in_chunks(
    evaluator: Evaluator, candidates: Sequence[Candidate], size: int
) -> list[Evaluation]:
    """Measure candidates, in order, in chunks of a size."""
    return [
        evaluation
        for start in range(0, len(candidates), size)
        for evaluation in evaluator.evaluate(candidates[start : start + size])
    ]


def _evaluate(
    bench: Workbench, candidates: list[Candidate], *, tests: bool
) -> tuple[NDArray[np.uint16], NDArray[np.float32], BoolArray]:
    """Right answers on the validation part, mean loss there, and which test samples were hit."""
    from benchmarks.search_quality.hit_collector import HitCollector
    from models.evaluator import GraftEvaluator

    collector = HitCollector()
    evaluator = GraftEvaluator(bench.task, bench.plan, bench.device, collector if tests else None)
    evaluations = evaluate_in_chunks(evaluator, candidates, bench.plan.chunk_size)
    n_validation = len(bench.task.data.validation.labels)
    right = [FAILED if e.fitness is None else round(e.fitness * n_validation) for e in evaluations]
    losses = [np.nan if e.loss is None else e.loss for e in evaluations]
    hits = collector.hits(candidates) if tests else np.zeros((len(candidates), 0), dtype=np.bool_)
    return np.array(right, dtype=np.uint16), np.array(losses, dtype=np.float32), hits
