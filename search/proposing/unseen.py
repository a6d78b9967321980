"""Random masks that nobody has proposed yet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.genome import Genome
from search.observations import Observations


def filled_up(
    genomes: Sequence[Genome],
    count: int,
    seen: Observations,
    n_genes: int,
    rng: np.random.Generator,
) -> list[Genome]:
    """Add unproposed masks until there are ``count``, or no more.

    Args:
        genomes: Different masks that nobody has proposed.
        count: How many there shall be.
        seen: Knows what was proposed.
        n_genes: Length of a mask.
        rng: Draws them, uniformly; where a draw is taken, it walks on by random flips.
    """
    found = dict.fromkeys(genomes)
    while len(found) < count and seen.n_asked + len(found) < 2**n_genes:
        genome = Genome.from_bits(rng.random(n_genes) < 0.5)
        while seen.was_asked(genome) or genome in found:
            genome = genome.flipped(int(rng.integers(n_genes)))
        found[genome] = None
    return list(found)
