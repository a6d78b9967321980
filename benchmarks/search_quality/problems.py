"""Synthetic noisy problems over masks whose optimum is known.

Fitness is a sum of terms over three genes in a row, so dynamic programming finds the optimum for any length.  Four
families: independent genes; neighbours that want to be decided alike or differently; blocks of three that pay only
when all three are right; NK landscapes (Kauffman, 1993) with K = 2.  Genes are then shuffled and their bits flipped at
random: an optimizer that profits from order or from all-zeros does not profit here (Papenmeier et al., Bounce, NeurIPS
2023).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from search.genome import Genome
from search.observations import BoolArray, FloatArray, IntArray

WINDOW = 3
N_RANDOM_MASKS = 4096


@dataclass(frozen=True)
class Problem:
    """A landscape over masks of ``n_genes`` genes.

    Attributes:
        tables: ``(G - 2, 8)``: value of each window of three genes, by the number its bits spell.
        order: ``(G,)``: which gene stands at each place of the chain.
        flips: ``(G,)``: whether the gene's bit means its opposite.
    """

    tables: FloatArray
    order: IntArray
    flips: BoolArray

    @property
    def n_genes(self) -> int:
        """Length of a mask."""
        return len(self.order)

    def values(self, masks: BoolArray) -> FloatArray:
        """Fitness without noise of masks ``(M, G)``."""
        chain = (masks ^ self.flips)[:, self.order].astype(np.int64)
        numbers = 4 * chain[:, :-2] + 2 * chain[:, 1:-1] + chain[:, 2:]
        windows = np.arange(len(self.tables))
        total: FloatArray = self.tables[windows, numbers].sum(axis=1)
        return total

    @cached_property
    def optimum(self) -> float:
        """The largest value, by dynamic programming over the last two bits."""
        best = np.zeros(4)
        for table in self.tables:
            # Axes: bit leaving the window, the two that stay or come.
            best = (best.reshape(2, 2, 1) + table.reshape(2, 2, 2)).max(axis=0).reshape(4)
        return float(best.max())

    @cached_property
    def random_values(self) -> FloatArray:
        """Values of masks drawn uniformly, always the same."""
        return self.values(np.random.default_rng(0).random((N_RANDOM_MASKS, self.n_genes)) < 0.5)

    def quality(self, mask: BoolArray) -> float:
        """0 for the mean of random masks, 1 for the optimum."""
        mean = float(self.random_values.mean())
        return (float(self.values(mask[None])[0]) - mean) / (self.optimum - mean)

    def value(self, genome: Genome) -> float:
        """Fitness without noise of one mask."""
        return float(self.values(np.array([genome.keeps], dtype=np.bool_))[0])

    def quality_of(self, genome: Genome) -> float:
        """``quality`` of a genome."""
        return self.quality(np.array(genome.keeps, dtype=np.bool_))


def _linear(n_genes: int, rng: np.random.Generator) -> FloatArray:
    return _spread(rng.normal(size=n_genes), n_genes)


def _neighbours(n_genes: int, rng: np.random.Generator) -> FloatArray:
    tables = _spread(rng.normal(size=n_genes) / 2, n_genes)
    couplings = rng.normal(size=n_genes - 1)
    for number in range(8):
        first, second, third = _bits(number)
        tables[:, number] += couplings[:-1] * (1 if first == second else -1) / 2
        tables[-1, number] += couplings[-1] * (1 if second == third else -1) / 2
    return tables


def _blocks(n_genes: int, rng: np.random.Generator) -> FloatArray:
    tables = np.zeros((n_genes - 2, 8))
    for start in range(0, n_genes - 2, WINDOW):
        weight = rng.exponential()
        for number in range(8):
            n_right = sum(_bits(number))
            tables[start, number] = weight * (1.0 if n_right == WINDOW else 0.2 * n_right / WINDOW)
    return tables


def _nk(n_genes: int, rng: np.random.Generator) -> FloatArray:
    return rng.random((n_genes - 2, 8))


def _spread(weights: FloatArray, n_genes: int) -> FloatArray:
    """Tables in which every gene's own weight counts once."""
    tables = np.zeros((n_genes - 2, 8))
    for number in range(8):
        first, second, third = _bits(number)
        tables[:, number] = weights[:-2] * first
        tables[-1, number] += weights[-2] * second + weights[-1] * third
    return tables


def _bits(number: int) -> tuple[int, int, int]:
    return number >> 2 & 1, number >> 1 & 1, number & 1


FAMILIES: dict[str, Callable[[int, np.random.Generator], FloatArray]] = {
    "linear": _linear,
    "neighbours": _neighbours,
    "blocks": _blocks,
    "nk": _nk,
}


def draw_problem(family: str, n_genes: int, seed: int) -> Problem:
    """Draw one landscape of a family; at least three genes."""
    rng = np.random.default_rng([list(FAMILIES).index(family), n_genes, seed])
    tables = FAMILIES[family](n_genes, rng)
    return Problem(tables, rng.permutation(n_genes), rng.random(n_genes) < 0.5)
