"""Simulated annealing: simanneal's own loop, asked from outside.

The acceptance rule is that of Metropolis et al., "Equation of State Calculations by Fast Computing Machines",
J. Chem. Phys. 21 (1953); the method that of Kirkpatrick, Gelatt and Vecchi, "Optimization by Simulated Annealing",
Science 220 (1983).

Several chains run side by side, so that one ``ask`` is a batch.  The first batch (keep-all, transfer-all, prefixes and
their neighbours) calibrates the temperatures and gives the chains their starts.  When the chains have ended and budget
is left, because answers that were known cost nothing, they start again: every other one from the best masks, the rest
from random ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from search.annealing_chain import ChainRunner, CoolingSchedule
from search.evaluation import Candidate, Evaluation
from search.genome import Genome, keep_all, prefixes, transfer_all
from search.optimizer import OPTIMIZERS, OptimizerConfig, SearchProblem

# simanneal needs finite energies; this one is never accepted at a temperature that fits fitness scores.
FAILED_ENERGY = 1e9
# Where all measured neighbours score alike there is nothing to calibrate with; any small value will do.
PLATEAU_TEMPERATURE = 1e-3
# Rounds in a row that proposed nothing new before the optimizer calls the neighbourhood exhausted.
MAX_IDLE_ROUNDS = 5


class AnnealingConfig(OptimizerConfig):
    """Options of a search by simulated annealing; temperatures are in units of fitness."""

    kind: Literal["annealing"] = "annealing"
    chains: int = Field(4, ge=1, le=1024, description="chains that run side by side")
    cooling: CoolingSchedule = Field("exponential", description="how the temperature falls")
    start_temperature: float | None = Field(
        None, ge=1e-9, le=1e9, description="in units of fitness; calibrated if null"
    )
    end_temperature: float | None = Field(
        None, ge=1e-9, le=1e9, description="in units of fitness; calibrated if null"
    )
    start_acceptance: float = Field(
        0.3,
        gt=0,
        lt=1,
        description="calibration: share of average worsenings accepted at the start",
    )
    end_acceptance: float = Field(
        0.01, gt=0, lt=1, description="calibration: share of small worsenings accepted at the end"
    )

    @model_validator(mode="after")
    def _cools(self) -> AnnealingConfig:
        start, end = self.start_temperature, self.end_temperature
        if start is not None and end is not None and end > start:
            raise ValueError(f"end_temperature ({end}) must not exceed start_temperature ({start})")
        return self


@OPTIMIZERS.register(AnnealingConfig)
class Annealing:
    """K Metropolis chains over single flips, restarted while budget is left."""

    def __init__(self, config: AnnealingConfig, problem: SearchProblem, seed: int) -> None:
        """Bind the options to one problem and one seed."""
        self._config, self._problem = config, problem
        self._rng = np.random.default_rng(seed)
        self._energies: dict[Genome, float] = {}
        self._temperatures = (PLATEAU_TEMPERATURE, PLATEAU_TEMPERATURE)
        self._chains: list[ChainRunner] = []

    def ask(self) -> list[Candidate]:
        """Propose what every chain waits for; empty once chains find nothing new."""
        if not self._energies:
            return self._candidates(self._first_masks())
        for _ in range(MAX_IDLE_ROUNDS):
            wanted = self._run_chains()
            if wanted:
                return self._candidates(wanted)
            self._start_round(self._restarts())
        return []

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Remember the energies; the chains go on with them at the next ask."""
        is_calibration = not self._energies
        for evaluation in evaluations:
            fitness = evaluation.fitness
            energy = FAILED_ENERGY if fitness is None else -fitness
            self._energies[evaluation.candidate.genome] = energy
        if is_calibration and self._energies:
            self._temperatures = self._calibrated()
            self._start_round(self._best_masks())

    def _candidates(self, genomes: Sequence[Genome]) -> list[Candidate]:
        return [Candidate(genome, self._problem.search_fidelity) for genome in genomes]

    def _first_masks(self) -> list[Genome]:
        """Keep-all, transfer-all and prefixes: n + 1 masks that are each other's neighbours.

        With more genes than a quarter of the budget, evenly spaced ones, each with one random neighbour.
        """
        n_genes, affordable = self._problem.n_genes, max(4, self._problem.budget_evaluations // 4)
        path = [keep_all(n_genes), *prefixes(n_genes), transfer_all(n_genes)]
        if len(path) <= affordable:
            return list(dict.fromkeys(path))
        picks = np.linspace(0, len(path) - 1, affordable // 2).round().astype(int)
        spaced = [path[pick] for pick in picks]
        neighbours = [genome.flipped(int(self._rng.integers(n_genes))) for genome in spaced]
        return list(dict.fromkeys([*spaced, *neighbours]))

    def _calibrated(self) -> tuple[float, float]:
        """Start and end temperature, so that worsenings seen between neighbours are accepted as configured."""
        scores = {g: e for g, e in self._energies.items() if e < FAILED_ENERGY}
        steps = [
            abs(energy - scores[neighbour])
            for genome, energy in scores.items()
            for neighbour in map(genome.flipped, range(genome.n_genes))
            if neighbour in scores and scores[neighbour] != energy
        ]
        start = end = PLATEAU_TEMPERATURE
        if steps:
            start = float(np.mean(steps)) / -math.log(self._config.start_acceptance)
            end = float(np.quantile(steps, 0.1)) / -math.log(self._config.end_acceptance)
        start = self._config.start_temperature or max(start, self._config.end_temperature or end)
        end = self._config.end_temperature or min(start, end)
        return start, end

    def _start_round(self, starts: Sequence[Genome]) -> None:
        """Start every chain, with the steps that the budget still allows."""
        left = self._problem.budget_evaluations - len(self._energies)
        self._chains = [
            ChainRunner(
                start=start,
                temperatures=self._temperatures,
                cooling=self._config.cooling,
                steps=max(1, left // self._config.chains),
                seed=int(self._rng.integers(2**32)),
            )
            for start in starts
        ]

    def _best_masks(self) -> list[Genome]:
        """One start per chain: the best masks known, repeated when there are fewer than chains."""
        ranked = sorted(
            self._energies, key=lambda genome: (self._energies[genome], genome.bitstring)
        )
        return [ranked[index % len(ranked)] for index in range(self._config.chains)]

    def _restarts(self) -> list[Genome]:
        """The best masks for every other chain, random ones for the rest."""
        starts = self._best_masks()
        for index in range(1, len(starts), 2):
            starts[index] = Genome.from_bits(self._rng.random(self._problem.n_genes) < 0.5)
        return starts

    def _run_chains(self) -> list[Genome]:
        """Let every chain go on until it needs an unknown energy or ends; give what is needed, once each."""
        wanted = [genome for chain in self._chains if (genome := chain.advance(self._energies))]
        return list(dict.fromkeys(wanted))
