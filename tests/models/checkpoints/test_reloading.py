"""Tests of loading back what was written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.checkpoints import save_state
from models.checkpoints.reloading import check_loads_back
from search.errors import TransferMaskError


class Masked(nn.Linear):
    """With a buffer that is infinite, as a causal mask is."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))


def test_the_state_of_a_network_loads_back_and_leaves_it_alone(tmp_path: Path) -> None:
    network = Masked()
    before = network.weight.detach().clone()
    state = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    save_state(tmp_path / "a.safetensors", state | {"mask": network.mask})
    check_loads_back(tmp_path / "a.safetensors", network)
    assert torch.equal(network.weight, before)


@pytest.mark.parametrize("wrong", ["missing", "unexpected", "shape", "truncated"])
def test_what_would_not_load_is_no_result(wrong: str, tmp_path: Path) -> None:
    state, path = Masked().state_dict(), tmp_path / "a.safetensors"
    if wrong == "missing":
        del state["bias"]
    elif wrong == "unexpected":
        state["other"] = torch.zeros(1)
    elif wrong == "shape":
        state["bias"] = torch.zeros(3)
    save_state(path, state)
    if wrong == "truncated":
        path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(TransferMaskError, match="does not load back"):
        check_loads_back(path, Masked())
