"""The seam of surrogates: models that predict a mask's fitness from the noisy evaluations made so far.

A surrogate is fitted anew whenever an optimizer has learned something; it sees masks, replicates, fitness and what
masks lose untrained, nothing else.  What it says of a mask is a *belief*: what the fitness is without the noise of one
evaluation, and how sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from search.observations import BoolArray, FloatArray, Observations
from search.registry import PluginConfig, Registry

# Fewer evaluations than this are not worth a model.
LEAST_OBSERVATIONS = 8


class SurrogateConfig(PluginConfig):
    """Base of every surrogate's options."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What a surrogate says of masks, in units of fitness.

    Attributes:
        mean: ``(M,)``: expected fitness without the noise of an evaluation.
        covariance: ``(M, M)``: of the errors of ``mean``.
    """

    mean: FloatArray
    covariance: FloatArray

    @property
    def deviation(self) -> FloatArray:
        """``(M,)``: standard deviation of the error of ``mean``."""
        return np.sqrt(np.maximum(np.diagonal(self.covariance), 0.0))


class Fit(Protocol):
    """A surrogate fitted to evaluations."""

    @property
    def noise(self) -> float:
        """Standard deviation of one evaluation around its mask's fitness at one replicate, as estimated."""
        ...

    @property
    def ruggedness(self) -> float:
        """Share of the variance between masks, 0 to 1, that each has for itself, whatever its genes; 0 if unknown."""
        ...

    def expect(self, masks: BoolArray) -> FloatArray:
        """Give the mean of ``believe`` alone, ``(M,)``, for less: no covariance is computed."""
        ...

    def believe(self, masks: BoolArray) -> Belief:
        """Predict masks ``(M, G)``; equal input gives equal output."""
        ...


class Surrogate(Protocol):
    """Fits a model.

    The promise: what ``fit`` gives depends only on the options, the seed and the observations of this call and the
    earlier ones, in order, whatever the number of cores.
    """

    def fit(self, observations: Observations) -> Fit:
        """Fit to at least ``LEAST_OBSERVATIONS`` fitness values of at least two different masks."""
        ...


SURROGATES: Registry[Surrogate] = Registry("surrogate", "search.surrogates")


def build_surrogate(config: SurrogateConfig, seed: int) -> Surrogate:
    """Construct the surrogate that options name."""
    plugin: Any = SURROGATES.plugin(config.kind)
    surrogate: Surrogate = plugin(config, seed)
    return surrogate


class FittedSurrogate:
    """A surrogate of what an optimizer has seen, fitted anew only where something has been added since."""

    def __init__(self, config: SurrogateConfig | None, seen: Observations, seed: int) -> None:
        """Bind the options, None for no surrogate, and what it is fitted to."""
        self._surrogate = None if config is None else build_surrogate(config, seed)
        self._seen = seen
        self._fit: Fit | None = None
        self._n_fitted = (0, 0)

    def fit(self) -> Fit | None:
        """Fit to all that has been seen; None without a surrogate, or where there is too little to fit it to."""
        if self._surrogate is None or not is_worth_a_model(self._seen):
            return None
        n_seen = (len(self._seen), len(self._seen.untrained))
        if self._fit is None or n_seen != self._n_fitted:
            self._fit, self._n_fitted = self._surrogate.fit(self._seen), n_seen
        return self._fit


def is_worth_a_model(observations: Observations) -> bool:
    """Whether there is enough to fit a surrogate to."""
    return len(observations) >= LEAST_OBSERVATIONS and len(observations.genomes) > 1
