"""What every registered optimizer promises; a new file is tested as soon as it exists."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from search.errors import InvalidInputError
from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome
from search.optimizer import Optimizer, OptimizerConfig, SearchProblem
from search.optimizers import OPTIMIZERS
from tests.search.hidden_mask import hidden_mask

N_GENES, BUDGET = 12, 4096


@pytest.fixture(params=OPTIMIZERS.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(name: str, seed: int, n_genes: int = N_GENES, budget: int = BUDGET) -> Optimizer:
    config = OPTIMIZERS.config(name).model_validate({})
    return OPTIMIZERS.plugin(name)(config, SearchProblem(n_genes, 40, budget), seed)  # type: ignore[call-arg]


def measured(asked: list[Candidate], hidden: Genome) -> list[Evaluation]:
    return [Evaluation(c, Outcome.MEASURED, c.genome.agreement(hidden), 0.0) for c in asked]


def generations(name: str, seed: int, count: int) -> list[list[Candidate]]:
    optimizer, asked = build(name, seed), []
    for _ in range(count):
        asked.append(optimizer.ask())
        optimizer.tell(measured(asked[-1], hidden_mask(N_GENES)))
    return asked


def test_the_same_seed_and_evaluations_give_the_same_generations(name: str) -> None:
    assert generations(name, seed=7, count=4) == generations(name, seed=7, count=4)


def test_candidates_are_of_the_problem(name: str) -> None:
    for candidate in generations(name, seed=1, count=3)[-1]:
        assert candidate.genome.n_genes == N_GENES
        assert candidate.fidelity == 40
        assert 0 <= candidate.replicate < 1000


def test_a_generation_of_failures_does_not_stop_the_search(name: str) -> None:
    optimizer = build(name, seed=7)
    optimizer.tell([Evaluation(c, Outcome.DIVERGED, None, 0.0) for c in optimizer.ask()])
    assert optimizer.ask()


def test_a_single_gene_can_be_searched(name: str) -> None:
    optimizer = build(name, seed=7, n_genes=1)
    asked = optimizer.ask()
    optimizer.tell(measured(asked, hidden_mask(1)))
    assert {c.genome.bitstring for c in asked} == {"0", "1"}


def test_a_batch_cut_by_the_budget_can_be_told(name: str) -> None:
    optimizer = build(name, seed=7)
    asked = optimizer.ask()
    optimizer.tell(measured(asked[:3], hidden_mask(N_GENES)))
    assert optimizer.ask()


def test_the_options_have_a_schema_with_a_description_for_each(name: str) -> None:
    config = OPTIMIZERS.config(name)
    assert issubclass(config, OptimizerConfig)
    properties = config.model_json_schema()["properties"]
    assert all("description" in option for key, option in properties.items() if key != "kind")


@cache
def best_after(name: str, seed: int, budget: int) -> float:
    """Best agreement after so many different masks, on a landscape with unequal genes."""
    # Not the optimizer's own seed: random search would draw the hidden mask first.
    hidden = hidden_mask(20, 1000 + seed)
    weights = np.random.default_rng(2000 + seed).exponential(size=20)
    weights /= weights.sum()
    optimizer, seen = build(name, seed, n_genes=20, budget=budget), dict[Genome, float]()
    while len(seen) < budget and (asked := optimizer.ask()):
        told = []
        for candidate in asked:
            agrees = np.equal(candidate.genome.keeps, hidden.keeps)
            if candidate.genome not in seen and len(seen) == budget:
                break
            seen[candidate.genome] = float(weights @ agrees)
            told.append(Evaluation(candidate, Outcome.MEASURED, seen[candidate.genome], 0.0))
        optimizer.tell(told)
    return max(seen.values())


@pytest.mark.parametrize(
    "name", sorted(set(OPTIMIZERS.names()) - {"random", "exhaustive", "auto_rgn"})
)
def test_it_beats_random_search_on_a_shuffled_optimum_at_equal_evaluations(name: str) -> None:
    seeds = range(6)
    own = np.mean([best_after(name, seed, 150) for seed in seeds])
    by_chance = np.mean([best_after("random", seed, 150) for seed in seeds])
    assert own > by_chance + 0.05


def test_exhaustive_refuses_more_masks_than_the_budget_naming_both() -> None:
    config = OPTIMIZERS.config("exhaustive").model_validate({})
    assert isinstance(config, OptimizerConfig)
    with pytest.raises(InvalidInputError, match=r"200 with exhaustive over 2\^9 = 512 masks"):
        config.check(SearchProblem(9, 40, 200))
    with pytest.raises(InvalidInputError, match=r"2\^17 = 131072 masks.*at most 2\^16 = 65536"):
        config.check(SearchProblem(17, 40, 1_000_000))
    config.check(SearchProblem(9, 40, 512))
