"""How strongly genes act together, as far as a surrogate knows."""

from __future__ import annotations

import numpy as np

from search.observations import FloatArray
from search.optimizer import SearchProblem
from search.surrogate import Fit
from search.surrogates.gaussian_process import GaussianProcessFit


def linkage_of(fit: Fit | None, problem: SearchProblem) -> FloatArray:
    """Strength of each pair, ``(G, G)`` from 0 to 1; neighbours in the network where the surrogate knows no pairs."""
    n_genes = problem.n_genes
    if isinstance(fit, GaussianProcessFit) and n_genes > 1:
        strength = np.abs(fit.pair_effects())
        largest = float(strength.max())
        if largest > 0:
            return strength / largest
    neighbours = np.zeros((n_genes, n_genes))
    places = np.arange(n_genes - 1)
    neighbours[places, places + 1] = neighbours[places + 1, places] = 0.5
    return neighbours
