"""What a search has learnt about each gene and about pairs of genes: effects with intervals, from its surrogate.

An effect is the difference between two expectations of fitness, averaged over all decisions on the other genes.  The
surrogate is linear in the effects, so each has a Gaussian posterior.  It shrinks them towards zero by as much as noise
and the number of evaluations demand, and says what goes together in the evaluations made: of the brief fine-tune, on
validation data, not of the delivered network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from search.evaluation import Evaluation
from search.observations import FloatArray, Observations, evenly_spaced
from search.statistics import CONFIDENCE, Interval
from search.surrogate import is_worth_a_model
from search.surrogates.gaussian_process import (
    MOST_OBSERVATIONS,
    GaussianProcess,
    GaussianProcessConfig,
    GaussianProcessFit,
)

MOST_PAIRS = 5
# Bits are +1 and -1 in the model: a swing is twice a bit's coefficient, an interaction four times a product's.
SWING, INTERACTION = 2.0, 4.0


@dataclass(frozen=True, slots=True)
class PairEffect:
    """How much more two genes gain when decided alike than each decision gains alone.

    ``effect`` is f(11) - f(10) - f(01) + f(00), averaged over the decisions on all other genes, in units of fitness:
    above 0 the two want to be decided alike, below 0 differently.
    """

    genes: tuple[int, int]
    effect: Interval


@dataclass(frozen=True, slots=True)
class Effects:
    """Effects in units of fitness with 95% intervals.

    Attributes:
        genes: Expected fitness if the gene is kept minus if it is transferred, one per gene; empty without a model.
        pairs: The most certain interactions, at most ``MOST_PAIRS``.
    """

    genes: tuple[Interval, ...] = ()
    pairs: tuple[PairEffect, ...] = ()


def estimate_effects(evaluations: Sequence[Evaluation]) -> Effects:
    """Estimate the effects of all genes and of the pairs that stand out.

    Args:
        evaluations: Of one fidelity; those of the arm that most of them have count.

    Returns:
        No effects where there are too few evaluations, or all of them are alike.
    """
    arms = Counter(evaluation.candidate.arm for evaluation in evaluations).most_common(1)
    of_arm = [e for e in evaluations if e.candidate.arm == arms[0][0]]
    observations = Observations(evenly_spaced(of_arm, MOST_OBSERVATIONS))
    if not is_worth_a_model(observations) or np.ptp(observations.fitness) == 0:
        return Effects()
    fit = GaussianProcess(GaussianProcessConfig(), seed=0).fit(observations)
    n_genes = observations.masks.shape[1]
    return Effects(_genes(fit), _strongest_pairs(fit, n_genes))


def _genes(fit: GaussianProcessFit) -> tuple[Interval, ...]:
    belief = fit.believe_genes()
    return _intervals(SWING * belief.mean, SWING * belief.deviation)


def _strongest_pairs(fit: GaussianProcessFit, n_genes: int) -> tuple[PairEffect, ...]:
    """The pairs with the largest ratio of mean to deviation, the surest first."""
    rows, columns = np.triu_indices(n_genes, 1)
    if len(rows) == 0:
        return ()
    # Deviations of pairs differ little: the largest means hold the surest.
    means = np.abs(fit.pair_effects()[rows, columns])
    candidates = np.argsort(-means, kind="stable")[: 10 * MOST_PAIRS]
    rows, columns = rows[candidates], columns[candidates]
    belief = fit.believe_pairs(rows, columns)
    certainty = np.abs(belief.mean) / np.maximum(belief.deviation, 1e-300)
    intervals = _intervals(INTERACTION * belief.mean, INTERACTION * belief.deviation)
    return tuple(
        PairEffect((int(rows[i]), int(columns[i])), intervals[i])
        for i in np.argsort(-certainty, kind="stable")[:MOST_PAIRS]
    )


def _intervals(means: FloatArray, deviations: FloatArray) -> tuple[Interval, ...]:
    margin = float(ndtri((1 + CONFIDENCE) / 2))
    return tuple(
        Interval(mean, mean - margin * deviation, mean + margin * deviation)
        for mean, deviation in zip(means.tolist(), deviations.tolist(), strict=True)
    )
