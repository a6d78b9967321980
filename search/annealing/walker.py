"""Walking on the landscape that a Gaussian process expects: energies of one mask after the other, fast.

Knows nothing of temperatures or chains.
"""

from __future__ import annotations

import numpy as np

from search.genome import Genome
from search.observations import FloatArray
from search.surrogates.gaussian_process import GaussianProcessFit


class QuadraticLandscape:
    """Expected fitness of a Gaussian process as a polynomial of genes and pairs: a step costs O(G), not O(N^2).

    What a repeated mask has of its own, beyond genes and pairs, is left out.
    """

    def __init__(self, fit: GaussianProcessFit, n_genes: int) -> None:
        """Read the coefficients off one mask and its G neighbours."""
        # Alternating bits: hardly ever a mask that was measured and so has something of its own.
        base = np.arange(n_genes) % 2 == 0
        masks = np.vstack([base, base ^ np.eye(n_genes, dtype=np.bool_)])
        expected = fit.expect(masks)
        spins = np.where(base, 1.0, -1.0)
        self.pairs: FloatArray = fit.pair_effects()
        self.genes: FloatArray = (expected[0] - expected[1:]) / 2 * spins - self.pairs @ spins

    def at(self, genome: Genome) -> QuadraticWalker:
        """Put a walker on a mask."""
        return QuadraticWalker(self, genome)


class QuadraticWalker:
    """Stands on a mask and knows what every step would cost."""

    def __init__(self, landscape: QuadraticLandscape, genome: Genome) -> None:
        """Compute what each gene feels of the others, once."""
        self._pairs = landscape.pairs
        self._spins = np.where(genome.keeps, 1.0, -1.0)
        self._fields = landscape.genes + self._pairs @ self._spins

    @property
    def genome(self) -> Genome:
        """The mask."""
        return Genome(tuple((self._spins > 0).tolist()))

    def worsening(self, genes: range) -> float:
        """Expected energy after flipping genes minus that before; 0 or less improves."""
        part = slice(genes.start, genes.stop)
        if len(genes) == 1:
            return 2 * float(self._spins[genes.start]) * float(self._fields[genes.start])
        spins = self._spins[part]
        # Pairs inside the segment keep their product, but both of their genes have counted it.
        inside = spins @ self._pairs[part, part] @ spins
        return float(2 * (spins @ self._fields[part] - inside))

    def flip(self, genes: range) -> None:
        """Go there."""
        part = slice(genes.start, genes.stop)
        self._fields -= 2 * self._pairs[:, part] @ self._spins[part]
        self._spins[part] *= -1
