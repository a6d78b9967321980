"""Simulated annealing: simanneal's own loop, asked from outside, fit for noise and for batches.

The acceptance rule is that of Metropolis et al., "Equation of State Calculations by Fast Computing Machines",
J. Chem. Phys. 21 (1953); the method that of Kirkpatrick, Gelatt and Vecchi, "Optimization by Simulated Annealing",
Science 220 (1983).

Several chains run side by side, so that one ``ask`` is a batch: one new mask per chain, every one of them measured.
They stand on a ladder of temperatures and exchange places.  The first batch, masks that people would try by hand and
random ones, gives the chains their starts.  Energies are estimates from all evaluations so far, made anew after every
batch for both sides of every move, and temperatures follow the differences between them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from search.annealing.chain import ChainRunner, Proposal, Proposer
from search.annealing.energy import FAILED_ENERGY, Energies
from search.annealing.moves import BlindMoves, InformedChoice, SurrogateWalk
from search.annealing.schedule import CoolingSchedule, Thermostat, exchanged, ladder
from search.evaluation import Candidate, Evaluation
from search.genome import Genome
from search.optimizer import OPTIMIZERS, SearchProblem
from search.proposing.first_batch import FirstBatchConfig, first_masks
from search.proposing.unseen import filled_up
from search.surrogate import SURROGATES, build_surrogate
from search.surrogates.gaussian_process import GaussianProcessConfig

# Where all masks score alike there is nothing to calibrate with; any small value will do.
PLATEAU_TEMPERATURE = 1e-3
# Moves between known masks that a chain makes in a row before it counts as stuck: they cost no evaluation.
MOST_FREE_MOVES = 50
# Neighbours of chains' states that calibrate the temperatures.
N_CALIBRATING = 64


class AnnealingConfig(FirstBatchConfig):
    """Options of a search by simulated annealing; temperatures are in units of fitness."""

    kind: Literal["annealing"] = "annealing"
    chains: int = Field(
        12, ge=1, le=1024, description="chains side by side; at most an eighth of the budget"
    )
    surrogate: SURROGATES.union() | None = Field(  # type: ignore[valid-type]
        GaussianProcessConfig(),
        description="takes the noise out of energies and finds proposals; plain means and blind moves if null",
    )
    walk_sweeps: int = Field(
        5,
        ge=0,
        le=1000,
        description="steps on the surrogate that make one proposal, times the number of genes; 0 for blind moves",
    )
    segment_probability: float = Field(
        0.2, ge=0, le=1, description="chance that a step flips neighbouring genes together"
    )
    longest_segment: int = Field(
        5, ge=2, le=1024, description="genes that one step flips together at most"
    )
    saliency_weight: float = Field(
        0.5,
        ge=0,
        le=1,
        description="how far the genes' saliencies, where measured, decide which gene a step flips; 0: all genes alike",
    )
    cooling: CoolingSchedule = Field("exponential", description="how the temperature falls")
    reheat_after: int | None = Field(
        None,
        ge=1,
        description="batches without another best mask before temperatures rise again; never if null",
    )
    start_temperature: float | None = Field(
        None,
        ge=1e-9,
        le=1e9,
        description="of the coldest chain, in units of fitness; calibrated if null",
    )
    end_temperature: float | None = Field(
        None,
        ge=1e-9,
        le=1e9,
        description="of the coldest chain, in units of fitness; calibrated if null",
    )
    start_acceptance: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="calibration: chance that the coldest chain accepts a typical worsening at the start",
    )
    end_acceptance: float = Field(0.005, gt=0, lt=1, description="calibration: the same at the end")
    noise_floor: float = Field(
        0.05,
        ge=0,
        le=10,
        description="calibration: no temperature below this share of the noise of one evaluation",
    )
    ladder_ratio: float = Field(
        3.0, ge=1, le=1e6, description="temperature of the hottest chain over that of the coldest"
    )
    exchange: bool = Field(True, description="whether chains exchange temperatures after a batch")
    challenges: int | None = Field(
        None,
        ge=1,
        description="proposals that a chain's mask, or batches that the best mask, survives before it is measured "
        "again at a new replicate; never if null",
    )

    @model_validator(mode="after")
    def _cools(self) -> AnnealingConfig:
        start, end = self.start_temperature, self.end_temperature
        if start is not None and end is not None and end > start:
            raise ValueError(f"end_temperature ({end}) must not exceed start_temperature ({start})")
        if self.end_acceptance > self.start_acceptance:
            raise ValueError(
                f"end_acceptance ({self.end_acceptance}) must not exceed start_acceptance "
                f"({self.start_acceptance})"
            )
        return self

    def batch_within(self, problem: SearchProblem) -> int:
        """One mask per chain; few steps of many chains are no annealing."""
        return min(self.chains, max(1, problem.budget_evaluations // 8))


@OPTIMIZERS.register(AnnealingConfig)
class Annealing:
    """K Metropolis chains with replica exchange."""

    def __init__(self, config: AnnealingConfig, problem: SearchProblem, seed: int) -> None:
        """Bind the options to one problem and one seed."""
        self._config, self._problem = config, problem
        self._rng = np.random.default_rng(seed)
        surrogate = None if config.surrogate is None else build_surrogate(config.surrogate, seed)
        self._energies = Energies(surrogate)
        self._thermostat = Thermostat(config.cooling, config.reheat_after)
        self._chains: list[ChainRunner] = []
        self._n_chains = config.batch_within(problem)
        self._rungs = list(range(self._n_chains))
        self._challenges: Counter[Genome] = Counter()
        self._worsenings: list[float] = []
        self._best: Genome | None = None
        self._blind = BlindMoves(
            problem.n_genes,
            segment_probability=config.segment_probability,
            longest_segment=config.longest_segment,
            saliencies=None if problem.gene_priors is None else problem.gene_priors.saliencies,
            saliency_weight=config.saliency_weight,
        )

    def ask(self) -> list[Candidate]:
        """Propose one mask per chain and challenged masks again; empty once every mask has been proposed."""
        if self._energies.observations.n_asked == 0:
            observations = self._energies.observations
            first = first_masks(self._config, self._problem, observations, self._rng)
            return self._candidates(first)
        if not self._chains:
            self._start_chains()
        again = self._challenged()
        new = self._proposed()
        # Measuring known masks again, for ever, is no search.
        return [*self._candidates(again), *new] if new else []

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Take in the batch; the chains accept or refuse what they proposed."""
        self._energies.add(evaluations)
        accepted = [self._settle(chain) for chain in self._chains if self._is_answered(chain)]
        ranked = self._energies.ranked()
        if not self._chains:
            self._worsenings = self._first_differences()
        best = ranked[0] if ranked else None
        if self._chains:
            if best is not None and best == self._best:
                self._challenges[best] += 1
            spent = len(self._energies.observations) / self._problem.budget_evaluations
            share = sum(accepted) / len(accepted) if accepted else None
            self._thermostat.advance(spent, accepted=share, is_success=best != self._best)
        self._best = best

    def _candidates(self, genomes: Sequence[Genome]) -> list[Candidate]:
        observations = self._energies.observations
        return observations.candidates(genomes, self._problem.search_fidelity)

    def _start_chains(self) -> None:
        """Start from the best masks known, repeated where there are fewer than chains."""
        starts = self._energies.ranked() or [Genome((True,) * self._problem.n_genes)]
        self._chains = [self._chain(starts[index % len(starts)]) for index in range(self._n_chains)]

    def _first_differences(self) -> list[float]:
        """Differences in energy of one gene, guessed from masks further apart as if genes were independent."""
        genomes = self._energies.observations.genomes
        return [
            abs(self._energies.delta(one, other))
            / math.sqrt(one.n_genes * (1 - one.agreement(other)))
            for one, other in pairwise(genomes)
        ]

    def _chain(self, start: Genome) -> ChainRunner:
        return ChainRunner(
            start=start, propose=self._proposer(), seed=int(self._rng.integers(2**32))
        )

    def _proposer(self) -> Proposer:
        """Blind moves until there is a surrogate to consult; must not hold this optimizer, which holds the chain."""
        energies, blind = self._energies, self._blind
        is_taken = energies.observations.was_asked
        choice = InformedChoice(blind, energies.expected, is_taken)
        length = self._config.walk_sweeps * self._problem.n_genes

        def propose(genome: Genome, temperature: float) -> Proposal:
            if length == 0 or not energies.is_modelled:
                return blind(genome, temperature)
            if energies.landscape is None:
                return choice(genome, temperature)
            return SurrogateWalk(blind, energies.landscape.at, is_taken, length)(
                genome, temperature
            )

        return propose

    def _is_answered(self, chain: ChainRunner) -> bool:
        return chain.pending is not None and self._energies.knows(chain.pending.proposal.genome)

    def _settle(self, chain: ChainRunner) -> bool:
        """Let a chain decide on the measured mask that it proposed."""
        move = chain.pending
        assert move is not None
        delta = self._energies.delta(move.current, move.proposal.genome)
        if 0 < abs(delta) < FAILED_ENERGY / 2:
            self._worsenings.append(abs(delta))
        return chain.settle(delta - move.proposal.expected_delta)

    def _temperatures(self) -> list[float]:
        """Temperature of each rung."""
        config, typical = self._config, self._typical_worsening()
        floor = max(PLATEAU_TEMPERATURE * 1e-3, config.noise_floor * self._energies.noise)
        start = typical / -math.log(config.start_acceptance)
        end = max(floor, typical / -math.log(config.end_acceptance))
        start = config.start_temperature or max(start, config.end_temperature or end)
        end = config.end_temperature or min(start, end)
        coldest = self._thermostat.temperature(start, end)
        return ladder(coldest, self._n_chains, config.ladder_ratio)

    def _typical_worsening(self) -> float:
        """Median difference in energy of a move: around the chains by the surrogate, else of what was measured."""
        deltas = self._worsenings
        if self._energies.is_modelled:
            deltas = self._expected_worsenings()
        typical = float(np.median(deltas)) if deltas else 0.0
        return typical or PLATEAU_TEMPERATURE

    def _expected_worsenings(self) -> list[float]:
        states = list(dict.fromkeys(chain.state for chain in self._chains))
        pairs = [
            (state, state.flipped(int(self._rng.integers(state.n_genes))))
            for state, _ in zip(states * N_CALIBRATING, range(N_CALIBRATING), strict=False)
        ]
        before = self._energies.expected([state for state, _ in pairs])
        after = self._energies.expected([neighbour for _, neighbour in pairs])
        deltas = [b - a for a, b in zip(before, after, strict=True)]
        return [delta for delta in deltas if 0 < delta < FAILED_ENERGY / 2]

    def _challenged(self) -> list[Genome]:
        """The best mask and those on which chains stand, if challenged often since they were last measured."""
        limit = self._config.challenges
        standing = dict.fromkeys([*self._energies.ranked()[:1], *(c.state for c in self._chains)])
        again = [g for g in standing if limit is not None and self._challenges[g] >= limit]
        for genome in again:
            del self._challenges[genome]
        return [genome for genome in again if self._energies.of(genome) < FAILED_ENERGY]

    def _proposed(self) -> list[Candidate]:
        """Let every chain go on until it needs an unmeasured mask; chains that find none start again elsewhere."""
        temperatures = self._temperatures()
        if self._config.exchange:
            energies = [self._energies.of(chain.state) for chain in self._chains]
            self._rungs = exchanged(self._rungs, temperatures, energies, self._rng)
        asked: dict[Genome, Candidate] = {}
        for index, rung in enumerate(self._rungs):
            wanted = self._wanted(self._chains[index], temperatures[rung])
            if wanted is None and (start := self._unseen()) is not None:
                self._chains[index], wanted = self._chain(start), start
            if wanted is not None and wanted not in asked:
                # At once: what one chain asks for, the next one need not.
                (asked[wanted],) = self._candidates([wanted])
        return list(asked.values())

    def _wanted(self, chain: ChainRunner, temperature: float) -> Genome | None:
        """The next mask that a chain needs measured; None if its moves lead to known ones only."""
        if chain.pending is None and not self._energies.knows(chain.state):
            return chain.state
        for _ in range(MOST_FREE_MOVES):
            move = chain.pending or chain.propose(temperature)
            assert move is not None
            if not self._energies.knows(move.proposal.genome):
                self._challenges[move.current] += 1
                return move.proposal.genome
            self._settle(chain)
            if move.proposal.genome == move.current:
                break
        return None

    def _unseen(self) -> Genome | None:
        """Draw a mask that nobody has asked for; None if there is none left."""
        n_genes, observations = self._problem.n_genes, self._energies.observations
        return next(iter(filled_up([], 1, observations, n_genes, self._rng)), None)
