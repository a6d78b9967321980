"""Simulated searches on the measured tables: real trainings, drawn anew for every search.

At full length only a subset of the masks was trained often and with every test answer, so only these compete there:
the best masks at the brief fidelity, keep-all, transfer-all, all prefixes, and some drawn at random.  The search phase
is free, it sees all masks at the brief fidelity; of what it has found, the race is shown the masks of the subset.  All
else is the product's own: who leads, who is dropped, which learning rate is chosen, what the verdict says.

The measured replicates and test samples are the population of a world of their own.  Every replicate number of a search
is an independent draw from the measured replicates, with replacement, the same for all masks (common random numbers);
the test part is as many independent draws from the measured samples.  So the truth, the mean over all replicates and
samples of the table, is known exactly, and the draws are independent given it, which is what an interval assumes.
Draws without replacement would be closer to their mean than an interval can know: 8 of 30 by 14%.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.search_quality.table_data import Table, load_table
from benchmarks.search_quality.worlds import Setting, Truth
from search.evaluation import Arm, Candidate, Evaluation, Outcome
from search.final import FinalOptions
from search.genome import Genome
from search.observations import BoolArray, FloatArray

_SAMPLES, _REPLICATE = range(2)


@dataclass(frozen=True)
class FullLength:
    """What a table holds at full length.

    Attributes:
        rows: Place of each mask of the subset.
        factors: Learning-rate factors.
        fitness: ``(F, R, S)``; NaN where a training diverged.
        hits: ``(F, R, S, N)``.
    """

    rows: dict[Genome, int]
    factors: tuple[float, ...]
    fitness: FloatArray
    hits: BoolArray

    def truth(self, factor: int, row: int) -> Truth:
        """Means over the replicates that did not diverge."""
        fitness = self.fitness[factor, :, row]
        measured = np.isfinite(fitness)
        hits = self.hits[factor, :, row][measured]
        return Truth(float(hits.mean()), float(fitness[measured].mean()))


@cache
def read(name: str) -> tuple[Table, FullLength]:
    """Read a table once per process."""
    table = load_table(name)
    rows = {genome: row for row, genome in enumerate(table.subset())}
    factors = tuple(map(float, table.document["subset_factors"]))
    return table, FullLength(rows, factors, table.subset_fitness(), table.subset_hits())


def has_full_length(name: str) -> bool:
    """Whether a table's subset was measured."""
    return bool(load_table(name).document["subset_factors"])


class TableWorld:
    """Answers from a table; candidates at one replicate share their draws."""

    def __init__(self, name: str, seed: int) -> None:
        """Draw the test samples."""
        self._table, self._full = read(name)
        document = self._table.document
        # A rate of 1, so that the rate of a factor is the factor.
        self.setting = Setting(
            self._table.n_genes,
            self._table.brief_steps,
            Arm(1.0),
            FinalOptions(
                steps=document["spec"]["final"]["steps"], learning_rate_factors=self._full.factors
            ),
        )
        self._seed = seed
        n_samples = self._full.hits.shape[3]
        self._samples = np.random.default_rng([seed, _SAMPLES]).integers(n_samples, size=n_samples)

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Look up validation accuracy."""
        return [self._evaluate(candidate) for candidate in candidates]

    def competes(self, genome: Genome) -> bool:
        """The masks of the subset do."""
        return genome in self._full.rows

    def test_hits(self, candidates: Sequence[Candidate]) -> BoolArray:
        """Look up test answers."""
        rows = []
        for candidate in candidates:
            factor, row = self._place(candidate.genome, candidate.arm)
            replicate = self._replicate(candidate, self._full.hits.shape[1])
            rows.append(self._full.hits[factor, replicate, row][self._samples])
        return np.stack(rows)

    def truth(self, genome: Genome, arm: Arm) -> Truth:
        """Over all of the table."""
        return self._full.truth(*self._place(genome, arm))

    def _evaluate(self, candidate: Candidate) -> Evaluation:
        if candidate.fidelity == self.setting.final.steps:
            factor, row = self._place(candidate.genome, candidate.arm)
            own = self._full.fitness[factor, :, row]
        else:
            own = self._table.at(candidate.fidelity).fitness[:, self._brief_row(candidate.genome)]
        fitness = float(own[self._replicate(candidate, len(own))])
        if np.isnan(fitness):
            return Evaluation(candidate, Outcome.DIVERGED, None, 0.0)
        return Evaluation(candidate, Outcome.MEASURED, fitness, 0.0)

    def _brief_row(self, genome: Genome) -> int:
        return Table.row(genome)

    def _place(self, genome: Genome, arm: Arm) -> tuple[int, int]:
        """Factor and row at full length."""
        (rate,) = arm.rates
        return self._full.factors.index(rate), self._full.rows[genome]

    def _replicate(self, candidate: Candidate, n_replicates: int) -> int:
        """Which measured replicate a candidate gets."""
        return self._drawn(n_replicates, candidate.fidelity, candidate.replicate)

    def _drawn(self, n_replicates: int, *numbers: int) -> int:
        rng = np.random.default_rng([self._seed, _REPLICATE, *numbers])
        return int(rng.integers(n_replicates))


class FlatTableWorld(TableWorld):
    """All masks at all learning rates are one measured mask, each with trainings of its own."""

    def __init__(self, name: str, seed: int, row: int) -> None:
        """Let the mask at ``row`` of the subset, at the search's own learning rate, stand for all."""
        super().__init__(name, seed)
        self._row = row
        self._own_row = Table.row(self._table.subset()[row])

    def _brief_row(self, genome: Genome) -> int:  # noqa: ARG002 - the same for all
        return self._own_row

    def _place(self, genome: Genome, arm: Arm) -> tuple[int, int]:  # noqa: ARG002 - the same for all
        return self._full.factors.index(1.0), self._row

    def _replicate(self, candidate: Candidate, n_replicates: int) -> int:
        own = int(candidate.genome.bitstring, 2), round(1e9 * sum(candidate.arm.rates))
        return self._drawn(n_replicates, candidate.fidelity, candidate.replicate, *own)


def rows_by_luck(name: str) -> dict[str, int]:
    """Rows of the subset by how much luck a training has: the least, the median and the greatest."""
    _, full = read(name)
    accuracy = full.hits[full.factors.index(1.0)].mean(axis=2)
    order = np.argsort(accuracy.std(axis=0), kind="stable")
    named = {"least": order[0], "median": order[len(order) // 2], "most": order[-1]}
    return {label: int(row) for label, row in named.items()}
