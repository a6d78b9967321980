"""Tests of teachers: trained once, the same whatever the plan, and refused where they cannot teach."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from models.data.dataset import Examples
from models.evaluator import Task
from models.finetuning.distill import Distillation, DistillConfig
from models.plans.step_timing import step_milliseconds
from models.recipe import teachers
from models.recipe.strategy import TEACHER, WEIGHTS, Teacher, build_strategy
from models.recipe.teachers import check_source_teaches, untaught, with_teachers
from models.weights_source import state_shapes
from search.errors import InvalidInputError
from search.genome import transfer_all
from tests.models.recipe_cases import Perceptron, parsed, recipe_task, tuned
from tests.models.small_task import CPU, LOOP

TAUGHT: dict[str, object] = {"kind": "distill", "teacher_steps": 7}


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Teacher]:
    """Every teacher whose logits are computed."""
    seen: list[Teacher] = []
    compute = teachers._logits

    def watched(task: Task, teacher: Teacher) -> torch.Tensor:
        seen.append(teacher)
        return compute(task, teacher)

    monkeypatch.setattr(teachers, "_logits", watched)
    return seen


def untrained(*phases: dict[str, object]) -> Task:
    """A task that asks for teachers and has none yet."""
    options: dict[str, object] = {
        "kind": "phases",
        "phases": [{"batch_size": 8, **phase} for phase in phases],
    }
    return dataclasses.replace(recipe_task(Perceptron), strategy=build_strategy(parsed(options)))


def test_a_teacher_is_the_transfer_all_network_after_its_training() -> None:
    options: dict[str, object] = {"loss": {"kind": "cross_entropy", "class_weights": [1, 2, 3]}}
    task = recipe_task(Perceptron, **TAUGHT, **options)
    (logits,) = task.teachers.values()
    alone = recipe_task(Perceptron, **options)
    state = tuned(
        alone,
        "loop",
        [transfer_all(task.genes.n_genes)],
        steps=7,
        replicate=teachers.TEACHER_REPLICATE,
    )
    network = Perceptron().double()
    network.load_state_dict({name: x[0] for name, x in state.items()})
    with torch.no_grad():
        expected = network(task.data.train.inputs["x"].double())
    torch.testing.assert_close(logits.double(), expected, rtol=1e-4, atol=1e-5)


def test_a_source_teaches_as_it_is() -> None:
    task = recipe_task(Perceptron, kind="distill", teacher="source")
    network = Perceptron()
    network.load_state_dict(task.source)
    with torch.no_grad():
        expected = network(**task.data.train.inputs)
    torch.testing.assert_close(task.teachers["source"], expected)


def test_equal_teachers_are_computed_once_and_others_apart(trainings: list[Teacher]) -> None:
    task = with_teachers(untrained(TAUGHT, {"kind": "full"}, TAUGHT, {**TAUGHT, "l1": 0.1}))
    assert len(trainings) == len(task.teachers) == 2


def test_a_job_that_is_started_again_reads_what_its_teachers_said(
    trainings: list[Teacher], tmp_path: Path
) -> None:
    wanted = untrained(TAUGHT, {**TAUGHT, "teacher_steps": 3})
    first, second = (with_teachers(wanted, tmp_path) for _ in range(2))
    assert len(trainings) == 2
    for name, logits in first.teachers.items():
        assert torch.equal(logits, second.teachers[name])
    assert len(list(tmp_path.glob("teacher-*.safetensors"))) == 2


def test_a_task_without_teachers_is_left_alone(trainings: list[Teacher], tmp_path: Path) -> None:
    task = recipe_task(Perceptron)
    assert with_teachers(task, tmp_path) is task
    assert not trainings
    assert list(tmp_path.iterdir()) == []


def test_for_timing_nothing_is_taught(trainings: list[Teacher]) -> None:
    silent = untaught(untrained(TAUGHT, {"kind": "full"}))
    assert step_milliseconds(LOOP, silent, CPU) > 0
    assert not trainings


def test_a_source_with_another_head_cannot_teach() -> None:
    shapes = state_shapes(Perceptron())
    check_source_teaches(Perceptron(), shapes)
    for head in ({"head.weight": (7, 5)}, {}):
        others = {n: s for n, s in shapes.items() if n != "head.weight"} | head
        with pytest.raises(
            InvalidInputError, match=r"finetune\.teacher: source, whose head\.weight"
        ):
            check_source_teaches(Perceptron(), others)


def test_a_teacher_that_diverges_is_refused_by_its_rate() -> None:
    with pytest.raises(InvalidInputError, match=r"finetune\.learning_rate: 1000000000000\.0 given"):
        recipe_task(
            Perceptron,
            kind="distill",
            teacher_steps=20,
            learning_rate=1e12,
            optimizer={"kind": "sgd"},
        )


def test_a_source_that_says_nothing_finite_is_not_blamed_on_a_rate() -> None:
    task = recipe_task(Perceptron)
    huge = {name: 1e30 * x for name, x in task.source.items()}
    strategy = build_strategy(parsed({"kind": "distill", "teacher": "source"}))
    with pytest.raises(InvalidInputError, match=r"^source: "):
        with_teachers(dataclasses.replace(task, source=huge, strategy=strategy))


@pytest.mark.parametrize("labels", ["soft", "hard"])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_loss_is_that_of_the_papers(labels: str, is_weighted: bool) -> None:
    torch.manual_seed(0)
    logits, taught = torch.randn(2, 6, 3, dtype=torch.float64)
    classes, weights = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([1.0, 2, 4, 1, 2, 4]).double()
    strategy = Distillation(
        DistillConfig.model_validate({"labels": labels, "temperature": 3, "teacher_weight": 0.3})
    )
    targets = {TEACHER: taught} | ({WEIGHTS: weights} if is_weighted else {})
    own = cross_entropy(logits, classes, reduction="none")
    if labels == "hard":
        distance = cross_entropy(logits, taught.argmax(1), reduction="none")
    else:
        distance = 9 * kl_div(
            log_softmax(logits / 3, 1), (taught / 3).softmax(1), reduction="none"
        ).sum(1)
    shares = weights / weights.sum() if is_weighted else torch.full((6,), 1 / 6).double()
    expected = (shares * (0.7 * own + 0.3 * distance)).sum()
    found = strategy.loss(logits, Examples({}, classes, targets))
    torch.testing.assert_close(found, expected)
