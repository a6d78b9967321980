"""What every registered optimizer promises; a new file is tested as soon as it exists."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from search.decisions import DecisionLog
from search.errors import InvalidInputError
from search.evaluation import (
    RACE_REPLICATE,
    UNTRAINED,
    Arm,
    Candidate,
    Evaluation,
    Evaluator,
    Outcome,
)
from search.genome import Genome
from search.ledger import EvaluationRow, InMemoryLedger, Row, canonical_json
from search.optimizer import Optimizer, OptimizerConfig, SearchProblem
from search.optimizers import OPTIMIZERS, build_optimizer
from search.optimizers.auto_rgn import AutoRgnConfig
from search.proposing.rungs import RungedConfig
from search.recorded import RecordedEvaluator
from search.study import Study, StudyOutcome
from tests.search.hidden_mask import hidden_mask

N_GENES, BUDGET = 12, 4096
# Of the studies, which run to their end: generations of many masks in small chunks.
STUDY_GENES, STUDY_STEPS, STUDY_BUDGET, CHUNK_SIZE, N_KILLS = 8, 30, 60, 7, 3
STUDIED = SearchProblem(STUDY_GENES, STUDY_STEPS, STUDY_BUDGET, untrained_share=0.04)
FIRST_FAILING, N_FAILING = 9, 32


@pytest.fixture(params=OPTIMIZERS.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def studied_configs() -> dict[str, OptimizerConfig]:
    """Every optimizer at its defaults, and with rungs if it can have them."""
    configs: dict[str, OptimizerConfig] = {}
    for name in OPTIMIZERS.names():
        config = OPTIMIZERS.config(name)
        assert issubclass(config, OptimizerConfig)
        configs[name] = config.model_validate({})
        if issubclass(config, RungedConfig):
            configs[f"{name} with rungs"] = config.model_validate({"rungs": {}})
    return configs


CONFIGS = studied_configs()


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest) -> OptimizerConfig:
    return CONFIGS[str(request.param)]


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


@pytest.mark.parametrize("budget", [60, 200, 2 * BUDGET])
def test_batches_are_as_large_as_the_options_say(config: OptimizerConfig, budget: int) -> None:
    """Plans are measured for that; a first batch alone may be larger."""
    problem = SearchProblem(N_GENES, 40, budget, untrained_share=0.04)
    optimizer, sizes = build_optimizer(config, problem, 3), list[int]()
    for _ in range(14):
        asked = optimizer.ask()
        optimizer.tell(measured(asked, hidden_mask(N_GENES)))
        sizes += [len(asked)] if asked and asked[0].fidelity == 40 else []
    assert max(sizes[1:]) <= config.batch_within(problem)
    if getattr(config, "rungs", None) is None and not isinstance(config, AutoRgnConfig):
        assert max(sizes[1:]) == config.batch_within(problem)


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


class NoisyMask:
    """A hidden mask, noise and failures, all of which depend on the candidate alone, as in a real evaluation."""

    def __init__(self, failed_share: float = 0.1) -> None:
        self._hidden, self._failed_share = hidden_mask(STUDY_GENES), failed_share

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        return [self._evaluate(candidate) for candidate in candidates]

    def _evaluate(self, candidate: Candidate) -> Evaluation:
        digest = hashlib.blake2b(repr(candidate.key).encode(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(digest))
        if rng.random() < self._failed_share:
            return Evaluation(candidate, Outcome.DIVERGED, None, 0.0)
        fitness = candidate.genome.agreement(self._hidden) + 0.05 * rng.standard_normal()
        return Evaluation(candidate, Outcome.MEASURED, float(fitness), 0.0, loss=float(2 - fitness))


class FailingInTheMiddle(NoisyMask):
    """Trains a little, then fails for a generation and more, then trains again."""

    def __init__(self) -> None:
        super().__init__(failed_share=0.0)
        self._n_trained = 0

    def _evaluate(self, candidate: Candidate) -> Evaluation:
        self._n_trained += 1
        if FIRST_FAILING <= self._n_trained < FIRST_FAILING + N_FAILING:
            return Evaluation(candidate, Outcome.OUT_OF_MEMORY, None, 0.0)
        return super()._evaluate(candidate)


def study(
    config: OptimizerConfig, ledger: InMemoryLedger, evaluator: Evaluator, seed: int = 7
) -> StudyOutcome:
    recorded = RecordedEvaluator(evaluator, ledger, DecisionLog(ledger), chunk_size=CHUNK_SIZE)
    optimizer = build_optimizer(config, STUDIED, seed)
    return Study(optimizer, recorded, STUDIED, Arm(0.001)).run()


def ledger_of(config: OptimizerConfig, rows: Sequence[Row] = ()) -> list[Row]:
    """Run a study from what is left of its ledger."""
    ledger = InMemoryLedger(rows)
    study(config, ledger, NoisyMask())
    return ledger.rows()


@cache
def left_alone(config: OptimizerConfig) -> list[Row]:
    """The ledger of a study that nothing happens to."""
    return ledger_of(config)


def candidates_of(rows: Sequence[Row]) -> list[Candidate]:
    return [row.evaluation.candidate for row in rows if isinstance(row, EvaluationRow)]


def ends_of_chunks(rows: Sequence[Row]) -> list[int]:
    """Numbers of rows after which a kill may find a ledger."""
    return [
        count for count in range(1, len(rows)) if rows[count].position != rows[count - 1].position
    ]


def test_killed_anywhere_and_started_again_it_leaves_the_ledger_of_one_left_alone(
    config: OptimizerConfig,
) -> None:
    alone = left_alone(config)
    ends = ends_of_chunks(alone)
    rng = np.random.default_rng(len(alone))
    for count in [0, *rng.choice(ends, min(N_KILLS, len(ends)), replace=False).tolist()]:
        assert canonical_json(ledger_of(config, alone[:count])) == canonical_json(alone)


def test_a_study_measures_masks_of_its_genes_and_none_twice(config: OptimizerConfig) -> None:
    candidates = candidates_of(left_alone(config))
    assert len({candidate.key for candidate in candidates}) == len(candidates)
    assert {candidate.genome.n_genes for candidate in candidates} == {STUDY_GENES}
    assert all(0 <= candidate.replicate < RACE_REPLICATE for candidate in candidates)
    has_rungs = isinstance(config, RungedConfig) and config.rungs is not None
    allowed = {0, STUDY_STEPS // 3, STUDY_STEPS} if has_rungs else {STUDY_STEPS}
    if config.looks_per_training(STUDIED) > 0:
        allowed.add(UNTRAINED)
    assert {candidate.fidelity for candidate in candidates} == allowed
    cost = sum(candidate.fidelity for candidate in candidates) / STUDY_STEPS
    assert cost <= STUDY_BUDGET


def test_a_study_survives_a_generation_of_failures_in_its_middle(config: OptimizerConfig) -> None:
    ledger = InMemoryLedger()
    outcome = study(config, ledger, FailingInTheMiddle())
    candidates = candidates_of(ledger.rows())
    assert len({candidate.key for candidate in candidates}) == len(candidates)
    # auto_rgn has fewer masks to try than fail here.
    if outcome.stop_reason != "completed":
        assert outcome.stop_reason == "evaluation_budget"
        assert sum(e.outcome is Outcome.OUT_OF_MEMORY for e in outcome.evaluations) == N_FAILING
        assert outcome.evaluations[-1].outcome is Outcome.MEASURED
