"""A Gaussian process over masks: genes, pairs of genes, neighbours once more, the loss as grafted, replicates, noise.

With bits as +-1, fitness is modelled as a sum of independent Gaussian effects.  Each kind of effect has one variance;
the variances maximise the marginal likelihood times a weak log-normal prior, so that what the data do not show stays
small.  Neighbours in the network's order have a kind of their own because co-adaptation is mostly between adjacent
layers (Yosinski et al., NeurIPS 2014).  What a mask loses before any training has an effect where that is known, any
smooth one: networks that are broken, or work at once, are alike in that whatever their genes.

Reference: Rasmussen and Williams, "Gaussian Processes for Machine Learning", MIT Press 2006, ch. 2 and 5; a kernel of
pairs for binary inputs: Baptista and Poloczek, ICML 2018.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from search.observations import BoolArray, FloatArray, IntArray, Observations
from search.surrogate import SURROGATES, Belief, SurrogateConfig
from search.untrained import UntrainedScores

# Kinds of effect with the variance expected before any data, as a share of the variance of fitness.
EXPECTED_SHARES = {
    "genes": 0.5,
    "pairs": 0.2,
    "neighbours": 0.1,
    "untrained": 0.2,
    "mask": 0.2,
    "replicate": 0.05,
    "noise": 0.3,
}
# Standard deviation of the logarithm of a variance before any data: a factor of about 20 each way is plausible.
LOG_DEVIATION = 1.5
SMALLEST_SHARE, LARGEST_SHARE = 1e-6, 1e2
# Variances are fitted anew when the observations have grown by this factor; between, they are kept.
GROWTH_BEFORE_REFIT = 1.2
MOST_ITERATIONS = 40
# A fit takes time with the cube of this, and memory with its square; of more observations the last ones count.
MOST_OBSERVATIONS = 1000
# Kinds of effect that a mask has, and the one of them that no other mask shares.
OF_MASKS, OWN = ("genes", "pairs", "neighbours", "untrained", "mask"), "mask"
# Masks whose untrained losses are so far apart, in normal scores, have little to do with each other.
SCORE_LENGTH = 0.5
# The level of fitness is known to about its own spread before any data.
LEVEL_SHARE = 1.0


class GaussianProcessConfig(SurrogateConfig):
    """Options of the Gaussian process; its variances are fitted."""

    kind: Literal["gaussian_process"] = "gaussian_process"


@SURROGATES.register(GaussianProcessConfig)
class GaussianProcess:
    """Fits variances now and then, effects at every call."""

    def __init__(self, config: GaussianProcessConfig, seed: int) -> None:  # noqa: ARG002 - the same for every surrogate
        """Start without knowledge; nothing is drawn."""
        self._shares: dict[str, float] = {}
        self._n_fitted = 0

    def fit(self, observations: Observations) -> GaussianProcessFit:
        """Fit to the observations; variances start from those of the last call."""
        with _one_blas_thread():
            data = _Data.of(observations.last(MOST_OBSERVATIONS))
            if len(observations) >= GROWTH_BEFORE_REFIT * self._n_fitted or (
                self._shares.keys() != data.kernels.keys()
            ):
                self._shares = _likeliest_shares(data, self._shares)
                self._n_fitted = len(observations)
            return GaussianProcessFit(data, self._shares)


@dataclass(frozen=True, slots=True)
class _Masks:
    """Masks as the model sees them.

    Attributes:
        spins: ``(M, G)``: bits as +-1.
        scores: ``(M,)``: of their untrained losses, NaN where unknown; None where that of no observed mask is known.
    """

    spins: FloatArray
    scores: FloatArray | None

    @classmethod
    def of(cls, masks: BoolArray, scores: UntrainedScores | None) -> _Masks:
        return cls(np.where(masks, 1.0, -1.0), None if scores is None else scores.of(masks))


@dataclass(frozen=True, slots=True)
class _Data:
    """Observations as the model sees them: standardised fitness of masks, one kernel matrix per kind of effect."""

    masks: _Masks
    scores: UntrainedScores | None
    targets: FloatArray
    level: float
    scale: float
    kernels: dict[str, FloatArray]

    @classmethod
    def of(cls, observations: Observations) -> _Data:
        scores: UntrainedScores | None = observations.untrained.scores()
        masks = _Masks.of(observations.masks, scores)
        if masks.scores is not None and np.isnan(masks.scores).all():
            scores, masks = None, _Masks(masks.spins, None)
        fitness = observations.fitness
        # Where all scores are alike, any scale will do.
        scale = float(fitness.std()) or 1.0
        kernels = _kernels_of_masks(masks, masks)
        if len(set(observations.replicates.tolist())) > 1:
            kernels["replicate"] = _same_replicate(observations.replicates)
        kernels["noise"] = np.eye(len(fitness))
        level = float(fitness.mean())
        return cls(masks, scores, (fitness - level) / scale, level, scale, kernels)


class GaussianProcessFit:
    """Effects of genes and pairs given the data; see ``search.surrogate.Fit``."""

    def __init__(self, data: _Data, shares: dict[str, float]) -> None:
        """Factorise the covariance of the observations."""
        self._data, self._shares = data, shares
        total = _covariance(np.stack(list(data.kernels.values())), np.array(list(shares.values())))
        self._factor = cho_factor(total, lower=True, check_finite=False)
        self._weights = cho_solve(self._factor, data.targets, check_finite=False)

    @property
    def noise(self) -> float:
        """Standard deviation of one evaluation around its mask's fitness at one replicate."""
        return float(np.sqrt(self._shares["noise"])) * self._data.scale

    @property
    def ruggedness(self) -> float:
        """Share of the variance between masks that neither genes nor pairs nor untrained losses explain."""
        return self._shares[OWN] / sum(self._shares.get(kind, 0.0) for kind in OF_MASKS)

    @property
    def shares(self) -> dict[str, float]:
        """Fitted variance of each kind of effect, relative to the variance of the observed fitness."""
        return dict(self._shares)

    def expect(self, masks: BoolArray) -> FloatArray:
        """Predict the means of masks ``(M, G)`` at an average replicate."""
        with _one_blas_thread():
            mean: FloatArray = self._between(self._seen_as(masks), self._data.masks) @ self._weights
        return self._data.level + self._data.scale * mean

    def believe(self, masks: BoolArray) -> Belief:
        """Predict masks ``(M, G)`` at an average replicate."""
        with _one_blas_thread():
            seen = self._seen_as(masks)
            to_data = self._between(seen, self._data.masks)
            mean = to_data @ self._weights
            explained = to_data @ cho_solve(self._factor, to_data.T, check_finite=False)
            covariance = self._between(seen, seen) - explained
        scale = self._data.scale
        return Belief(self._data.level + scale * mean, scale**2 * covariance)

    def believe_genes(self) -> Belief:
        """Predict what every gene is worth: coefficients of its bit as +-1, ``(G,)``, in units of fitness."""
        spins = self._data.masks.spins
        return self._believe_features(spins, self._effect_variances(spins.shape[1])[0])

    def believe_pairs(self, rows: IntArray, columns: IntArray) -> Belief:
        """Predict pairs of genes: coefficients of the product of their bits as +-1, ``(M,)``, in units of fitness.

        Args:
            rows: ``(M,)``: first gene of each pair.
            columns: ``(M,)``: second one, larger than the first.
        """
        spins = self._data.masks.spins
        _, variances = self._effect_variances(spins.shape[1])
        return self._believe_features(spins[:, rows] * spins[:, columns], variances[rows, columns])

    def _believe_features(self, features: FloatArray, variances: FloatArray) -> Belief:
        """Predict the coefficients of features ``(N, K)`` of the observations, given their prior variances."""
        with _one_blas_thread():
            to_data = (features * variances).T
            mean = to_data @ self._weights
            explained = to_data @ cho_solve(self._factor, to_data.T, check_finite=False)
        scale = self._data.scale
        return Belief(scale * mean, scale**2 * (np.diag(variances) - explained))

    def pair_effects(self) -> FloatArray:
        """Expected coefficient of every pair's product of bits, ``(G, G)``, symmetric, in units of fitness."""
        spins = self._data.masks.spins
        _, variances = self._effect_variances(spins.shape[1])
        with _one_blas_thread():
            products = (spins * self._weights[:, None]).T @ spins
        effects: FloatArray = self._data.scale * variances * products
        return effects

    def _seen_as(self, masks: BoolArray) -> _Masks:
        return _Masks.of(masks, self._data.scores)

    def _between(self, rows: _Masks, columns: _Masks) -> FloatArray:
        """Covariance of the fitness of masks, without replicate and noise."""
        kernels = _kernels_of_masks(rows, columns)
        shares = np.array([self._shares[name] for name in kernels])
        return _covariance(np.stack(list(kernels.values())), shares)

    def _effect_variances(self, n_genes: int) -> tuple[FloatArray, FloatArray]:
        """Prior variances of every gene's coefficient, ``(G,)``, and of every pair's, ``(G, G)``, 0 on the diagonal."""
        of_pairs = np.full((n_genes, n_genes), self._shares["pairs"] / _n_pairs(n_genes))
        np.fill_diagonal(of_pairs, 0.0)
        places = np.arange(n_genes - 1)
        of_neighbours = self._shares["neighbours"] / max(1, n_genes - 1)
        of_pairs[places, places + 1] += of_neighbours
        of_pairs[places + 1, places] += of_neighbours
        return np.full(n_genes, self._shares["genes"] / n_genes), of_pairs


def _n_pairs(n_genes: int) -> int:
    """Number of pairs; 1 for a single gene, of which none are weighed."""
    return max(1, n_genes * (n_genes - 1) // 2)


def _agreements(spins: FloatArray) -> FloatArray:
    """Of every two neighbours, whether their bits agree, as +-1."""
    products: FloatArray = spins[:, 1:] * spins[:, :-1]
    return products


def _kernels_of_masks(rows: _Masks, columns: _Masks) -> dict[str, FloatArray]:
    """One ``(M, N)`` matrix per kind of effect that a mask has, each 1 between a mask and itself."""
    n_genes = rows.spins.shape[1]
    overlap = rows.spins @ columns.spins.T
    neighbours = _agreements(rows.spins) @ _agreements(columns.spins).T
    is_same = (overlap == n_genes).astype(np.float64)
    kernels = {
        "genes": overlap / n_genes,
        "pairs": (overlap**2 - n_genes) / (2 * _n_pairs(n_genes)),
        "neighbours": neighbours / max(1, n_genes - 1),
    }
    if rows.scores is not None and columns.scores is not None:
        distance = np.subtract.outer(rows.scores, columns.scores) / SCORE_LENGTH
        # Of a mask whose loss is unknown, the effect says nothing about other masks.
        kernels["untrained"] = np.where(np.isnan(distance), is_same, np.exp(-(distance**2) / 2))
    return kernels | {"mask": is_same}


def _same_replicate(replicates: IntArray) -> FloatArray:
    return np.equal.outer(replicates, replicates).astype(np.float64)


def _covariance(kernels: FloatArray, shares: FloatArray) -> FloatArray:
    """Sum the kernels ``(K, M, N)`` by their shares ``(K,)``, and the level that all masks have in common."""
    total: FloatArray = np.tensordot(shares, kernels, axes=1) + LEVEL_SHARE
    return total


class Likelihood:
    """Minus the logarithm of marginal likelihood times prior, as a function of the logarithms of the variances.

    Rasmussen and Williams, eq. 5.8 and 5.9.
    """

    def __init__(self, data: _Data) -> None:
        """Bind the data; variances come in the order of its kernels."""
        self._targets = data.targets
        self._kernels = np.stack(list(data.kernels.values()))
        self.expected: FloatArray = np.log([EXPECTED_SHARES[name] for name in data.kernels])

    def __call__(self, logs: FloatArray) -> tuple[float, FloatArray]:
        """Give the value, up to a constant, and its gradient."""
        shares = np.exp(logs)
        lower, failed = lapack.dpotrf(_covariance(self._kernels, shares), lower=1)
        if failed:
            return 1e12, np.zeros_like(logs)
        weights = cho_solve((lower, True), self._targets, check_finite=False)
        inverse, _ = lapack.dpotri(lower, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        misfit = self._targets @ weights + 2 * np.log(np.diagonal(lower)).sum()
        mismatch = (inverse - np.outer(weights, weights)).ravel()
        slope = shares * (self._kernels.reshape(len(shares), -1) @ mismatch)
        distance = (logs - self.expected) / LOG_DEVIATION
        value = 0.5 * float(misfit + distance @ distance)
        return value, 0.5 * slope + distance / LOG_DEVIATION


def _likeliest_shares(data: _Data, start: dict[str, float]) -> dict[str, float]:
    """Maximise the likelihood, from the variances that were likeliest before."""
    cost = Likelihood(data)
    first = [
        np.log(start[name]) if name in start else expected
        for name, expected in zip(data.kernels, cost.expected, strict=True)
    ]
    bounds = [(np.log(SMALLEST_SHARE), np.log(LARGEST_SHARE))] * len(first)
    options = {"maxiter": MOST_ITERATIONS}
    found = minimize(cost, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return dict(zip(data.kernels, np.exp(found.x).tolist(), strict=True))


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


def _one_blas_thread() -> AbstractContextManager[object]:
    """Linear algebra on one thread: its last bits, and so what a search asks next, must not depend on the cores."""
    limit: AbstractContextManager[object] = _thread_pools().limit(limits=1, user_api="blas")
    return limit
