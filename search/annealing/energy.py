"""Energies of masks for annealing: minus the fitness that all evaluations so far together speak for.

One noisy score is a bad judge of a move: a lucky mask would never be left again.  Every difference is therefore taken
between *current* estimates of both masks: posterior means of a surrogate, or means over replicates.
Annealing under noise: Bouttier and Gavra, "Convergence rate of a simulated annealing algorithm with noisy
observations", JMLR 20 (2019).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from search.annealing.walker import QuadraticLandscape
from search.evaluation import Evaluation
from search.genome import Genome
from search.observations import Observations, masks_of
from search.surrogate import Fit, Surrogate, is_worth_a_model
from search.surrogates.gaussian_process import GaussianProcessFit

# simanneal needs finite energies; this one is never accepted at a temperature that fits fitness scores.
FAILED_ENERGY = 1e9


class Energies:
    """What is known of masks, in units of fitness, lower is better.

    ``landscape`` is a fast view of what the surrogate expects, or None where it has none (yet).
    """

    def __init__(self, surrogate: Surrogate | None) -> None:
        """Start without knowledge; ``surrogate`` None takes plain means over a mask's replicates."""
        self.observations = Observations()
        self._surrogate = surrogate
        self._fit: Fit | None = None
        self.landscape: QuadraticLandscape | None = None
        self._known: dict[Genome, float] = {}
        self._expected: dict[Genome, float] = {}

    def add(self, evaluations: Iterable[Evaluation]) -> None:
        """Take in a batch and estimate everything anew."""
        seen = self.observations
        seen.add(evaluations)
        means = seen.means()
        self._known = {genome: -mean for genome, mean in means.items()}
        self._expected = dict.fromkeys(seen.failed, FAILED_ENERGY)
        if self._surrogate is not None and is_worth_a_model(seen):
            self._fit = self._surrogate.fit(seen)
            if isinstance(self._fit, GaussianProcessFit):
                self.landscape = QuadraticLandscape(self._fit, seen.masks.shape[1])
            measured = list(means)
            self._known = dict(zip(measured, self.expected(measured), strict=True))
        self._known.update(dict.fromkeys(seen.failed, FAILED_ENERGY))

    @property
    def is_modelled(self) -> bool:
        """Whether ``expected`` has an answer."""
        return self._fit is not None

    @property
    def noise(self) -> float:
        """Standard deviation of one evaluation: the surrogate's, or that between replicates; 0 while unknown."""
        return self._spread_of_replicates() if self._fit is None else self._fit.noise

    def knows(self, genome: Genome) -> bool:
        """Whether a mask has been measured, or has failed."""
        return genome in self._known

    def of(self, genome: Genome) -> float:
        """Energy of a measured mask; that of a failure where nothing is known, so that any other mask is better."""
        return self._known.get(genome, FAILED_ENERGY)

    def delta(self, current: Genome, proposed: Genome) -> float:
        """Energy that a move would cost, by current estimates; a failed mask costs too much from anywhere."""
        if self.of(proposed) >= FAILED_ENERGY:
            return FAILED_ENERGY
        return self.of(proposed) - self.of(current)

    def ranked(self) -> list[Genome]:
        """Every mask with a measured energy, the lowest first; failures last."""
        return sorted(self._known, key=lambda genome: (self._known[genome], genome.bitstring))

    def expected(self, genomes: Sequence[Genome]) -> list[float]:
        """Energies of any masks by the surrogate; each is computed once per batch.

        Raises:
            ValueError: There is no surrogate, or too little to fit it to (see ``is_modelled``).
        """
        if self._fit is None:
            raise ValueError("expected energies need a fitted surrogate")
        missing = [g for g in dict.fromkeys(genomes) if g not in self._expected]
        if missing:
            expected = self._fit.expect(masks_of(missing))
            self._expected.update(zip(missing, (-expected).tolist(), strict=True))
        return [self._expected[genome] for genome in genomes]

    def _spread_of_replicates(self) -> float:
        """Pooled standard deviation within the masks that were measured several times."""
        values: dict[bytes, list[float]] = defaultdict(list)
        if len(self.observations) == 0:
            return 0.0
        pairs = zip(self.observations.masks, self.observations.fitness.tolist(), strict=True)
        for mask, fitness in pairs:
            values[mask.tobytes()].append(fitness)
        repeated = [own for own in values.values() if len(own) > 1]
        if not repeated:
            return 0.0
        squares = sum(float(np.var(own)) * len(own) for own in repeated)
        return float(np.sqrt(squares / sum(len(own) - 1 for own in repeated)))
