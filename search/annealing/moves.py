"""Moves of annealing chains: which mask is proposed from a mask.

Blind moves flip one gene, or a segment of neighbours in the network's order, because co-adaptation is mostly between
adjacent layers (Yosinski et al., NeurIPS 2014).  Genes that gradients call salient can be tried more often; a gene's
chance does not depend on the mask, so that every move is as likely as its reverse.

With a surrogate a proposal is a *walk* of such moves: Metropolis steps at the chain's own temperature on the expected
energies, which cost nothing.  The mask where the walk ends is measured for real, and simanneal judges what the
surrogate had not expected.  Reference: "surrogate transition", Liu, "Monte Carlo Strategies in Scientific Computing",
Springer 2001, section 9.4.3; Christen and Fox, "Markov chain Monte Carlo using an approximation", JCGS 14 (2005).
Surrogates on which a walk would be slow choose among a few blind moves instead: Zanella, "Informed proposals for local
MCMC in discrete spaces", JASA 115 (2020).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import accumulate

from search.annealing.chain import Proposal
from search.annealing.walker import QuadraticWalker
from search.genome import Genome

# A walk that stands on a mask that needs no measurement goes on, up to so many times its length.
LONGEST_DETOUR = 5
# Blind moves among which an informed choice is made.
N_CHOICES = 64


def flipped_together(genome: Genome, genes: range) -> Genome:
    """Give the mask that decides a range of genes the other way."""
    keeps = list(genome.keeps)
    for gene in genes:
        keeps[gene] = not keeps[gene]
    return Genome(tuple(keeps))


class BlindMoves:
    """Flips of single genes and of segments, drawn without regard to fitness."""

    def __init__(
        self,
        n_genes: int,
        *,
        segment_probability: float = 0.0,
        longest_segment: int = 2,
        saliencies: Sequence[float] | None = None,
        saliency_weight: float = 0.0,
    ) -> None:
        """Set the chances.

        Args:
            n_genes: Length of a mask.
            segment_probability: Chance that a move flips a segment of 2 to ``longest_segment`` genes.
            longest_segment: At least 2.
            saliencies: One per gene, at least 0; None where they are not known.
            saliency_weight: From 0, all genes alike, to 1, in proportion to the saliencies.
        """
        self._n_genes = n_genes
        self._longest = min(longest_segment, n_genes)
        self._segment_probability = segment_probability if self._longest > 1 else 0.0
        chances = _chances(n_genes, saliencies, saliency_weight)
        self._cumulative = list(accumulate(chances))

    def __call__(self, genome: Genome, temperature: float) -> Proposal:  # noqa: ARG002 - the same for every proposer
        """Propose one mask, which always differs."""
        return Proposal(flipped_together(genome, self.draw()))

    def draw(self) -> range:
        """Draw the genes that one move flips, from the global ``random`` module."""
        if self._segment_probability and random.random() < self._segment_probability:
            length = random.randint(2, self._longest)
            start = random.randrange(self._n_genes - length + 1)
            return range(start, start + length)
        (gene,) = random.choices(range(self._n_genes), cum_weights=self._cumulative)
        return range(gene, gene + 1)


def _chances(
    n_genes: int, saliencies: Sequence[float] | None, saliency_weight: float
) -> list[float]:
    total = 0.0 if saliencies is None else sum(saliencies)
    if saliencies is None or not 0 < total < math.inf:
        return [1 / n_genes] * n_genes
    return [(1 - saliency_weight) / n_genes + saliency_weight * own / total for own in saliencies]


class SurrogateWalk:
    """Proposes the end of a walk over the expected energies of a quadratic landscape."""

    def __init__(
        self,
        moves: BlindMoves,
        walker_at: Callable[[Genome], QuadraticWalker],
        is_taken: Callable[[Genome], bool],
        length: int,
    ) -> None:
        """Bind what the walk consults.

        Args:
            moves: Its single steps.
            walker_at: Puts a walker on a mask.
            is_taken: Whether a mask has been asked for; walks try to end elsewhere.
            length: Steps of a walk, refused ones included.
        """
        self._moves, self._length = moves, length
        self._walker_at, self._is_taken = walker_at, is_taken

    def __call__(self, genome: Genome, temperature: float) -> Proposal:
        """Propose a mask; a taken one, perhaps the same, where the walk found no other."""
        walker, climbed, is_unchecked = self._walker_at(genome), 0.0, True
        for step in range(LONGEST_DETOUR * self._length):
            if step >= self._length and is_unchecked:
                if not self._is_taken(walker.genome):
                    break
                is_unchecked = False
            genes = self._moves.draw()
            worsening = walker.worsening(genes)
            if worsening <= 0 or random.random() < math.exp(-worsening / temperature):
                walker.flip(genes)
                climbed += worsening
                is_unchecked = True
        return Proposal(walker.genome, climbed)


class InformedChoice:
    """Proposes one of several blind moves, likelier the lower the energy that a surrogate expects."""

    def __init__(
        self,
        moves: BlindMoves,
        expected_energies: Callable[[Sequence[Genome]], list[float]],
        is_taken: Callable[[Genome], bool],
    ) -> None:
        """Bind what the choice consults; masks that were asked for are chosen only where there are no others."""
        self._moves, self._energies, self._is_taken = moves, expected_energies, is_taken

    def __call__(self, genome: Genome, temperature: float) -> Proposal:
        """Propose a mask that differs, with chances in proportion to exp(-worsening / 2T)."""
        drawn = [flipped_together(genome, self._moves.draw()) for _ in range(N_CHOICES)]
        choices = [mask for mask in drawn if not self._is_taken(mask)] or drawn
        before, *after = self._energies([genome, *choices])
        lowest = min(after)
        chances = [math.exp(-(energy - lowest) / (2 * temperature)) for energy in after]
        (index,) = random.choices(range(len(choices)), chances)
        return Proposal(choices[index], after[index] - before)
