"""Tests of what the ``stacked`` layout leaves as it was, leaves to ``vmap``, and refuses."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.layout import Layout
from models.population import LayoutName, build_layout
from models.population.stacked_network import StackedNetwork
from models.randomness import generator
from models.recipe.freezing import nothing_frozen
from models.recipe.minibatches import Minibatches
from tests.contracts.population_comparison import N_CANDIDATES, assert_agree, population
from tests.models.image_networks import Chain, Patches, Viewed
from tests.models.odd_networks import (
    N_CLASSES,
    ChangesBuffers,
    Hooked,
    OwnTensors,
    Patched,
    TwoLayers,
)
from tests.models.small_task import plain_recipe

FUSED: list[LayoutName] = ["stacked", "vmap"]


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(0, "x"), dtype=torch.float64)


def train(layout: Layout, state: State, x: Tensor, name: str = "x") -> State:
    data = Examples({name: x}, torch.arange(len(x)) % N_CLASSES)
    recipe = plain_recipe(nothing_frozen(N_CANDIDATES))
    torch.manual_seed(0)
    layout.train(state, data, Minibatches.common(torch.arange(len(x)).view(2, -1)), recipe)
    return {**state, "logits": layout.logits(state, data)}


def reasons(network: nn.Module) -> dict[str, str]:
    return StackedNetwork(network, channels_last=False).reasons


class Failing(TwoLayers):
    """Fails after its first layer."""

    def forward(self, x: Tensor) -> Tensor:
        raise ValueError(f"no logits for {self.first(x).shape}")


class InsideAnotherVmap(TwoLayers):
    """Maps a layer over its samples itself."""

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.second(torch.func.vmap(self.first)(x))
        return logits


class HiddenParameter(TwoLayers):
    """Reads a weight past its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = [self.first.weight]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x @ self.hidden[0])


class WithMask(nn.Module):
    """PyTorch's own encoder with its defaults, which would nest tensors where samples are padded."""

    def __init__(self, *, norm_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=not norm_first)
        self.head = nn.Linear(4, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        padding = torch.arange(5).expand(len(x), -1) >= 3
        logits: Tensor = self.head(self.encoder(x, src_key_padding_mask=padding)[:, 0])
        return logits


@pytest.mark.parametrize("network", [Chain, Patched, ChangesBuffers])
@pytest.mark.parametrize("layout", FUSED)
def test_a_network_is_left_as_it_was(network: type[nn.Module], layout: LayoutName) -> None:
    own = network().double()
    before = {
        name: (tensor, tensor.clone()) for name, tensor in own.state_dict(keep_vars=True).items()
    }
    patches = {name for name, module in own.named_modules() if "forward" in vars(module)}
    x = draw(6, 3, 8, 8) if network is Chain else draw(6, 6)
    train(build_layout(layout, own), population(own), x)
    for name, tensor in own.state_dict(keep_vars=True).items():
        assert tensor is before[name][0]
        assert torch.equal(tensor, before[name][1])
    assert patches == {name for name, module in own.named_modules() if "forward" in vars(module)}


@pytest.mark.parametrize("layout", FUSED)
def test_a_network_that_fails_is_left_as_it_was(layout: LayoutName) -> None:
    network = Failing().double()
    weight = network.first.weight
    with pytest.raises(ValueError, match="no logits"):
        train(build_layout(layout, network), population(network), draw(6, 6))
    assert network.first.weight is weight
    assert "forward" not in vars(network.first)
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_trained_population_is_not_kept() -> None:
    network = TwoLayers().double()
    layout, state = build_layout("stacked", network), population(network)
    train(layout, state, draw(6, 6))
    weight = weakref.ref(state["first.weight"])
    state.clear()
    gc.collect()
    assert weight() is None


def test_a_copied_layout_trains_as_the_first() -> None:
    network, x = Chain().double(), draw(6, 3, 8, 8)
    layout = build_layout("stacked", network, channels_last=True)
    first = train(layout, population(network), x)
    second = train(copy.deepcopy(layout), population(network), x)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name])


@pytest.mark.parametrize("layout", [*FUSED, "loop"])
def test_a_network_may_be_one_layer(layout: LayoutName) -> None:
    network, x = nn.Linear(6, N_CLASSES).double(), draw(6, 6)
    expected = train(build_layout("loop", copy.deepcopy(network)), population(network), x, "input")
    found = train(build_layout(layout, network), population(network), x, "input")
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)


def test_channels_last_is_refused_by_a_network_that_needs_the_other_order() -> None:
    assert_agree(Viewed(), draw(6, 3, 8, 8))
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        assert_agree(Viewed(), draw(6, 3, 8, 8), channels_last=True)


def test_layers_inside_a_transform_of_the_network_s_own_are_refused() -> None:
    network = InsideAnotherVmap().double()
    with pytest.raises(RuntimeError, match="Linear is called inside a transform"):
        train(build_layout("stacked", network), population(network), draw(6, 6))
    train(build_layout("vmap", network), population(network), draw(6, 6))


@pytest.mark.parametrize("layout", FUSED)
def test_parameters_that_cannot_be_lent_are_refused(layout: LayoutName) -> None:
    network = HiddenParameter().double()
    with pytest.raises(RuntimeError, match="holds outside its modules"):
        train(build_layout(layout, network), population(network), draw(6, 6))


def test_layers_left_to_vmap_are_named_with_the_reason() -> None:
    assert reasons(Chain()) == {}
    assert reasons(Hooked()) == {"first": "has hooks", "second": "has hooks"}
    assert reasons(Patched()) == {"first": "has a forward of its own"}
    assert reasons(ChangesBuffers()) == {"": "ChangesBuffers has no population layer"}
    assert set(reasons(OwnTensors())) == {"", "one", "two", "steps", "out"}
    outside = nn.Linear(2, 2)
    outside.register_buffer("mask", torch.ones(2), persistent=False)
    assert reasons(nn.Sequential(outside)) == {"0": "has tensors outside its state"}


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.BatchNorm1d(4, momentum=None), "BatchNorm1d with momentum None"),
        (nn.InstanceNorm1d(4, track_running_stats=True), "InstanceNorm1d with running statistics"),
        (nn.Embedding(4, 4, max_norm=1.0), "Embedding with max_norm 1.0"),
        (nn.Embedding(4, 4, scale_grad_by_freq=True), "Embedding with scale_grad_by_freq True"),
    ],
)
def test_options_without_a_stacked_form_are_named(layer: nn.Module, reason: str) -> None:
    assert reasons(nn.Sequential(layer))["0"].startswith(reason)


def test_statistics_that_a_norm_stopped_tracking_are_left_alone() -> None:
    norm = nn.BatchNorm1d(4)
    norm.track_running_stats = False
    assert reasons(nn.Sequential(norm)) == {
        "0": "BatchNorm1d with running statistics that it does not track"
    }


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("layout", FUSED)
def test_encoders_are_scored_without_their_fast_path(
    layout: LayoutName, norm_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, x = WithMask(norm_first=norm_first).double(), draw(6, 5, 4)
    computed = build_layout(layout, network)
    found = train(computed, population(network), x)
    assert torch.backends.mha.get_fastpath_enabled()
    monkeypatch.setattr(torch.backends.mha, "_is_fastpath_enabled", False)
    expected = train(build_layout("loop", network), population(network), x)
    assert not torch.backends.mha.get_fastpath_enabled()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("norm_first", [True, False])
def test_encoders_agree_with_their_fast_path(norm_first: bool) -> None:
    assert_agree(Patches(norm_first=norm_first, dropout=0.0).eval(), draw(6, 3, 8, 8))
