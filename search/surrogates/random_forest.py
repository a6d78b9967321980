"""A random forest over masks, scikit-learn's: no assumption about which genes act together.

Where it is known what masks lose untrained, trees split by that too.  A mask's belief is the mean over the trees, and
the trees' disagreement tells how sure that is.  Reference: Breiman, "Random Forests", Machine Learning 45 (2001); as a
surrogate: Hutter, Hoos and Leyton-Brown, "Sequential Model-Based Optimization for General Algorithm Configuration",
LION 2011.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from search.observations import BoolArray, FloatArray, IntArray, Observations
from search.surrogate import SURROGATES, Belief, SurrogateConfig
from search.untrained import UntrainedScores

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor


class RandomForestConfig(SurrogateConfig):
    """Options of the random forest."""

    kind: Literal["random_forest"] = "random_forest"
    trees: int = Field(100, ge=10, le=10_000, description="number of trees")
    smallest_leaf: int = Field(
        3, ge=1, le=1000, description="evaluations that a leaf averages at least, against noise"
    )


@SURROGATES.register(RandomForestConfig)
class RandomForest:
    """Grows a new forest at every call."""

    def __init__(self, config: RandomForestConfig, seed: int) -> None:
        """Bind the options and the seed of the trees."""
        self._config, self._seed = config, seed

    def fit(self, observations: Observations) -> RandomForestFit:
        """Fit to the observations, each relative to the mean of its replicate."""
        # scikit-learn takes seconds to import, and most searches never need it.
        from sklearn.ensemble import RandomForestRegressor  # noqa: PLC0415

        masks, fitness = observations.masks, observations.fitness
        scores = observations.untrained.scores()
        targets = fitness - _replicate_effects(fitness, masks, observations.replicates)
        forest = RandomForestRegressor(
            n_estimators=self._config.trees,
            min_samples_leaf=min(self._config.smallest_leaf, max(1, len(observations) // 4)),
            max_features=1 / 3,
            random_state=self._seed,
        )
        inputs = _inputs(masks, scores)
        forest.fit(inputs, targets)
        residuals = targets - forest.predict(inputs)
        return RandomForestFit(forest, scores, float(residuals.std()))


class RandomForestFit:
    """A grown forest; see ``search.surrogate.Fit``."""

    def __init__(
        self, forest: RandomForestRegressor, scores: UntrainedScores, noise: float
    ) -> None:
        """Bind the forest, and what its masks score untrained."""
        self._forest, self._scores, self.noise = forest, scores, noise

    @property
    def ruggedness(self) -> float:
        """Unknown: trees do not tell a mask's own effect from noise."""
        return 0.0

    def expect(self, masks: BoolArray) -> FloatArray:
        """Predict the means of masks ``(M, G)``."""
        mean: FloatArray = self._by_tree(masks).mean(axis=0)
        return mean

    def believe(self, masks: BoolArray) -> Belief:
        """Predict masks ``(M, G)``."""
        by_tree = self._by_tree(masks)
        covariance = np.atleast_2d(np.cov(by_tree, rowvar=False))
        return Belief(by_tree.mean(axis=0), covariance)

    def _by_tree(self, masks: BoolArray) -> FloatArray:
        """What every tree says of every mask, ``(T, M)``."""
        inputs = _inputs(masks, self._scores)
        return np.stack([tree.predict(inputs) for tree in self._forest.estimators_])


def _inputs(masks: BoolArray, scores: UntrainedScores) -> FloatArray:
    """Bits and, where any is known, the score of the untrained loss; of an unknown one the median."""
    if not len(scores):
        return masks.astype(np.float64)
    return np.column_stack([masks, np.nan_to_num(scores.of(masks))])


def _replicate_effects(fitness: FloatArray, masks: BoolArray, replicates: IntArray) -> FloatArray:
    """How far the replicate of each value lies above the first one, by the masks measured at both; 0 if there are none.

    Masks that are measured again are the better ones: the mean of their replicate alone says nothing.
    """
    effects = np.zeros_like(fitness)
    first = {
        row.tobytes(): value
        for row, value, replicate in zip(masks, fitness, replicates, strict=True)
        if replicate == replicates.min()
    }
    for replicate in set(replicates.tolist()) - {int(replicates.min())}:
        at_it = replicates == replicate
        shared = [
            value - first[row.tobytes()]
            for row, value in zip(masks[at_it], fitness[at_it], strict=True)
            if row.tobytes() in first
        ]
        effects[at_it] = float(np.mean(shared)) if shared else 0.0
    return effects
