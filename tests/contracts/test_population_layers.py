"""What every population layer promises: the numbers of the ordinary layer, candidate by candidate."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.population.population_layer import population_layers
from models.population.stacked_network import StackedNetwork
from tests.contracts.population_cases import CASES, Case
from tests.contracts.population_comparison import (
    AroundLayer,
    assert_agree,
    one_by_one,
    population,
    together,
)

LayerCase = tuple[type[nn.Module], Case]
ALL: list[LayerCase] = [(kind, case) for kind, cases in CASES.items() for case in cases]


def name_of(case: LayerCase) -> str:
    kind, options = case[0].__name__, case[1].options
    return "-".join([kind, *(str(value) for value in options.values()), str(len(case[1].shape))])


every_case = pytest.mark.parametrize("layer_case", ALL, ids=name_of)


def around(case: LayerCase, *, differs: bool, is_scaled: bool = False) -> AroundLayer:
    """A network of one layer, whose inputs are the same for all candidates or differ."""
    kind, options = case
    shift = torch.zeros_like(options.inputs()) if differs else None
    return AroundLayer(kind(**options.options), options.call, shift, is_scaled)


def test_no_layer_is_forgotten() -> None:
    assert set(CASES) == set(population_layers())


@every_case
def test_options_under_test_are_taken(layer_case: LayerCase) -> None:
    reasons = StackedNetwork(around(layer_case, differs=False), channels_last=False).reasons
    assert not reasons


@pytest.mark.parametrize("differs", [True, False], ids=["own inputs", "same inputs"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@every_case
def test_a_population_equals_its_candidates(
    layer_case: LayerCase, training: bool, differs: bool
) -> None:
    x = layer_case[1].inputs()
    for channels_last in (False, True) if x.ndim == 4 else (False,):
        network = around(layer_case, differs=differs).train(training)
        assert_agree(network, x, channels_last=channels_last)
        assert network.gives_batched


@every_case
def test_a_shared_layer_behind_a_trained_one_equals_its_candidates(layer_case: LayerCase) -> None:
    network = around(layer_case, differs=True, is_scaled=True).eval()
    shared = [f"layer.{name}" for name in network.layer.state_dict()]
    assert_agree(network, layer_case[1].inputs(), shared=shared)


@every_case
def test_a_shared_layer_before_a_trained_one_is_computed_once(layer_case: LayerCase) -> None:
    network = around(layer_case, differs=False, is_scaled=True).eval()
    shared = [f"layer.{name}" for name in network.layer.state_dict()]
    assert_agree(network, layer_case[1].inputs(), shared=shared)
    assert not network.gives_batched


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
@every_case
def test_lower_precision_is_where_the_ordinary_layer_has_it(layer_case: LayerCase) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x = layer_case[1].inputs(dtype)
        network = around(layer_case, differs=True).float().train()
        state = population(network)
        with torch.autocast("cpu", torch.bfloat16):
            expected = one_by_one(network, state, x).outputs[0]
            found = together(network, state, x).outputs[0]
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
