"""Tests that networks of many kinds compute a population as they compute its candidates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import pytest
import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.population import LayoutName, build_layout
from models.randomness import generator
from models.recipe.freezing import Freezing, nothing_frozen
from models.recipe.minibatches import Minibatches
from tests.contracts.population_comparison import N_CANDIDATES, assert_agree, population
from tests.models.image_networks import IMAGE_NETWORKS
from tests.models.odd_networks import N_CLASSES, ODD_NETWORKS
from tests.models.small_task import plain_recipe

NETWORKS: dict[str, type[nn.Module]] = {**IMAGE_NETWORKS, **ODD_NETWORKS}


def orders(name: str) -> list[bool]:
    """Memory orders to try, channels last or not: only images have another one."""
    return [False, True] if name in IMAGE_NETWORKS else [False]


@pytest.fixture(params=sorted(NETWORKS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def samples(name: str, n_samples: int = 6) -> Tensor:
    shape = (3, 8, 8) if name in IMAGE_NETWORKS else (6,)
    return torch.randn(n_samples, *shape, generator=generator(0, "x"), dtype=torch.float64)


def trained(
    name: str, layout: LayoutName, channels_last: bool, freezing: Freezing, shared: Sequence[str]
) -> State:
    """State of a population after two epochs of two steps, and its logits."""
    network = NETWORKS[name]().double()
    state, x = population(network, shared), samples(name)
    data = Examples({"x": x}, torch.arange(len(x)) % N_CLASSES)
    minibatches = torch.arange(len(x)).view(2, -1).repeat(2, 1)
    recipe = plain_recipe(freezing)
    computed = build_layout(layout, network, channels_last=channels_last)
    torch.manual_seed(0)
    computed.train(state, data, Minibatches.common(minibatches), recipe)
    return state | {"logits": computed.logits(state, data)}


def assert_equals_the_loop(name: str, freezing: Freezing, shared: Sequence[str] = ()) -> None:
    expected = trained(name, "loop", False, freezing, shared)
    fused: list[tuple[LayoutName, bool]] = [("stacked", order) for order in orders(name)]
    for layout, channels_last in [*fused, ("vmap", False)]:
        found = trained(name, layout, channels_last, freezing, shared)
        assert found.keys() == expected.keys()
        for tensor_name, tensor in expected.items():
            torch.testing.assert_close(found[tensor_name], tensor, rtol=1e-6, atol=1e-7)


def tensors_by_module(name: str) -> list[list[str]]:
    """Names of the tensors of each module that has any, in order."""
    modules: dict[str, list[str]] = {}
    for tensor in population(NETWORKS[name]()):
        modules.setdefault(tensor.rpartition(".")[0], []).append(tensor)
    return list(modules.values())


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_outputs_gradients_and_buffers_agree(name: str, training: bool) -> None:
    for channels_last in orders(name):
        network = NETWORKS[name]().train(training)
        assert_agree(network, samples(name), channels_last=channels_last)


def test_training_equals_the_loop(name: str) -> None:
    assert_equals_the_loop(name, nothing_frozen(N_CANDIDATES))


def test_training_equals_the_loop_where_candidates_freeze_different_modules(name: str) -> None:
    modules = tensors_by_module(name)
    second, third = (frozenset(chain.from_iterable(some)) for some in (modules[::2], modules[:-1]))
    assert_equals_the_loop(name, Freezing((frozenset(), second, third), {}))


def test_training_equals_the_loop_behind_a_shared_prefix(name: str) -> None:
    modules = tensors_by_module(name)
    prefix = list(chain.from_iterable(modules[: (len(modules) + 1) // 2]))
    kept = dict.fromkeys(prefix, (True,) * N_CANDIDATES)
    assert_equals_the_loop(name, Freezing((frozenset(prefix),) * N_CANDIDATES, kept), prefix)
