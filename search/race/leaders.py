"""The best masks of a search: by what all of its evaluations together say of each, not by each one's own noisy score.

The best score of many noisy ones is mostly luck.  A surrogate fitted to all evaluations knows how much of a score its
neighbours support; choosing by its posterior mean costs no evaluation (White et al., UAI 2021, and
benchmarks/search_quality have the gain).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.evaluation import Evaluation
from search.genome import Genome
from search.observations import Observations, evenly_spaced, masks_of
from search.race.ranking import rank
from search.surrogate import is_worth_a_model
from search.surrogates.gaussian_process import (
    MOST_OBSERVATIONS,
    GaussianProcess,
    GaussianProcessConfig,
)


def leading_masks(evaluations: Sequence[Evaluation]) -> list[Genome]:
    """Masks in the order of their expected fitness, best first; masks with a failed evaluation are left out.

    Args:
        evaluations: Of one fidelity and arm, at any replicates.
    """
    ranked = [standing.genome for standing in rank(evaluations)]
    observations = Observations(evenly_spaced(evaluations, MOST_OBSERVATIONS))
    if not ranked or not is_worth_a_model(observations):
        return ranked
    fit = GaussianProcess(GaussianProcessConfig(), seed=0).fit(observations)
    first, rest = ranked[:MOST_OBSERVATIONS], ranked[MOST_OBSERVATIONS:]
    expected = fit.expect(masks_of(first))
    # Stable: where the model sees no difference, the measured order stays.
    return [first[index] for index in np.argsort(-expected, kind="stable")] + rest
