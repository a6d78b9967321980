"""Tests of where networks lie, and whether they lie there at all."""

from __future__ import annotations

import pickle

import torch
from torch import nn

from models.placement import placed_network, without_weights


def test_a_network_without_weights_is_small_and_its_copies_are_whole() -> None:
    norm = nn.BatchNorm1d(300)
    nn.init.constant_(norm.get_buffer("running_mean"), 3)
    network = nn.Sequential(nn.Linear(300, 300), norm)
    names = set(network.state_dict())
    lean = without_weights(network, names)
    assert {name: x.shape for name, x in lean.state_dict().items()}.keys() == names
    assert len(pickle.dumps(lean)) < 20_000
    copy = placed_network(lean, torch.device("cpu"), torch.float32)
    weight = copy.get_parameter("0.weight")
    assert weight.is_contiguous()
    assert weight.untyped_storage().nbytes() == 300 * 300 * 4
    with torch.no_grad():
        weight[0, 0] = 1
    assert weight.sum() == 1, "no two numbers share memory"
    assert copy.get_buffer("1.running_mean").eq(3).all(), "buffers are kept"


def test_tied_weights_stay_tied_and_others_stay() -> None:
    first, second, last = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)
    second.weight = first.weight
    network, kept = nn.Sequential(first, second, last), last.weight.detach().clone()
    lean = without_weights(network, {"0.weight", "0.bias", "1.bias"})
    copy = placed_network(lean, torch.device("cpu"), torch.float32)
    assert copy.get_parameter("0.weight") is copy.get_parameter("1.weight")
    assert torch.equal(copy.get_parameter("2.weight"), kept)
