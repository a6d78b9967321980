"""Tests of looking at a shortlist untrained before a batch is chosen of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from search.evaluation import SEARCH_REPLICATE, UNTRAINED, Candidate, Evaluation, Outcome
from search.genome import Genome
from search.optimizer import Optimizer, SearchProblem
from search.optimizers import OPTIMIZERS, build_optimizer
from search.proposing.shortlist import ShortlistConfig

N_GENES, BUDGET, STEPS = 11, 160, 40
LOOKING = sorted(
    name for name in OPTIMIZERS.names() if issubclass(OPTIMIZERS.config(name), ShortlistConfig)
)


@pytest.fixture(params=LOOKING)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(
    name: str, untrained_share: float | None = 0.04, seed: int = 1, **options: Any
) -> Optimizer:
    config: Any = OPTIMIZERS.config(name).model_validate({"kind": name, **options})
    problem = SearchProblem(N_GENES, STEPS, BUDGET, untrained_share=untrained_share)
    return build_optimizer(config, problem, seed)


class Rugged:
    """Every mask has a fitness of its own, of which genes say nothing; its untrained loss betrays half."""

    def __init__(self, *, tells_losses: bool = True) -> None:
        rng = np.random.default_rng(8)
        self._fitness = rng.normal(size=2**N_GENES)
        self._loss = 1.6 - 0.01 * self._fitness + 0.01 * rng.normal(size=2**N_GENES)
        self._tells_losses = tells_losses

    def measure(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        return [self._measured(candidate) for candidate in candidates]

    def _measured(self, candidate: Candidate) -> Evaluation:
        row = int(candidate.genome.bitstring, 2)
        loss = float(self._loss[row]) if self._tells_losses else None
        return Evaluation(candidate, Outcome.MEASURED, float(self._fitness[row]), 0.0, loss)


def batches_of(optimizer: Optimizer, landscape: Rugged) -> list[list[Candidate]]:
    """All batches until the budget is spent."""
    batches: list[list[Candidate]] = []
    n_trained = 0
    while n_trained < BUDGET:
        asked = optimizer.ask()
        optimizer.tell(landscape.measure(asked))
        batches.append(asked)
        n_trained += sum(candidate.fidelity == STEPS for candidate in asked)
    return batches


def untrained(batches: list[list[Candidate]]) -> list[Genome]:
    return [c.genome for batch in batches for c in batch if c.fidelity == UNTRAINED]


def test_each_batch_is_chosen_from_masks_that_were_looked_at(name: str) -> None:
    batches = batches_of(build(name), Rugged())
    assert {candidate.fidelity for candidate in batches[0]} == {STEPS}
    looked_at: set[Genome] = set()
    for batch in batches[1:]:
        (fidelity,) = {candidate.fidelity for candidate in batch}
        genomes = {candidate.genome for candidate in batch}
        if fidelity == UNTRAINED:
            assert not looked_at & genomes
            looked_at |= genomes
        else:
            assert genomes <= looked_at
    assert {candidate.genome for candidate in batches[0]} <= looked_at


def test_masks_that_their_untrained_losses_speak_for_are_trained(name: str) -> None:
    def mean_fitness(untrained_factor: int) -> float:
        landscape = Rugged()
        trained = [
            evaluation.fitness
            for seed in range(3)
            for batch in batches_of(
                build(name, seed=seed, untrained_factor=untrained_factor), landscape
            )[1:]
            for evaluation in landscape.measure(batch)
            if evaluation.candidate.fidelity == STEPS
            and evaluation.candidate.replicate == SEARCH_REPLICATE
        ]
        return float(np.mean([fitness for fitness in trained if fitness is not None]))

    assert mean_fitness(12) > mean_fitness(0) + 0.3


def test_where_no_losses_are_told_nothing_is_looked_at(name: str) -> None:
    assert untrained(batches_of(build(name), Rugged(tells_losses=False))) == []


@pytest.mark.parametrize("options", [{"untrained_factor": 0}, {"untrained_factor": 1}])
def test_looking_can_be_switched_off(name: str, options: dict[str, Any]) -> None:
    assert untrained(batches_of(build(name, **options), Rugged())) == []


def test_where_looking_costs_much_shortlists_are_shorter(name: str) -> None:
    def n_looked_at(share: float) -> int:
        return len(untrained(batches_of(build(name, share), Rugged())))

    cheap, dear, too_dear = (n_looked_at(share) for share in (0.02, 0.1, 0.2))
    assert cheap > dear > too_dear == 0


def test_however_short_a_shortlist_is_leaders_may_be_measured_again(name: str) -> None:
    for share in (0.11, 0.124, 0.13, 0.2, 0.24):
        batches = batches_of(build(name, share), Rugged())
        again = [c for b in batches[1:] for c in b if c.fidelity == STEPS and c.replicate > 0]
        assert again


def test_where_the_share_is_not_known_nothing_is_looked_at(name: str) -> None:
    assert untrained(batches_of(build(name, None), Rugged())) == []


def test_a_search_with_rungs_leaves_looking_to_them(name: str) -> None:
    config = OPTIMIZERS.config(name).model_validate({"kind": name, "rungs": {"fractions": [0.5]}})
    assert isinstance(config, ShortlistConfig)
    assert (
        config.looks_per_training(SearchProblem(N_GENES, STEPS, BUDGET, untrained_share=0.04)) == 0
    )
