"""Reading the measured tables, and replaying searches on them.

A replay sees what the real evaluator said, at any of its fidelities.  Every replay has its own order of the measured
replicates; candidates at one replicate still share their draws, as in a real search.  A mask asked for more often than
it was measured gets its first answers again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_quality.replay import Landscape
from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome
from search.observations import BoolArray, FloatArray

TABLES = Path(__file__).parent / "tables"


@dataclass(frozen=True, slots=True)
class Measured:
    """All masks at one fidelity.

    Attributes:
        fitness: ``(R, M)``: validation accuracy by replicate and mask; NaN where it diverged.
        loss: ``(R, M)``: validation loss in nats.
    """

    fitness: FloatArray
    loss: FloatArray

    @property
    def truth(self) -> FloatArray:
        """``(M,)``: mean fitness over the replicates; a mask that diverged is the worst."""
        means: FloatArray = np.nan_to_num(self.fitness, nan=0.0).mean(axis=0)
        return means

    @property
    def noise(self) -> float:
        """Standard deviation of one evaluation around its mask's mean."""
        return float(np.sqrt(np.nanvar(self.fitness, axis=0, ddof=1).mean()))


class Table:
    """One task, measured exhaustively; row r is the mask whose bits spell the number r."""

    def __init__(self, document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take what was read."""
        self.document, self._arrays = document, arrays
        self.n_genes = len(document["genes"])
        self.brief_steps: int = document["brief_steps"]
        self._by_steps = {
            int(steps): self._measured(f"rung{steps}") for steps in document["rung_steps"]
        }
        self._by_steps[self.brief_steps] = self._measured("brief")

    @property
    def brief(self) -> Measured:
        """The fidelity of the search."""
        return self._by_steps[self.brief_steps]

    @property
    def untrained_share(self) -> float | None:
        """Of the work of an evaluation, what is left without training."""
        from service.cost import untrained_share
        from service.spec import SearchSpec

        spec = SearchSpec.model_validate(self.document["spec"])
        n_train = spec.dataset.model_dump()["train_size"]
        return untrained_share(spec, n_train, self.document["validation_samples"])

    def at(self, steps: int) -> Measured:
        """One of the fidelities up to the search's own."""
        return self._by_steps[steps]

    @property
    def fidelities(self) -> list[int]:
        """Steps for which all masks are measured in the order of the search."""
        return sorted(self._by_steps)

    def full(self, factor: float) -> Measured:
        """All masks at full length and one learning-rate factor."""
        place = self.document["full_factors"].index(factor)
        return Measured(
            self._accuracy(self._arrays["full_right"][place]),
            self._arrays["full_loss"][place].astype(np.float64),
        )

    def full_test_accuracy(self, factor: float) -> FloatArray:
        """``(R, M)``: test accuracy of all masks at full length and one learning-rate factor."""
        place = self.document["full_factors"].index(factor)
        right: NDArray[np.uint16] = self._arrays["full_test_right"][place]
        return right / float(self.document["test_samples"])

    def subset(self) -> list[Genome]:
        """The masks that are measured often at full length."""
        return [self.genome(int(row)) for row in self._arrays["subset"]]

    def subset_fitness(self) -> FloatArray:
        """``(F, R, S)``: validation accuracy by learning-rate factor, replicate and mask of the subset."""
        return self._accuracy(self._arrays["subset_right"])

    def subset_hits(self) -> BoolArray:
        """``(F, R, S, N)``: which test samples were answered rightly."""
        n_samples = self.document["test_samples"]
        packed = self._arrays["subset_hits"]
        return np.unpackbits(packed, axis=3, count=n_samples).astype(np.bool_)

    def genome(self, row: int) -> Genome:
        """The mask of a row."""
        return Genome.from_bitstring(f"{row:0{self.n_genes}b}")

    @staticmethod
    def row(genome: Genome) -> int:
        """The row of a mask."""
        return int(genome.bitstring, 2)

    def true_fitness(self, genome: Genome) -> float:
        """Mean fitness at the brief fidelity."""
        return float(self.brief.truth[self.row(genome)])

    @property
    def optimum(self) -> float:
        """Mean fitness of the best mask at the brief fidelity."""
        return float(self.brief.truth.max())

    def evaluator(self, replay: int) -> TableEvaluator:
        """What measures candidates in a replay; its number decides the order of the replicates."""
        return TableEvaluator(self, replay)

    def landscape(self, replay: int) -> Landscape:
        """Fitness at the brief fidelity in a replay; a mask that diverged scores 0."""
        evaluator = self.evaluator(replay)

        def measure(genome: Genome, replicate: int) -> float:
            candidate = Candidate(genome, self.brief_steps, replicate)
            fitness = evaluator.evaluate([candidate])[0].fitness
            return 0.0 if fitness is None else fitness

        return measure

    def summary(self) -> str:
        """Spread and noise in words."""
        truth = self.brief.truth
        best = self.genome(int(truth.argmax())).bitstring
        return (
            f"{len(truth)} masks, {len(self.brief.fitness)} replicates of {self.brief_steps} steps: fitness "
            f"{truth.mean():.3f}, standard deviation between masks {truth.std():.3f}, of one evaluation "
            f"{self.brief.noise:.3f}; transfer-all {truth[0]:.3f}, keep-all {truth[-1]:.3f}, best {truth.max():.3f} "
            f"({best})"
        )

    def _measured(self, name: str) -> Measured:
        return Measured(
            self._accuracy(self._arrays[f"{name}_right"]),
            self._arrays[f"{name}_loss"].astype(np.float64),
        )

    def _accuracy(self, right: NDArray[np.uint16]) -> FloatArray:
        accuracy = right / float(self.document["validation_samples"])
        return np.where(right == self.document["failed"], np.nan, accuracy)


class TableEvaluator:
    """Answers candidates of a search from a table."""

    def __init__(self, table: Table, replay: int) -> None:
        """Draw the order of the replicates at each fidelity."""
        self._table = table
        rng = np.random.default_rng([replay, table.n_genes])
        self._orders = {
            steps: rng.permutation(len(table.at(steps).fitness)) for steps in table.fidelities
        }

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Look up one chunk."""
        return [self._evaluate(candidate) for candidate in candidates]

    def _evaluate(self, candidate: Candidate) -> Evaluation:
        measured, order = self._table.at(candidate.fidelity), self._orders[candidate.fidelity]
        replicate, row = order[candidate.replicate % len(order)], Table.row(candidate.genome)
        fitness, loss = measured.fitness[replicate, row], float(measured.loss[replicate, row])
        if np.isnan(fitness):
            return Evaluation(candidate, Outcome.DIVERGED, None, 0.0)
        return Evaluation(candidate, Outcome.MEASURED, float(fitness), 0.0, loss)


def load_table(name: str, folder: Path = TABLES) -> Table:
    """Read a table."""
    document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        return Table(document, dict(file))


def table_names() -> list[str]:
    """Those that have been built."""
    return sorted(path.stem for path in TABLES.glob("*.npz"))
