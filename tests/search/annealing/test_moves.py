"""Tests of the moves of annealing chains and of walks on a surrogate."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from typing import cast

import numpy as np
import pytest

from search.annealing.moves import BlindMoves, InformedChoice, SurrogateWalk, flipped_together
from search.annealing.walker import QuadraticLandscape, QuadraticWalker
from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome, keep_all, transfer_all
from search.observations import FloatArray, Observations
from search.surrogates.gaussian_process import GaussianProcess, GaussianProcessConfig

N_DRAWS = 6000


def drawn(moves: BlindMoves) -> Counter[range]:
    random.seed(3)
    return Counter(moves.draw() for _ in range(N_DRAWS))


def test_single_flips_follow_the_saliencies_as_far_as_their_weight_goes() -> None:
    moves = BlindMoves(4, saliencies=(0.0, 1.0, 3.0, 0.0), saliency_weight=0.8)
    counts = drawn(moves)
    shares = [counts[range(gene, gene + 1)] / N_DRAWS for gene in range(4)]
    assert shares == pytest.approx([0.05, 0.25, 0.65, 0.05], abs=0.03)


@pytest.mark.parametrize("saliencies", [None, (0.0, 0.0, 0.0), (math.inf, 1.0, 1.0)])
def test_without_usable_saliencies_all_genes_are_alike(
    saliencies: tuple[float, ...] | None,
) -> None:
    counts = drawn(BlindMoves(3, saliencies=saliencies, saliency_weight=1.0))
    assert [counts[range(g, g + 1)] / N_DRAWS for g in range(3)] == pytest.approx(
        [1 / 3] * 3, abs=0.03
    )


def test_segments_are_neighbours_of_every_length_and_place() -> None:
    counts = drawn(BlindMoves(5, segment_probability=1.0, longest_segment=3))
    places = {range(s, s + length) for length in (2, 3) for s in range(5 - length + 1)}
    assert set(counts) == places
    assert flipped_together(keep_all(5), range(1, 3)) == Genome.from_bitstring("10011")


def test_one_gene_can_only_be_flipped() -> None:
    moves = BlindMoves(1, segment_probability=1.0, longest_segment=5)
    assert moves(keep_all(1), 1.0).genome == transfer_all(1)


def observed(n_genes: int, count: int, replicates: int = 1) -> Observations:
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(n_genes, n_genes))
    evaluations = []
    for genome in {Genome.from_bits(rng.random(n_genes) < 0.5) for _ in range(count)}:
        spins = np.where(genome.keeps, 1.0, -1.0)
        for replicate in range(replicates):
            fitness = float(spins @ weights @ spins + rng.normal())
            candidate = Candidate(genome, 3, replicate)
            evaluations.append(Evaluation(candidate, Outcome.MEASURED, fitness, 0.0))
    return Observations(sorted(evaluations, key=lambda e: e.candidate.key))


@pytest.mark.parametrize("replicates", [1, 2])
def test_the_quadratic_landscape_is_the_gaussian_process_itself(replicates: int) -> None:
    fit = GaussianProcess(GaussianProcessConfig(), 0).fit(observed(24, 60, replicates))
    rng = np.random.default_rng(8)
    walker = QuadraticLandscape(fit, 24).at(Genome.from_bits(rng.random(24) < 0.5))
    moves = BlindMoves(24, segment_probability=0.5, longest_segment=5)
    random.seed(1)
    for _ in range(40):
        genes, before = moves.draw(), walker.genome
        expected = walker.worsening(genes)
        walker.flip(genes)
        assert walker.genome == flipped_together(before, genes)
        means = fit.believe(np.array([before.keeps, walker.genome.keeps])).mean
        assert expected == pytest.approx(means[0] - means[1], abs=1e-6)


def test_an_informed_choice_prefers_what_the_surrogate_expects_to_be_better() -> None:
    expected = {Genome((True, True, True)): 0.0}
    expected |= {keep_all(3).flipped(gene): worse for gene, worse in enumerate((0.0, 1.0, 2.0))}
    taken: set[Genome] = set()
    choice = InformedChoice(
        BlindMoves(3), lambda masks: [expected[mask] for mask in masks], taken.__contains__
    )
    random.seed(0)
    proposals = [choice(keep_all(3), 0.5) for _ in range(2000)]
    counts = Counter(proposal.genome for proposal in proposals)
    shares = [counts[keep_all(3).flipped(gene)] / 2000 for gene in range(3)]
    weights = np.exp([-0.0, -1.0, -2.0])
    assert shares == pytest.approx(list(weights / weights.sum()), abs=0.03)
    assert all(proposal.expected_delta == expected[proposal.genome] for proposal in proposals)
    taken.add(keep_all(3).flipped(0))
    assert all(choice(keep_all(3), 0.5).genome not in taken for _ in range(50))


@dataclass
class TwoGenes:
    """Fitness of two genes and their product, as a landscape to walk on."""

    genes: FloatArray = field(default_factory=lambda: np.array([0.4, -0.2]))
    pairs: FloatArray = field(default_factory=lambda: np.array([[0.0, 0.5], [0.5, 0.0]]))

    def at(self, genome: Genome) -> QuadraticWalker:
        return QuadraticWalker(cast(QuadraticLandscape, self), genome)

    def energy(self, genome: Genome) -> float:
        first, second = np.where(genome.keeps, 1.0, -1.0)
        return float(-0.4 * first + 0.2 * second - 0.5 * first * second)


MASKS = [Genome(bits) for bits in product((False, True), repeat=2)]


def test_a_long_walk_ends_on_masks_with_boltzmanns_chances_and_knows_how_far_it_climbed() -> None:
    landscape, start = TwoGenes(), keep_all(2)
    # Segments as well: single flips alone could not return after an odd number of accepted steps.
    moves = BlindMoves(2, segment_probability=0.3)
    walk = SurrogateWalk(moves, landscape.at, is_taken=lambda _: False, length=20)
    random.seed(0)
    counts: Counter[Genome] = Counter()
    for _ in range(3000):
        proposal = walk(start, 0.7)
        counts[proposal.genome] += 1
        climbed = landscape.energy(proposal.genome) - landscape.energy(start)
        assert proposal.expected_delta == pytest.approx(climbed)
    weights = {genome: math.exp(-landscape.energy(genome) / 0.7) for genome in MASKS}
    for genome, weight in weights.items():
        assert counts[genome] / 3000 == pytest.approx(weight / sum(weights.values()), abs=0.03)


def test_a_walk_ends_elsewhere_than_on_taken_masks_and_gives_up_where_all_are() -> None:
    free = Genome.from_bitstring("10")
    random.seed(0)
    walk = SurrogateWalk(BlindMoves(2), TwoGenes().at, lambda genome: genome != free, length=6)
    assert Counter(walk(keep_all(2), 2.0).genome for _ in range(50))[free] > 40
    hopeless = SurrogateWalk(BlindMoves(2), TwoGenes().at, lambda _: True, length=6)
    assert hopeless(keep_all(2), 2.0).genome in MASKS
