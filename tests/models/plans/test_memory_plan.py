"""Tests of planning memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from models.data.dataset import Examples
from models.finetuning.full import FullConfig, FullFineTuning
from models.plans import memory_plan
from models.plans.memory_plan import available_bytes, candidate_bytes

CPU = torch.device("cpu")
FLOAT = 4


def minibatch(n_samples: int, width: int) -> Examples:
    return Examples(
        {"input": torch.zeros(n_samples, width)}, torch.zeros(n_samples, dtype=torch.int64)
    )


def test_weights_gradients_and_both_moments_of_adam_count() -> None:
    network = nn.Linear(1000, 1000, bias=False)
    found = candidate_bytes(network, FullFineTuning(FullConfig()), minibatch(1, 1000))
    assert found == pytest.approx(4 * 1_000_000 * FLOAT, rel=0.02)


def test_activations_grow_with_the_minibatch_and_inputs_do_not_count() -> None:
    network = nn.Sequential(nn.Linear(10, 1000), nn.Tanh(), nn.Linear(1000, 10))
    strategy = FullFineTuning(FullConfig())
    small, large = (candidate_bytes(network, strategy, minibatch(n, 10)) for n in (100, 1100))
    # The hidden layer is saved once, though two operations read it; the logits' softmax too.
    assert large - small == pytest.approx(1000 * (1000 + 10) * FLOAT, rel=0.02)


def test_measuring_changes_neither_network_nor_draws() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    before = {name: x.clone() for name, x in network.state_dict().items()}
    draws = torch.get_rng_state()
    candidate_bytes(network, FullFineTuning(FullConfig()), minibatch(8, 4))
    assert all(torch.equal(before[name], x) for name, x in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), draws)


def test_a_network_that_trains_nothing_still_counts_its_weights() -> None:
    network = nn.Linear(100, 100).requires_grad_(requires_grad=False)
    found = candidate_bytes(network, FullFineTuning(FullConfig()), minibatch(1, 100))
    assert found >= 100 * 101 * FLOAT


def test_a_container_with_less_than_the_machine_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limit, used = tmp_path / "limit", tmp_path / "used"
    limit.write_text("5000000\n")
    used.write_text("1000000\n")
    monkeypatch.setattr(memory_plan, "_CGROUPS", ((str(limit), str(used)),))
    assert available_bytes(CPU) == 4_000_000
    limit.write_text("max\n")
    assert available_bytes(CPU) > 4_000_000
