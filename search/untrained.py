"""What masks score before any training, in a form that a surrogate can learn from.

The validation loss of a network as grafted costs one pass over the validation part, a few percent of a brief fine-tune.
In neural architecture search such measures are zero-cost proxies: Abdelfattah et al., "Zero-Cost Proxies for
Lightweight NAS", ICLR 2021.  By itself the loss ranks masks badly, and on some tasks the other way round; a surrogate
finds out what it is worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from search.evaluation import Evaluation
from search.genome import Genome


class UntrainedLosses:
    """Validation losses of masks as grafted; not thread safe."""

    def __init__(self) -> None:
        """Start without any."""
        self._losses: dict[Genome, float | None] = {}
        self._scores: UntrainedScores | None = None

    def add(self, evaluation: Evaluation) -> None:
        """Take in what was measured without training; a mask that failed is the worst of all."""
        failed = evaluation.fitness is None
        self._losses[evaluation.candidate.genome] = math.inf if failed else evaluation.loss
        self._scores = None

    def __contains__(self, genome: object) -> bool:
        """Whether a mask has been measured, be it that nothing came of it."""
        return genome in self._losses

    def __len__(self) -> int:
        """Number of masks that have been measured."""
        return len(self._losses)

    def scores(self) -> UntrainedScores:
        """Give the scores of all masks measured so far; what is added later does not change them."""
        if self._scores is None:
            known = {genome: loss for genome, loss in self._losses.items() if loss is not None}
            self._scores = UntrainedScores(known)
        return self._scores


class UntrainedScores:
    """Normal scores of the masks' losses, among all of them: losses of broken networks know no bounds.

    The quantile of the standard normal distribution at (rank - 1/2) / number, the rankit: Ipsen and Jerne, "Graphical
    Evaluation of the Distribution of Small Experimental Series", Acta Pathologica et Microbiologica Scandinavica 21
    (1944).  Equal losses have equal scores.
    """

    def __init__(self, losses: Mapping[Genome, float]) -> None:
        """Rank the losses."""
        values = np.array(list(losses.values()))
        ordered = np.sort(values)
        # Half way between the places before and after all equal ones.
        places = (ordered.searchsorted(values) + ordered.searchsorted(values, side="right")) / 2
        normal = ndtri(places / max(1, len(values)))
        # By the bytes of a mask's row in a bool array.
        rows = (bytes(genome.keeps) for genome in losses)
        self._scores = dict(zip(rows, normal.tolist(), strict=True))

    def __len__(self) -> int:
        """Number of masks with a score."""
        return len(self._scores)

    def of(self, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Scores of masks ``(M, G)``, ``(M,)``, low for a low loss; NaN where unknown."""
        return np.array([self._scores.get(row.tobytes(), math.nan) for row in masks])
