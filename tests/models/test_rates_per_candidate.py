"""Tests of candidates that are trained at several learning rates and judged at their best one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.evaluator import Task
from models.final_artifacts import FinalArtifacts
from models.plans.plan import Plan
from models.population import LayoutName
from models.workers.pool import equal_shares
from search.evaluation import FINAL_REPLICATE, UNTRAINED, Arm, Candidate, Evaluation, Outcome
from tests.models.recipe_cases import (
    LAYOUTS,
    Perceptron,
    SmallConvolution,
    asked,
    masks,
    recipe_task,
)
from tests.models.small_task import LOOP, VMAP, evaluator

RATES = (0.3, 0.001, 0.03)
DIVERGING = (1e12, 1e11)
STEPS = 6
SGD = {"kind": "sgd"}


@pytest.fixture(params=LAYOUTS)
def plan(request: pytest.FixtureRequest) -> Plan:
    layout: LayoutName = request.param
    chunks = (1,) if layout == "loop" else (1, 4)
    return Plan(layout=layout, chunks=chunks, dtype="float64", threads=1)


def task_at(*rates: float, **options: object) -> Task:
    return recipe_task(Perceptron, learning_rate=rates, learning_rate_per_candidate=True, **options)


def best(evaluations: list[Evaluation]) -> tuple[float, float]:
    """The highest fitness, the lowest loss among equals."""
    known = [(e.fitness, -e.loss) for e in evaluations if e.fitness is not None and e.loss]
    fitness, minus_loss = max(known)
    return fitness, -minus_loss


def test_a_candidate_is_judged_at_its_best_rate(plan: Plan) -> None:
    task = task_at(*RATES)
    measure = evaluator(task, plan)
    together = measure.evaluate(asked(task, STEPS, Arm(RATES)))
    single = [measure.evaluate(asked(task, STEPS, Arm(rate))) for rate in RATES]
    chosen = set()
    for number, evaluation in enumerate(together):
        fitness, loss = best([evaluations[number] for evaluations in single])
        assert evaluation.fitness == fitness
        assert evaluation.loss == pytest.approx(loss, rel=1e-9)
        chosen.add([e[number].fitness for e in single].index(fitness))
    assert len(chosen) > 1


def test_between_rates_of_equal_accuracy_the_loss_decides() -> None:
    task = task_at(1e-6, 1e-4)
    measure = evaluator(task, LOOP)
    for candidate in asked(task, 1):
        low, high, both = (
            measure.evaluate([Candidate(candidate.genome, 1, arm=Arm(rates))])[0]
            for rates in (1e-6, 1e-4, (1e-6, 1e-4))
        )
        assert low.fitness == high.fitness == both.fitness
        assert both.loss == min(low.loss or 0, high.loss or 0)


def test_an_arm_without_rates_means_all_of_the_recipe() -> None:
    task = task_at(*RATES)
    measure = evaluator(task, LOOP)
    named, unnamed = (measure.evaluate(asked(task, STEPS, arm)) for arm in (Arm(RATES), Arm()))
    assert [e.loss for e in named] == [e.loss for e in unnamed]


def test_a_rate_at_which_it_diverges_does_not_count(plan: Plan) -> None:
    task = task_at(0.01, DIVERGING[0], optimizer=SGD)
    measure = evaluator(task, plan)
    alone = measure.evaluate(asked(task, STEPS, Arm(0.01)))
    for rates in ((0.01, DIVERGING[0]), (DIVERGING[0], 0.01)):
        both = measure.evaluate(asked(task, STEPS, Arm(rates)))
        assert [e.fitness for e in both] == [e.fitness for e in alone]
        assert [e.loss for e in both] == pytest.approx([e.loss for e in alone], rel=1e-6)


def test_one_that_diverges_at_every_rate_has_diverged(plan: Plan) -> None:
    task = task_at(*DIVERGING, optimizer=SGD)
    evaluations = evaluator(task, plan).evaluate(asked(task, STEPS, Arm(DIVERGING)))
    assert {(e.outcome, e.fitness, e.loss) for e in evaluations} == {(Outcome.DIVERGED, None, None)}


@pytest.mark.parametrize("layout", ["vmap", "stacked"])
def test_padding_and_neighbours_change_nothing(layout: LayoutName) -> None:
    task = recipe_task(
        SmallConvolution, learning_rate=RATES, learning_rate_per_candidate=True, dropout=0.3
    )
    measure = evaluator(task, VMAP.model_copy(update={"layout": layout}))
    chunk = asked(task, STEPS, Arm(RATES))
    whole = [(e.fitness, e.loss) for e in measure.evaluate(chunk)]
    assert len({loss for _, loss in whole}) == 4
    assert [(e.fitness, e.loss) for e in measure.evaluate(chunk[:3])] == whole[:3]
    exchanged = [chunk[0], chunk[3], chunk[2], chunk[1]]
    assert [(e.fitness, e.loss) for e in measure.evaluate(exchanged)][::2] == whole[::2]


def test_what_is_kept_of_a_candidate_is_its_best_rates(plan: Plan, tmp_path: Path) -> None:
    task = task_at(*RATES)
    genomes = masks(task)[:3]

    def kept(folder: str, arm: Arm) -> list[tuple[Evaluation, dict[str, torch.Tensor], float]]:
        files = FinalArtifacts(tmp_path / folder)
        chunk = [Candidate(genome, STEPS, FINAL_REPLICATE, arm) for genome in genomes]
        evaluations = evaluator(task, plan, files).evaluate(chunk)
        return [
            (
                e,
                load_file(files.weights_path(c)),
                float(files.answers([c], task.data.test.labels).target.losses.mean()),
            )
            for e, c in zip(evaluations, chunk, strict=True)
        ]

    together = kept("together", Arm(RATES))
    single = [kept(str(rate), Arm(rate)) for rate in RATES]
    for number, (evaluation, weights, test_loss) in enumerate(together):
        _, loss = best([evaluations[number][0] for evaluations in single])
        (own,) = (s[number] for s in single if s[number][0].loss == pytest.approx(loss, rel=1e-9))
        assert evaluation.fitness == own[0].fitness
        torch.testing.assert_close(weights, own[1])
        assert test_loss == pytest.approx(own[2])


def test_shares_of_several_processes_are_of_candidates_not_of_rows() -> None:
    task = task_at(*RATES)
    shares = equal_shares(asked(task, STEPS, Arm(RATES)), 2)
    assert [len(share) for share in shares] == [2, 2]


def test_untrained_a_candidate_is_grafted_once_whatever_its_rates(plan: Plan) -> None:
    task = task_at(*RATES)
    measure = evaluator(task, plan)
    state, n_rates = measure._trained(asked(task, UNTRAINED, Arm(RATES))[:1])
    assert (n_rates, {len(tensor) for tensor in state.values()}) == (1, {1})
    together = measure.evaluate(asked(task, UNTRAINED, Arm(RATES)))
    single = measure.evaluate(asked(task, UNTRAINED, Arm(RATES[0])))
    assert [(e.fitness, e.loss) for e in together] == [(e.fitness, e.loss) for e in single]
