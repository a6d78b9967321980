"""Tests of what a running search tells of itself."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from search.evaluation import UNTRAINED, Candidate, Evaluation, Outcome
from search.genome import Genome
from search.study import SEARCH_PHASE
from service.progress import ProgressTracker, most_side_by_side
from service.result import Progress
from service.spec import SearchSpec
from tests.service.server_process import QUICK_SPEC

SPEC = SearchSpec.model_validate(QUICK_SPEC)
STEPS = SPEC.finetune.steps


def measured(masks: Iterable[str], fidelity: int, seconds: float) -> list[Evaluation]:
    return [
        Evaluation(
            Candidate(Genome.from_bitstring(mask), fidelity), Outcome.MEASURED, 0.5, seconds, 1.0
        )
        for mask in masks
    ]


def test_shortlists_are_neither_generations_nor_evaluations_nor_training_time() -> None:
    told: list[Progress] = []
    tracker = ProgressTracker(SPEC, told.append)
    tracker.measured(SEARCH_PHASE, 0, measured(["001", "010"], STEPS, 2.0))
    reserved = tracker.reserve_seconds()
    tracker.measured(SEARCH_PHASE, 1, measured(["100", "110"], UNTRAINED, 50.0))
    assert (told[-1].generation, told[-1].evaluations) == (0, 2)
    assert tracker.reserve_seconds() == reserved > 0
    tracker.measured(SEARCH_PHASE, 2, measured(["100"], STEPS, 2.0))
    tracker.measured(SEARCH_PHASE, 2, measured(["111"], STEPS, 2.0))
    assert (told[-1].generation, told[-1].evaluations) == (1, 4)


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({"optimizer": {"kind": "random", "batch_size": 50}}, 50),
        # Leaders, as many prefixes, and both pure strategies.
        ({"race": {"leaders": 10}}, 10 + 10 + 2),
        # Winner, both pure strategies and the best prefix.
        ({"final": QUICK_SPEC["final"] | {"replicates": 7}}, 4 * 7),
    ],
)
def test_the_phase_that_trains_most_masks_side_by_side_counts(
    changes: dict[str, object], most: int
) -> None:
    spec = SearchSpec.model_validate(QUICK_SPEC | changes)
    assert most_side_by_side(spec, n_genes=12) == most
