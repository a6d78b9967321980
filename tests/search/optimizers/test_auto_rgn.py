"""Tests of the search along the gradient ratio."""

from __future__ import annotations

from search.optimizer import GenePriors, SearchProblem
from search.optimizers.auto_rgn import AutoRgn, AutoRgnConfig


def asked(ratios: tuple[float, ...] | None, n_genes: int, **options: object) -> list[list[str]]:
    priors = None if ratios is None else GenePriors((0.0,) * n_genes, ratios)
    problem = SearchProblem(n_genes, 40, 200, priors)
    optimizer = AutoRgn(AutoRgnConfig.model_validate(options), problem, seed=0)
    batches = []
    while batch := optimizer.ask():
        batches.append([candidate.genome.bitstring for candidate in batch])
    return batches


def test_genes_with_a_large_ratio_are_kept_first_then_the_closest_of_the_order() -> None:
    first, later = asked((0.1, 1.0, 0.6, 0.2), 4)
    assert first == ["1111", "0000", "0110"]
    assert sorted(later) == ["0100", "0111"]


def test_masks_come_in_the_order_of_closeness() -> None:
    ratios = (0.6, 0.5, 0.4, 0.3, 0.2, 1.0)
    later = asked(ratios, 6, threshold=0.9)[1]
    assert later == ["100001", "110001", "111001", "111101"]


def test_without_priors_the_masks_are_prefixes() -> None:
    first, later = asked(None, 4)
    assert first == ["1111", "0000", "0011"]
    assert sorted(later) == ["0001", "0111"]


def test_it_ends_after_as_many_masks_as_there_are_genes_and_one() -> None:
    assert sum(map(len, asked((0.0,) * 50, 50, batch_size=8))) == 51
