"""What every population layer promises: the numbers of the ordinary layer, candidate by candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

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

ChoiceT = TypeVar("ChoiceT")
# Whether in training mode, and whether inputs differ between candidates: two of them try each value of both.
MODES = [(True, True), (False, False), (True, False), (False, True)]


@dataclass(frozen=True, slots=True)
class LayerCase:
    """A layer and its options: the first ones are tried in every way, the others in some, by turns."""

    kind: type[nn.Module]
    case: Case
    number: int

    @property
    def name(self) -> str:
        """For the output of a test run."""
        options = [str(value) for value in self.case.options.values()]
        return "-".join([self.kind.__name__, *options, str(len(self.case.shape))])

    def modes(self) -> list[tuple[bool, bool, bool]]:
        """Whether to train, whether inputs differ, and whether images are pixel by pixel in memory."""
        modes = MODES if self.number == 0 else MODES[2 * (self.number % 2) :][:2]
        if len(self.case.shape) != 4:
            return [(*mode, False) for mode in modes]
        if self.number == 0:
            return [(*mode, channels_last) for mode in modes for channels_last in (False, True)]
        turn = self.number // 2
        return [(*mode, (turn + i) % 2 == 1) for i, mode in enumerate(modes)]

    def by_turns(self, *choices: ChoiceT) -> tuple[ChoiceT, ...]:
        """All for the first options of a layer, one for the others."""
        return choices if self.number == 0 else (choices[self.number % len(choices)],)

    def network(self, *, differs: bool, is_scaled: bool = False) -> AroundLayer:
        """A network of one layer, whose inputs are the same for all candidates or differ."""
        shift = torch.zeros_like(self.case.inputs()) if differs else None
        return AroundLayer(self.kind(**self.case.options), self.case.call, shift, is_scaled)


ALL = [
    LayerCase(kind, case, number)
    for kind, cases in CASES.items()
    for number, case in enumerate(cases)
]
every_case = pytest.mark.parametrize("layer_case", ALL, ids=lambda layer_case: layer_case.name)


def test_no_layer_is_forgotten() -> None:
    assert set(CASES) == set(population_layers())


@every_case
def test_a_population_equals_its_candidates(layer_case: LayerCase) -> None:
    for training, differs, channels_last in layer_case.modes():
        network = layer_case.network(differs=differs).train(training)
        assert "layer" not in StackedNetwork(network, channels_last=channels_last).reasons
        assert_agree(network, layer_case.case.inputs(), channels_last=channels_last)
        assert network.gives_batched


@every_case
def test_a_shared_layer_equals_its_candidates_and_is_computed_once_before_a_trained_one(
    layer_case: LayerCase,
) -> None:
    for is_behind in layer_case.by_turns(True, False):
        network = layer_case.network(differs=is_behind, is_scaled=True).eval()
        shared = [f"layer.{name}" for name in network.layer.state_dict()]
        assert_agree(network, layer_case.case.inputs(), shared=shared)
        assert network.gives_batched == is_behind


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
@every_case
def test_lower_precision_is_where_the_ordinary_layer_has_it(layer_case: LayerCase) -> None:
    for dtype in layer_case.by_turns(torch.float32, torch.bfloat16):
        x = layer_case.case.inputs(dtype)
        network = layer_case.network(differs=True).float().train()
        state = population(network)
        with torch.autocast("cpu", torch.bfloat16):
            expected = one_by_one(network, state, x).outputs[0]
            found = together(network, state, x).outputs[0]
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
