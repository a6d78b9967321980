"""Tests of the marginal distribution algorithm."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import keep_all
from search.optimizer import SearchProblem
from search.optimizers.umda import Umda, UmdaConfig


def run(n_genes: int, generations: int, **options: object) -> list[list[Candidate]]:
    """Fitness is the share of kept genes."""
    optimizer = Umda(UmdaConfig.model_validate(options), SearchProblem(n_genes, 40, 200), seed=3)
    asked = []
    for _ in range(generations):
        batch = optimizer.ask()
        asked.append(batch)
        optimizer.tell(
            [
                Evaluation(c, Outcome.MEASURED, c.genome.agreement(keep_all(n_genes)), 0.0)
                for c in batch
            ]
        )
    return asked


def test_what_the_better_half_keeps_is_kept_more_and_more() -> None:
    batches = run(20, 8)
    shares = [sum(sum(c.genome.keeps) for c in batch) / (20 * len(batch)) for batch in batches]
    assert shares[0] == pytest.approx(0.5, abs=0.1)
    assert shares[-1] > 0.8


def test_a_mask_drawn_again_is_measured_at_its_next_replicate_and_not_too_often() -> None:
    candidates = [c for batch in run(4, 20, most_replicates=2) for c in batch]
    assert len({c.key for c in candidates}) == len(candidates) == 2 * 16
    assert {c.replicate for c in candidates} == {0, 1}


def test_no_gene_is_ever_decided_for_good() -> None:
    last = run(20, 30)[-1]
    assert {c.genome.keeps for c in last} != {keep_all(20).keeps}


def test_fewer_masks_are_selected_than_drawn() -> None:
    with pytest.raises(ValidationError, match=r"selected \(20\).*population_size \(20\)"):
        UmdaConfig(selected=20)
