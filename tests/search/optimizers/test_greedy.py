"""Tests of greedy selection: where it starts, what it takes, when it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome
from search.optimizer import SearchProblem
from search.optimizers.greedy import Greedy, GreedyConfig


def greedy(n_genes: int, **options: object) -> Greedy:
    config = GreedyConfig.model_validate(options)
    return Greedy(config, SearchProblem(n_genes, 40, 200), seed=0)


def answered(asked: list[Candidate], value: Callable[[str], float]) -> list[Evaluation]:
    return [Evaluation(c, Outcome.MEASURED, value(c.genome.bitstring), 0.0) for c in asked]


def rounds(optimizer: Greedy, value: Callable[[str], float], count: int) -> list[set[str]]:
    asked = []
    for _ in range(count):
        batch = optimizer.ask()
        asked.append({candidate.genome.bitstring for candidate in batch})
        optimizer.tell(answered(batch, value))
    return asked


def ones_then_place(mask: str) -> float:
    """Best is 1010: reached from 0000 by keeping one gene after another."""
    return float(Genome.from_bitstring(mask).agreement(Genome.from_bitstring("1010")))


def test_it_starts_at_the_better_pure_mask_and_takes_the_best_flip() -> None:
    def value(mask: str) -> float:
        return ones_then_place(mask) - 0.1 * (mask == "1111") + 0.01 * (mask[0] == "1")

    asked = rounds(greedy(4), value, 3)
    assert asked[0] == {"1111", "0000"}
    assert asked[1] == {"1000", "0100", "0010", "0001"}
    # 1000 is the best; its neighbour 0000 is known.
    assert asked[2] == {"1100", "1010", "1001"}


@pytest.mark.parametrize(("start", "first"), [("keep_all", "0111"), ("transfer_all", "1000")])
def test_the_start_can_be_chosen(start: str, first: str) -> None:
    assert first in rounds(greedy(4, start=start), ones_then_place, 2)[1]


def test_a_gain_within_the_tolerance_is_not_taken() -> None:
    asked = rounds(greedy(4, start="transfer_all", tolerance=0.3), ones_then_place, 3)
    # No flip gains more than 0.25: it starts again from the other pure mask.
    assert asked[2] == {"0111", "1011", "1101", "1110"}


def test_it_goes_on_from_other_masks_until_all_are_known() -> None:
    optimizer, asked = greedy(4), list[str]()
    while batch := optimizer.ask():
        asked += [candidate.genome.bitstring for candidate in batch]
        optimizer.tell(answered(batch, ones_then_place))
    assert len(asked) == len(set(asked)) == 16
