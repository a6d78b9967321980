"""Tests of the early message that a pure strategy is clearly ahead."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from search.evaluation import Candidate, Evaluation, Outcome
from search.futility import FutilityWatch
from search.genome import Genome, keep_all, transfer_all

N_GENES = 6


def batch_of(quality: Callable[[Genome], float], noise: float, seed: int) -> list[Evaluation]:
    """The pure strategies and thirty random masks, with noise."""
    rng = np.random.default_rng(seed)
    drawn = [Genome.from_bits(row) for row in rng.random((30, N_GENES)) < 0.5]
    genomes = dict.fromkeys([keep_all(N_GENES), transfer_all(N_GENES), *drawn])
    return [
        Evaluation(Candidate(g, 40), Outcome.MEASURED, quality(g) + noise * rng.normal(), 0.0)
        for g in genomes
    ]


def message_after(batches: list[list[Evaluation]]) -> str | None:
    watch = FutilityWatch()
    for number, batch in enumerate(batches):
        watch.add(number, batch)
    return watch.message


@pytest.mark.parametrize("name", ["transfer-all", "keep-all"])
def test_a_pure_strategy_that_is_clearly_ahead_is_named(name: str) -> None:
    def falls_with_distance(genome: Genome) -> float:
        n_kept = sum(genome.keeps)
        return -0.1 * (n_kept if name == "transfer-all" else N_GENES - n_kept)

    batch = batch_of(falls_with_distance, 0.01, seed=0)
    message = message_after([batch, []])
    assert message is not None
    assert message.startswith(f"{name} is clearly ahead of everything tried so far")


def test_nothing_is_said_before_a_first_whole_batch() -> None:
    batch = batch_of(lambda g: -0.1 * sum(g.keeps), 0.01, seed=0)
    watch = FutilityWatch()
    for chunk in (batch[:16], batch[16:]):
        watch.add(0, chunk)
    assert watch.message is None


def test_nothing_is_said_where_another_mask_leads_or_nothing_differs() -> None:
    mixed = Genome.from_bitstring("000111")
    assert message_after([batch_of(lambda g: g.agreement(mixed), 0.01, seed=1), []]) is None
    assert message_after([batch_of(lambda _: 0.5, 0.0, seed=1), []]) is None


def test_on_noise_alone_it_is_said_in_at_most_5_of_100_searches() -> None:
    said = [message_after([batch_of(lambda _: 0.5, 0.05, seed), []]) for seed in range(60)]
    assert sum(message is not None for message in said) <= 3


def test_the_message_is_withdrawn_when_a_better_mask_is_found() -> None:
    better = Genome.from_bitstring("000111")
    first = batch_of(lambda g: -0.1 * sum(g.keeps), 0.01, seed=0)
    second = [
        Evaluation(Candidate(better, 40, replicate), Outcome.MEASURED, 0.5, 0.0)
        for replicate in range(3)
    ]
    assert message_after([first, []]) is not None
    assert message_after([first, second, []]) is None
