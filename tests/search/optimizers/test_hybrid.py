"""Tests of the search in two parts."""

from __future__ import annotations

from search.evaluation import Candidate, Evaluation, Outcome
from search.optimizer import Optimizer, SearchProblem
from search.optimizers.genetic import Genetic, GeneticConfig
from search.optimizers.hybrid import Hybrid, HybridConfig
from tests.search.hidden_mask import hidden_mask

N_GENES, BUDGET = 14, 96
PROBLEM = SearchProblem(N_GENES, 40, BUDGET)
HIDDEN = hidden_mask(N_GENES)


def run(optimizer: Optimizer, n_batches: int) -> list[list[Candidate]]:
    asked = []
    for _ in range(n_batches):
        asked.append(optimizer.ask())
        optimizer.tell(
            [Evaluation(c, Outcome.MEASURED, c.genome.agreement(HIDDEN), 0.0) for c in asked[-1]]
        )
    return asked


def test_it_is_genetic_until_the_annealed_share_is_left() -> None:
    genetic = GeneticConfig(population_size=12, first_batch=24)
    hybrid = Hybrid(HybridConfig(genetic=genetic, annealed_share=0.5), PROBLEM, seed=5)
    alone = Genetic(genetic, PROBLEM, seed=5)
    together, by_itself = run(hybrid, 5), run(alone, 5)
    assert together[:3] == by_itself[:3]
    assert together[3] != by_itself[3]


def test_annealing_knows_what_genetic_measured() -> None:
    hybrid = Hybrid(
        HybridConfig(genetic=GeneticConfig(population_size=12, first_batch=24)),
        PROBLEM,
        seed=5,
    )
    asked = run(hybrid, 6)
    keys = [candidate.key for batch in asked for candidate in batch]
    assert len(keys) == len(set(keys)), "nothing is measured twice"
    best_of_genetic = max(c.genome.agreement(HIDDEN) for batch in asked[:3] for c in batch)
    # Chains that start from its leaders stay near them.
    annealed = [c.genome.agreement(HIDDEN) for batch in asked[3:] for c in batch]
    assert sum(annealed) / len(annealed) > best_of_genetic - 0.3
