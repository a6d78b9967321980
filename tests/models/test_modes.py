"""Tests of the modes that a network is put into, and that nothing is left of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.finetuning.full import FullConfig, FullFineTuning
from models.layout import Recipe
from models.plans.plan import Plan
from models.population import LayoutName
from models.population.modes import has_dropout, looking, training_mode
from models.recipe.freezing import nothing_frozen
from tests.models.recipe_cases import LAYOUTS, SmallConvolution, asked, recipe_task
from tests.models.small_task import evaluator


class Varied(nn.Module):
    """Dropout of several kinds, and normalisations with several momenta."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, dropout=0.3)
        self.dropouts = nn.ModuleList([nn.Dropout(0.1), nn.AlphaDropout(0.2), nn.Dropout2d(0.4)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(4), nn.BatchNorm1d(4, momentum=None)])

    def settings(self) -> list[float | None]:
        return [
            self.attention.dropout,
            *(module.p for module in self.dropouts),
            *(module.momentum for module in self.norms),
        ]


def recipe(*, averages_statistics: bool = False, **options: object) -> Recipe:
    config = FullConfig.model_validate(options)
    return Recipe(
        FullFineTuning(config),
        (0.1,),
        nothing_frozen(1),
        averages_statistics=averages_statistics,
    )


@pytest.mark.parametrize("is_broken", [False, True])
def test_dropout_and_momentum_are_lent_and_taken_back(is_broken: bool) -> None:
    network = Varied().eval()
    before = network.settings()
    with (
        pytest.raises(ZeroDivisionError) if is_broken else torch.no_grad(),
        training_mode(network, recipe(dropout=0.7, averages_statistics=True)) as begin,
    ):
        assert network.training
        begin(3)
        assert network.settings() == [0.7, 0.7, 0.7, 0.7, 0.25, 0.25]
        if is_broken:
            raise ZeroDivisionError
    assert network.settings() == before


def test_without_an_option_nothing_is_changed() -> None:
    network = Varied()
    before = network.settings()
    with training_mode(network, recipe()) as begin:
        begin(3)
        assert network.settings() == before


def test_only_what_has_a_probability_counts_as_dropout() -> None:
    found = [name for name, module in Varied().named_modules() if has_dropout(module)]
    assert found == ["attention", "dropouts.0", "dropouts.1", "dropouts.2"]


def test_a_look_leaves_each_module_in_its_mode() -> None:
    network = Varied().train()
    network.norms[0].eval()
    seen: list[bool] = []

    def look() -> None:
        with looking(network):
            seen.extend(module.training for module in network.modules())
            seen.append(torch.is_grad_enabled())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        look()
    assert not any(seen)
    assert torch.is_grad_enabled()
    assert [module.training for module in network.norms] == [False, True]
    assert network.training


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_training_that_fails_leaves_the_layout_as_it_was(
    layout: LayoutName, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = recipe_task(SmallConvolution, dropout=0.6, batch_norm={"reestimate": "before"})
    plan = Plan(layout=layout, chunks=(1,) if layout == "loop" else (1, 4), threads=1)
    chunk = asked(task, 4)[: plan.chunk_size]
    expected = [e.loss for e in evaluator(task, plan).evaluate(chunk)]
    measure = evaluator(task, plan)
    calls: list[int] = []
    objective = type(task.strategy.stages[0].objective)
    loss = objective.loss

    def failing(self: object, logits: Tensor, minibatch: object) -> Tensor:
        calls.append(len(calls))
        if len(calls) == 3:
            raise ZeroDivisionError
        return loss(self, logits, minibatch)  # type: ignore[arg-type]

    monkeypatch.setattr(objective, "loss", failing)
    with pytest.raises(ZeroDivisionError):
        measure.evaluate(chunk)
    assert [e.loss for e in measure.evaluate(chunk)] == expected
