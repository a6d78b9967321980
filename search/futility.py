"""Telling early that a pure strategy is clearly ahead of everything tried; the search goes on.

Knows only evaluations in the order of the ledger, so that a resumed search says the same at the same place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.evaluation import Evaluation
from search.genome import Genome, keep_all, transfer_all
from search.observations import Observations, masks_of
from search.surrogate import is_worth_a_model
from search.surrogates.gaussian_process import GaussianProcess, GaussianProcessConfig

# Standard deviations of the difference by which a pure strategy must lead.
CLEAR_LEAD = 2.0
# What is known after so many evaluations is not early, and a fit takes seconds; the last message stands.
MOST_OBSERVATIONS = 500


class FutilityWatch:
    """Follows the search phase; after each whole batch it compares the pure strategies with the best other mask.

    Not thread safe.
    """

    def __init__(self) -> None:
        """Start without knowledge."""
        self._model = GaussianProcess(GaussianProcessConfig(), seed=0)
        self._observations = Observations()
        self._batch: int | None = None
        self.message: str | None = None

    def add(self, batch: int, evaluations: Sequence[Evaluation]) -> None:
        """Take in one chunk; the first one of a new batch makes the message from all batches before it.

        Args:
            batch: The chunk's batch, never lower than before.
            evaluations: All of one fidelity; in units of one metric.
        """
        if self._batch not in (None, batch) and len(self._observations) <= MOST_OBSERVATIONS:
            self.message = futility_message(self._observations, self._model)
        self._batch = batch
        self._observations.add(evaluations)


def futility_message(observations: Observations, model: GaussianProcess) -> str | None:
    """Say which pure strategy is clearly ahead of everything tried; None if neither is.

    Clear is a lead over the best other mask of ``CLEAR_LEAD`` standard deviations of the difference, by what a Gaussian
    process fitted to all observations expects of both.

    Args:
        observations: Of one fidelity and recipe.
        model: Keeps its variances from call to call, so that most calls need not fit them.
    """
    genomes = observations.genomes
    if not is_worth_a_model(observations) or len(genomes) < 2:
        return None
    belief = model.fit(observations).believe(masks_of(genomes))
    order = np.argsort(-belief.mean, kind="stable")
    first, second = int(order[0]), int(order[1])
    name = _name_of_pure(genomes[first])
    spread = belief.covariance
    variance = spread[first, first] + spread[second, second] - 2 * spread[first, second]
    lead = float(belief.mean[first] - belief.mean[second])
    if name is None or lead <= CLEAR_LEAD * np.sqrt(max(0.0, float(variance))):
        return None
    return (
        f"{name} is clearly ahead of everything tried so far ({lead:.3f} above the next best mask, "
        f"as expected from {len(observations)} evaluations): a gain over it is unlikely"
    )


def _name_of_pure(genome: Genome) -> str | None:
    pure = {transfer_all(genome.n_genes): "transfer-all", keep_all(genome.n_genes): "keep-all"}
    return pure.get(genome)
