"""Worlds in which whole searches are simulated: like a real task to the search, but the truth is known.

Three things are drawn anew for every search: the replicates, the test samples and, where a world is invented, the
landscape itself.  Test samples are answered by what a candidate's training has learned, so that luck shows on
validation and on test data alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import stats

from benchmarks.search_quality.problems import draw_problem
from search.evaluation import Arm, Candidate, Evaluation, Outcome
from search.final import FinalOptions
from search.genome import Genome
from search.observations import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class Setting:
    """What a search is told of its task.

    Attributes:
        n_genes: Length of a mask.
        search_fidelity: Steps of a brief training.
        arm: The search's learning rate.
        final: Steps and learning rates at full length.
    """

    n_genes: int
    search_fidelity: int
    arm: Arm
    final: FinalOptions


@dataclass(frozen=True, slots=True)
class Truth:
    """What a final would measure of one mask at one learning rate with replicates and test samples without end.

    Attributes:
        test: Test accuracy over all replicates and samples.
        fitness: Validation accuracy over all replicates on the search's own validation samples.
    """

    test: float
    fitness: float


class World(Protocol):
    """A task at which one search is simulated; equal candidates get equal answers."""

    @property
    def setting(self) -> Setting:
        """What the search is told."""
        ...

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Measure on validation data."""
        ...

    def competes(self, genome: Genome) -> bool:
        """Whether a mask can be measured at full length."""
        ...

    def test_hits(self, candidates: Sequence[Candidate]) -> BoolArray:
        """``(P, N)``: which test samples the networks of a final answer rightly."""
        ...

    def truth(self, genome: Genome, arm: Arm) -> Truth:
        """What the final estimates."""
        ...


@dataclass(frozen=True, slots=True)
class Spreads:
    """Standard deviations of the parts of a synthetic world, in units of the spread of the samples' easiness.

    Attributes:
        masks: Of the masks' quality: the landscape; 0 is flat.
        rates: Of what a learning rate does to one mask.
        tastes: Of what one mask makes of one sample at every replicate; it has no effect on the mask's true accuracy.
        shared: Of a replicate's luck, the same for all masks.
        own: Of a training's luck.
        doubt: Of what one training makes of one sample.
    """

    masks: float
    rates: float
    tastes: float
    shared: float
    own: float
    doubt: float

    @property
    def is_flat(self) -> bool:
        """Whether no mask is better than another."""
        return self.masks == self.rates == 0.0


# With a doubt of 0.5, luck of 0.1 in all moves a training's accuracy by 2.4 points, of 0.22 by 5, of 0.45 by 11.
SYNTHETIC = {
    "hills": Spreads(masks=0.2, rates=0.1, tastes=0.3, shared=0.1, own=0.1, doubt=0.5),
    "noisy hills": Spreads(masks=0.1, rates=0.05, tastes=0.3, shared=0.2, own=0.3, doubt=0.5),
    "flat": Spreads(masks=0.0, rates=0.0, tastes=0.0, shared=0.1, own=0.1, doubt=0.5),
    "flat without luck": Spreads(masks=0.0, rates=0.0, tastes=0.0, shared=0.0, own=0.0, doubt=0.5),
    "flat with much luck": Spreads(
        masks=0.0, rates=0.0, tastes=0.0, shared=0.2, own=0.4, doubt=0.5
    ),
    "flat with tastes": Spreads(masks=0.0, rates=0.0, tastes=0.5, shared=0.1, own=0.1, doubt=0.5),
}
N_GENES, N_VALIDATION, N_TEST = 10, 300, 400
EASINESS = 1.0
# What a brief training is short of.
BRIEF_HANDICAP = 0.5
BRIEF_STEPS, FULL_STEPS = 40, 600
# Streams of random numbers of one search.
_SAMPLES, _SHARED, _TRAINING, _TASTE, _RATE = range(5)


class SyntheticWorld:
    """A sample is answered rightly where easiness, quality and luck add up to more than 0."""

    def __init__(self, spreads: Spreads, seed: int) -> None:
        """Draw landscape and samples."""
        self.setting = Setting(N_GENES, BRIEF_STEPS, Arm(0.001), FinalOptions(steps=FULL_STEPS))
        self._spreads, self._seed = spreads, seed
        self._problem = draw_problem("neighbours", N_GENES, seed)
        rng = np.random.default_rng([seed, _SAMPLES])
        self._easiness = EASINESS + rng.standard_normal(N_VALIDATION + N_TEST)

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Share of validation samples answered rightly."""
        return [
            Evaluation(c, Outcome.MEASURED, float(self._hits(c)[:N_VALIDATION].mean()), 0.0)
            for c in candidates
        ]

    def competes(self, genome: Genome) -> bool:
        """Every mask does."""
        return genome.n_genes == N_GENES

    def test_hits(self, candidates: Sequence[Candidate]) -> BoolArray:
        """Answers to the samples after those for validation."""
        return np.stack([self._hits(candidate)[N_VALIDATION:] for candidate in candidates])

    def truth(self, genome: Genome, arm: Arm) -> Truth:
        """By the normal distribution: all parts are normal."""
        spreads, quality = self._spreads, self._quality(genome, arm)
        of_replicates = spreads.shared**2 + spreads.own**2 + spreads.doubt**2
        of_samples = 1.0 + spreads.tastes**2
        test = stats.norm.cdf((EASINESS + quality) / np.sqrt(of_replicates + of_samples))
        validation = (self._easiness + self._tastes(genome))[:N_VALIDATION] + quality
        fitness = stats.norm.cdf(validation / np.sqrt(of_replicates)).mean()
        return Truth(float(test), float(fitness))

    def _hits(self, candidate: Candidate) -> BoolArray:
        spreads, genome = self._spreads, candidate.genome
        shared = self._stream(_SHARED, candidate.fidelity, candidate.replicate).standard_normal()
        training = self._stream(
            _TRAINING, candidate.fidelity, candidate.replicate, *_numbers(genome, candidate.arm)
        )
        own = training.standard_normal()
        doubt = training.standard_normal(N_VALIDATION + N_TEST)
        handicap = BRIEF_HANDICAP if candidate.fidelity < FULL_STEPS else 0.0
        level = self._quality(genome, candidate.arm) - handicap
        level += spreads.shared * shared + spreads.own * own
        hits: BoolArray = (
            self._easiness + self._tastes(genome) + level + spreads.doubt * doubt > 0.0
        )
        return hits

    def _quality(self, genome: Genome, arm: Arm) -> float:
        spreads, values = self._spreads, self._problem.random_values
        own = (self._problem.value(genome) - values.mean()) / values.std()
        of_rate = self._stream(_RATE, *_numbers(genome, arm)).standard_normal()
        return float(spreads.masks * own + spreads.rates * of_rate)

    def _tastes(self, genome: Genome) -> FloatArray:
        number, _ = _numbers(genome, Arm())
        drawn = self._stream(_TASTE, number).standard_normal(N_VALIDATION + N_TEST)
        tastes: FloatArray = self._spreads.tastes * drawn
        return tastes

    def _stream(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *numbers])


def _numbers(genome: Genome, arm: Arm) -> tuple[int, int]:
    """Tell masks and learning rates apart."""
    return int(genome.bitstring, 2), round(1e9 * sum(arm.rates))
