"""Tests of what single architectures are; what all promise is in ``tests/contracts``."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from models.data.shapes import DataShape
from models.families import FAMILIES
from models.family import build_family
from models.surroundings import NOTHING
from search.errors import InvalidInputError


def build(kind: str, shape: DataShape, **options: object) -> nn.Module:
    return build_family(FAMILIES.config(kind).model_validate(options), NOTHING).build(shape)


def count(network: nn.Module, layer: type[nn.Module]) -> int:
    return sum(isinstance(module, layer) for module in network.modules())


def test_an_mlp_has_the_widths_asked_for() -> None:
    network = build("mlp", DataShape({"x": (2, 3)}, 4), hidden=[5, 7], activation="tanh")
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in linear] == [(5, 6), (7, 5), (4, 7)]
    assert count(network, nn.Tanh) == 2


def test_an_mlp_without_hidden_layers_is_linear() -> None:
    assert count(build("mlp", DataShape({"x": (6,)}, 4), hidden=[]), nn.Linear) == 1


def test_a_small_cnn_has_six_convolutions_in_two_stages_and_three_linear_layers() -> None:
    network = build("small_cnn", DataShape({"x": (3, 8, 8)}, 4))
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [16, 16, 16, 32, 32, 32]
    assert count(network, nn.Linear) == 3


@pytest.mark.parametrize("size", [4, 5, 28])
def test_a_small_cnn_takes_images_of_any_size(size: int) -> None:
    network = build("small_cnn", DataShape({"x": (1, size, size + 1)}, 4), width=2)
    assert network(x=torch.zeros(2, 1, size, size + 1)).shape == (2, 4)


@pytest.mark.parametrize("depth", [8, 20])
def test_a_resnet_has_the_weighted_layers_that_its_depth_says(depth: int) -> None:
    network = build("resnet_cifar", DataShape({"x": (3, 32, 32)}, 10), depth=depth)
    projections = 2
    assert count(network, nn.Conv2d) + count(network, nn.Linear) - projections == depth


def test_resnet_20_has_the_parameters_of_the_paper() -> None:
    with torch.device("meta"):
        network = build("resnet_cifar", DataShape({"x": (3, 32, 32)}, 10))
    # 0.27 million in He et al., table 6; option B adds two small projections.
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(270_000, rel=0.02)


@pytest.mark.parametrize("depth", [9, 21])
def test_a_depth_that_is_not_6n_plus_2_is_refused_with_its_neighbours(depth: int) -> None:
    with pytest.raises(ValidationError, match=f"depth {depth} is not 6n"):
        FAMILIES.config("resnet_cifar").model_validate({"depth": depth})


@pytest.mark.parametrize("kind", ["small_cnn", "resnet_cifar"])
@pytest.mark.parametrize("inputs", [{"x": (64,)}, {"x": (1, 3, 3)}, {"tokens": (1, 8, 8)}])
def test_image_networks_refuse_what_is_no_image(
    kind: str, inputs: dict[str, tuple[int, ...]]
) -> None:
    with pytest.raises(InvalidInputError, match="dataset: inputs of shape"):
        build(kind, DataShape(inputs, 3))


def test_an_mlp_refuses_named_inputs() -> None:
    with pytest.raises(InvalidInputError, match="one input named x"):
        build("mlp", DataShape({"x": (4,), "mask": (4,)}, 3))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("mlp", {"hidden": [0]}),
        ("mlp", {"activation": "sine"}),
        ("small_cnn", {"width": 0}),
        ("small_cnn", {"norm": "layer"}),
        ("resnet_cifar", {"norm": "none"}),
    ],
)
def test_options_out_of_bounds_are_refused_by_name(kind: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        FAMILIES.config(kind).model_validate(options)
