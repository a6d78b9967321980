"""Problems whose candidates can be trained for a share of the steps, and whose best mask is known.

A planted split is trained as it is searched: what one search has measured is kept for the next.  A table holds all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Protocol

import numpy as np
import torch

from benchmarks.planted_split import N_LAYERS, STEPS, enumerate_masks, plant
from benchmarks.search_quality.table_data import Table, load_table
from models.evaluator import GraftEvaluator
from models.plans.plan import fused_plan
from search.evaluation import Candidate, Evaluation, Evaluator, Outcome
from search.genome import Genome

PLANTED = "planted"
CHUNK_SIZE = 64


class RungProblem(Protocol):
    """What a search with rungs needs, and the truth about what it finds."""

    n_genes: int
    search_fidelity: int

    def evaluator(self, seed: int) -> Evaluator:
        """What measures the candidates of one search."""
        ...

    def quality(self, genome: Genome) -> float:
        """0 for the mean of all masks, 1 for the best, at the search fidelity."""
        ...


def scaled(fitness: Mapping[Genome, float]) -> dict[Genome, float]:
    """Quality of all masks; one that diverged is as good as the worst that did not."""
    values = np.array(list(fitness.values()))
    values[~np.isfinite(values)] = values[np.isfinite(values)].min()
    qualities = (values - values.mean()) / (values.max() - values.mean())
    return dict(zip(fitness, qualities.tolist(), strict=True))


class PlantedProblem:
    """One planted split; the truth is fitness at replicate 0, all masks enumerated."""

    n_genes, search_fidelity = N_LAYERS, STEPS

    def __init__(self, seed: int) -> None:
        """Train the network, tear it apart, measure every mask."""
        task, _ = plant(seed)
        self._memory = _Memory(
            GraftEvaluator(task, fused_plan("vmap", CHUNK_SIZE, threads=1), torch.device("cpu"))
        )
        self._quality = scaled(enumerate_masks(task))

    def evaluator(self, seed: int) -> Evaluator:  # noqa: ARG002 - the split has its own seed
        """The same for all searches."""
        return self._memory

    def quality(self, genome: Genome) -> float:
        """As enumerated."""
        return self._quality[genome]


class _Memory:
    """Trains what was not asked for before."""

    def __init__(self, evaluator: Evaluator) -> None:
        """Start empty."""
        self._evaluator = evaluator
        self._known: dict[Candidate, Evaluation] = {}

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Give what is known, train the rest."""
        missing = [candidate for candidate in candidates if candidate not in self._known]
        for start in range(0, len(missing), CHUNK_SIZE):
            measured = self._evaluator.evaluate(missing[start : start + CHUNK_SIZE])
            self._known.update((evaluation.candidate, evaluation) for evaluation in measured)
        return [self._known[candidate] for candidate in candidates]


class TableProblem:
    """A measured table."""

    def __init__(self, name: str) -> None:
        """Read it."""
        self._table = load_table(name)
        self.n_genes, self.search_fidelity = self._table.n_genes, self._table.brief_steps
        truth = self._table.brief.truth
        self._quality = scaled({self._table.genome(row): own for row, own in enumerate(truth)})

    def evaluator(self, seed: int) -> Evaluator:
        """A replay with its own order of the replicates."""
        return _OneTrainingPerMask(self._table, seed)

    def quality(self, genome: Genome) -> float:
        """By the mean over the replicates."""
        return self._quality[genome]


class _OneTrainingPerMask:
    """Answers from a table; a mask's rungs are stages of the training whose end is its first full score.

    Rungs are measured at the first few replicates alone, so one of these comes first; only first visits climb rungs.
    """

    def __init__(self, table: Table, seed: int) -> None:
        """Draw the order of the replicates."""
        self._table = table
        n_at_rungs, n_brief = (
            len(table.at(steps).fitness) for steps in (table.fidelities[0], table.brief_steps)
        )
        rng = np.random.default_rng([seed, table.n_genes])
        first = int(rng.integers(n_at_rungs))
        others = [replicate for replicate in range(n_brief) if replicate != first]
        self._order = [first, *rng.permutation(others).tolist()]

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Look up one chunk."""
        return [self._evaluate(candidate) for candidate in candidates]

    def _evaluate(self, candidate: Candidate) -> Evaluation:
        measured, row = self._table.at(candidate.fidelity), Table.row(candidate.genome)
        replicate = self._order[candidate.replicate % len(self._order)]
        fitness, loss = measured.fitness[replicate, row], float(measured.loss[replicate, row])
        if np.isnan(fitness):
            return Evaluation(candidate, Outcome.DIVERGED, None, 0.0)
        return Evaluation(candidate, Outcome.MEASURED, float(fitness), 0.0, loss)


@cache
def open_problem(name: str) -> RungProblem:
    """Make a problem once per process: ``planted 3`` is the split of seed 3, everything else a table."""
    kind, _, seed = name.partition(" ")
    return PlantedProblem(int(seed)) if kind == PLANTED else TableProblem(name)
