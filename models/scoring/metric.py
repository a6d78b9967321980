"""The seam for metrics: how good predictions are, as one number, higher is better everywhere.

Averages over classes are over the classes that have samples in the part that is judged: one that has none would count
as 0 for every candidate alike, and how many classes there are would depend on what a candidate happens to predict.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from torch import Tensor

from models.scoring.predictions import Predictions
from search.registry import PluginConfig, Registry


class MetricConfig(PluginConfig):
    """Base of every metric's name; a spec gives the ``kind`` alone, as ``fitness.metric``."""


class Metric(Protocol):
    """Scores predictions; every candidate by its own alone.

    Attributes:
        is_share: Values are from 0 to 1, so that they can be averaged with an accuracy.
        most_classes: More than these take too much memory; None for any number.
    """

    is_share: ClassVar[bool]
    most_classes: ClassVar[int | None]

    def values(self, predictions: Predictions) -> Tensor:
        """Give the metric per candidate, float64 ``(P,)``."""
        ...

    def sample_scores(self, predictions: Predictions) -> Tensor:
        """Give scores of single samples, for intervals.

        For a metric that is no mean over samples, these are its linearisation: how it changes with the weight of a
        sample, shifted to the right mean.  The variance of their mean then is the metric's, by the delta method.
        References: Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", SIAM 1982, ch. 6 (infinitesimal
        jackknife); Takahashi et al., "Confidence interval for micro-averaged F1 and macro-averaged F1 scores", Applied
        Intelligence 52 (2022).

        Returns:
            Float64 ``(P, N)``; the mean over samples is the value.
        """
        ...


METRICS: Registry[Metric] = Registry("fitness.metric", "models.metrics")


def build_metric(name: str) -> Metric:
    """Construct the metric that a spec names."""
    return METRICS.plugin(name)()
