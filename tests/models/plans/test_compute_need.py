"""Guesses at the time of a search from what its network computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.data.shapes import DataShape
from models.plans.compute_need import Work, flops_per_second, forward_flops
from tests.models.huggingface.cases import inline, shape_of

SHAPE = DataShape({"x": (1, 8, 8)}, 3)


class Layers(nn.Module):
    """Some layers after each other, over an input called x."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


def on_meta(*layers: nn.Module) -> nn.Module:
    return Layers(*layers).to("meta")


def test_products_and_convolutions_of_one_sample_are_counted() -> None:
    network = on_meta(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3))
    assert forward_flops(network, SHAPE) == 2 * (36 * 4 * 9) + 2 * (144 * 3)
    assert network.training


@pytest.mark.parametrize("model_type", ["bert", "vit", "resnet"])
def test_networks_of_transformers_are_counted_without_memory(model_type: str) -> None:
    shape = shape_of(model_type)
    with torch.device("meta"):
        network = inline(model_type).build(shape)
    flops = forward_flops(network, shape)
    assert flops is not None
    assert flops > sum(p.numel() for p in network.parameters() if p.ndim > 1) / 10


def test_what_cannot_be_seen_without_running_it_is_none() -> None:
    class Looks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum().item() > 0 else -x

    assert forward_flops(Looks().to("meta"), SHAPE) is None
    assert forward_flops(on_meta(nn.Flatten()), SHAPE) is None


def test_training_takes_three_times_what_scoring_takes_and_every_step_some_time() -> None:
    assert Work(10, 100, 0).flops(7) == Work(10, 0, 300).flops(7) == 2100
    least, most = Work(1000, 0, 0).seconds(7, 1e9)
    assert 0 < least < most
    idle = Work(0, 100, 50).seconds(1000, 1e6)
    assert 0.35 < idle[0] < idle[1]


def test_the_machine_computes_something() -> None:
    assert flops_per_second() > 1e6
