"""Tests of early stopping, candidate by candidate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.checkpoints import State
from models.data.dataset import Examples
from models.evaluator import Task
from models.layout import Recipe
from models.population import LayoutName, fused_training, loop
from models.population.stopping import Stopping
from models.recipe.options import EarlyStopping
from search.evaluation import Outcome
from tests.models.recipe_cases import (
    FUSED,
    LAYOUTS,
    Perceptron,
    SmallConvolution,
    asked,
    masks,
    measured,
    recipe_task,
    tuned,
)
from tests.models.small_task import VMAP, evaluator

# Nothing is ever an improvement: the second look ends it.
AT_THE_SECOND_LOOK: dict[str, object] = {"interval": 2, "patience": 1, "min_improvement": 1e6}
SGD: dict[str, object] = {"optimizer": {"kind": "sgd"}}
STEPS = 12
SLOW, FAST, ABSURD = 0.01, 30.0, 1e12


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> LayoutName:
    value: LayoutName = request.param
    return value


def watching(task_of: type, **early_stopping: object) -> Task:
    options = {"interval": 2, "patience": 1, **early_stopping}
    return recipe_task(task_of, early_stopping=options, **SGD)


def row(state: State, number: int) -> State:
    return {name: tensor[number] for name, tensor in state.items()}


def is_equal(one: State, other: State) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_stopped_candidate_stays_as_it_is_while_its_neighbours_train_on(
    layout: LayoutName,
) -> None:
    genomes, rates = masks(recipe_task(Perceptron))[:2], [SLOW, FAST]
    stopping = tuned(watching(Perceptron), layout, genomes, rates, steps=STEPS)
    free = recipe_task(Perceptron, **SGD)
    ends = {n: tuned(free, layout, genomes, rates, steps=n) for n in range(2, STEPS + 1, 2)}
    assert is_equal(row(stopping, 0), row(ends[STEPS], 0))
    (stopped_at,) = (n for n, state in ends.items() if is_equal(row(stopping, 1), row(state, 1)))
    assert stopped_at < STEPS


def test_running_statistics_and_counters_of_a_stopped_candidate_stay_too(
    layout: LayoutName,
) -> None:
    task = recipe_task(SmallConvolution, early_stopping=AT_THE_SECOND_LOOK)
    free = recipe_task(SmallConvolution)
    stopped = tuned(task, layout, masks(task), steps=STEPS)
    assert stopped["first_norm.num_batches_tracked"].tolist() == [4] * 4
    assert is_equal(stopped, tuned(free, layout, masks(free), steps=4))


def test_when_all_have_stopped_the_training_is_over(
    layout: LayoutName, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    class Watched(Stopping):
        def look(self, step: int) -> bool:
            looks.append(step)
            return super().look(step)

    def stopping_of(
        recipe: Recipe, state: State, validate: Callable[[Examples], Tensor]
    ) -> Watched:
        part, options = recipe.validation, recipe.objective.config.early_stopping
        assert part is not None
        assert options is not None
        return Watched(options, state, lambda: validate(part))

    for module in (fused_training, loop):
        monkeypatch.setattr(module, "stopping_of", stopping_of)
    task = recipe_task(Perceptron, early_stopping=AT_THE_SECOND_LOOK)
    tuned(task, layout, masks(task), steps=STEPS)
    # The loop trains one candidate after another.
    assert looks == [0, 1, 2, 3] * (4 if layout == "loop" else 1)


def test_an_interval_as_long_as_the_training_does_nothing(layout: LayoutName) -> None:
    task = recipe_task(SmallConvolution, early_stopping={"interval": STEPS, "patience": 1})
    free = recipe_task(SmallConvolution)
    assert is_equal(
        tuned(task, layout, masks(task), steps=STEPS), tuned(free, layout, masks(free), steps=STEPS)
    )


def test_a_candidate_that_is_not_a_number_disturbs_nobody(layout: LayoutName) -> None:
    # Two looks, both after it has ceased to be a number.
    task = watching(Perceptron, interval=5)
    genomes = masks(task)
    calm = tuned(task, layout, genomes, [SLOW, SLOW, 0.1, 0.3], steps=STEPS)
    wild = tuned(task, layout, genomes, [SLOW, ABSURD, 0.1, 0.3], steps=STEPS)
    assert not torch.isfinite(wild["head.weight"][1]).all()
    for number in (0, 2, 3):
        torch.testing.assert_close(row(wild, number), row(calm, number))


@pytest.mark.parametrize("layout", FUSED)
def test_what_neighbours_do_does_not_change_a_single_bit(layout: LayoutName) -> None:
    task = recipe_task(
        SmallConvolution,
        learning_rate=0.3,
        dropout=0.5,
        gradient_norm=0.5,
        early_stopping={"interval": 1, "patience": 1},
        augmentation=[{"kind": "noise"}],
    )
    plan = VMAP.model_copy(update={"layout": layout})
    measure, chunk = evaluator(task, plan), asked(task, STEPS)

    def scores(*order: int) -> list[tuple[float | None, float | None]]:
        return [(e.fitness, e.loss) for e in measure.evaluate([chunk[i] for i in order])]

    together = scores(0, 1, 2, 3)
    assert scores(0, 3, 2, 1)[::2] == together[::2]
    # Padded with the first: other neighbours, that stop at other steps.
    assert scores(0, 1, 2) == together[:3]
    assert scores(0, 0, 0, 3)[3] == together[3]


def test_a_loss_that_is_not_finite_is_no_progress() -> None:
    losses = [[1.0, 2.0, float("nan")], [0.5, float("nan"), float("nan")], [0.4, 3.0, 0.1]]
    told = iter(losses)
    state = {"w": torch.zeros(3, 2)}
    stopping = Stopping(
        EarlyStopping(interval=1, patience=2),
        state,
        lambda: torch.tensor(next(told), dtype=torch.float64),
    )
    assert [stopping.look(step) for step in range(3)] == [False] * 3
    state["w"] += 1
    stopping.hold()
    assert state["w"][:, 0].tolist() == [1, 0, 0]


def test_progress_below_the_least_is_none() -> None:
    told = iter([1.0, 0.95, 0.91, 0.89])
    state = {"w": torch.zeros(1)}
    stopping = Stopping(
        EarlyStopping(interval=2, patience=2, min_improvement=0.1),
        state,
        lambda: torch.tensor([next(told)]),
    )
    # Looks at the second, fourth and sixth step; 1.0 was the best so far.
    assert [stopping.look(step) for step in range(6)] == [False] * 5 + [True]


def test_of_a_chunk_one_that_diverges_is_an_outcome_and_the_others_are_measured() -> None:
    task = recipe_task(
        Perceptron,
        learning_rate=[SLOW, ABSURD],
        learning_rate_per_candidate=True,
        early_stopping=AT_THE_SECOND_LOOK,
        **SGD,
    )
    for layout in LAYOUTS:
        outcomes = [e.outcome for e in measured(task, layout, asked(task, STEPS))]
        assert outcomes == [Outcome.MEASURED] * 4
