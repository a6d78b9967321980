"""Tests of fitting a checkpoint to a network: types, tied tensors, the report, what is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.checkpoints.fitting import FittedCheckpoint, fit_checkpoint
from models.checkpoints.naming import NamingOptions
from models.checkpoints.shards import open_checkpoint
from models.inputs import InputFolder
from search.errors import InvalidInputError
from tests.models.checkpoints.raw_safetensors import entry, write_raw


class Tied(nn.Module):
    """Embedding and head share their weight; a buffer masks, another counts."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 5)
        self.head.weight = self.embed.weight
        self.register_buffer("mask", torch.zeros(3))


def meta() -> Tied:
    with torch.device("meta"):
        return Tied()


def fitted(
    folder: Path, state: dict[str, Tensor], network: nn.Module | None = None
) -> FittedCheckpoint:
    """Write a state and fit it to a network on the meta device."""
    # One copy each: safetensors refuses tensors that share memory.
    copies = {name: tensor.clone().contiguous() for name, tensor in state.items()}
    save_file(copies, folder / "a.safetensors")
    checkpoint = open_checkpoint("a.safetensors", InputFolder(folder), "source.path")
    return fit_checkpoint(checkpoint, network or meta(), NamingOptions(("module.",), {}, "source"))


def without(state: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name not in names}


def test_a_whole_checkpoint_is_loaded_under_the_networks_names(tmp_path: Path) -> None:
    state = Tied().state_dict()
    found = fitted(tmp_path, {f"module.{name}": tensor for name, tensor in state.items()})
    loaded = found.load()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    Tied().load_state_dict(loaded, strict=True)
    assert found.report.model_dump() == {
        "path": "a.safetensors",
        "files": 1,
        "renaming": ("stripped 'module.'",),
        "converted": {},
        "n_tensors": 8,
        "n_matched": 8,
        "n_mismatched": 0,
        "mismatched": (),
        "n_missing": 0,
        "missing": (),
        "n_unexpected": 0,
        "unexpected": (),
    }


@pytest.mark.parametrize("left_out", ["embed.weight", "head.weight"])
def test_one_name_of_a_tied_tensor_is_enough(left_out: str, tmp_path: Path) -> None:
    state = Tied().state_dict()
    found = fitted(tmp_path, without(state, left_out))
    assert found.shapes() == {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert found.report.n_missing == 0
    loaded = found.load()
    assert torch.equal(loaded[left_out], state["embed.weight"])


def test_a_tied_tensor_with_two_values_is_refused(tmp_path: Path) -> None:
    state = Tied().state_dict() | {"head.weight": torch.zeros(5, 3)}
    with pytest.raises(InvalidInputError, match=r"embed\.weight and head\.weight, which differ"):
        fitted(tmp_path, state).load()


def test_what_does_not_fit_is_reported_with_both_shapes(tmp_path: Path) -> None:
    state = without(Tied().state_dict(), "norm.bias", "embed.weight")
    state |= {"head.weight": torch.zeros(7, 3), "head.bias": torch.zeros(7)}
    state["optimizer.step"] = torch.tensor(3)
    found = fitted(tmp_path, state)
    report = found.report
    assert (report.n_matched, report.n_tensors) == (5, 8)
    assert {str(other) for other in report.mismatched} == {
        "embed.weight (7, 3) instead of (5, 3)",
        "head.bias (7,) instead of (5,)",
    }
    assert (report.missing, report.unexpected) == (("norm.bias",), ("optimizer.step",))
    assert report.details == [
        "2 of another shape: embed.weight (7, 3) instead of (5, 3), head.bias (7,) instead of (5,)",
        "1 missing: norm.bias",
        "1 unexpected: optimizer.step",
    ]
    assert found.shapes()["head.bias"] == (7,)
    assert {name: tuple(tensor.shape) for name, tensor in found.load().items()} == found.shapes()


def test_a_report_of_a_huge_checkpoint_stays_short(tmp_path: Path) -> None:
    state = {f"t{n}": torch.zeros(0) for n in range(3000)}
    report = fitted(tmp_path, Tied().state_dict() | state).report
    assert (report.n_unexpected, len(report.unexpected)) == (3000, 100)
    assert report.details == ["3000 unexpected: t0, t1, t10 and 2997 more"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_the_networks(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in Tied().state_dict().items()
    }
    found = fitted(tmp_path, state)
    assert found.report.converted == {f"{dtype} to float32".removeprefix("torch."): 8}
    loaded = found.load()
    assert loaded["norm.weight"].dtype == torch.float32
    assert loaded["norm.num_batches_tracked"].dtype == torch.int64
    assert torch.equal(loaded["head.weight"], state["head.weight"].float())


def test_a_network_of_half_precision_gets_half_precision(tmp_path: Path) -> None:
    found = fitted(tmp_path, Tied().state_dict(), meta().half())
    assert found.load()["embed.weight"].dtype == torch.float16
    state = Tied().state_dict() | {"head.bias": torch.full((5,), 1e6)}
    with pytest.raises(InvalidInputError, match=r"head\.bias with .* infinite values as float16"):
        fitted(tmp_path, state, meta().half()).load()


def test_whole_numbers_are_kept_and_may_be_narrower(tmp_path: Path) -> None:
    state = Tied().state_dict() | {"norm.num_batches_tracked": torch.tensor(7, dtype=torch.int32)}
    found = fitted(tmp_path, state)
    assert found.report.converted == {"int32 to int64": 1}
    assert found.load()["norm.num_batches_tracked"] == 7


def test_whole_numbers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    class Small(nn.Linear):
        def __init__(self) -> None:
            super().__init__(1, 1)
            self.register_buffer("count", torch.tensor(0, dtype=torch.uint8))

    state = Small().state_dict() | {"count": torch.tensor(-1)}
    with pytest.raises(InvalidInputError, match="count with numbers that do not fit into uint8"):
        fitted(tmp_path, state, Small()).load()


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        (
            "norm.num_batches_tracked",
            torch.tensor(7.5),
            "float32, another kind of number than int64",
        ),
        ("head.bias", torch.ones(5, dtype=torch.int8), "int8, another kind of number than float32"),
        ("head.bias", torch.ones(5, dtype=torch.bool), "bool, another kind"),
        ("head.bias", torch.ones(5, dtype=torch.complex64), "complex64, another kind"),
        ("head.bias", torch.ones(5).to(torch.float8_e4m3fn), "F8_E4M3, quantised or unknown"),
    ],
)
def test_another_kind_of_number_is_refused_before_anything_is_read(
    name: str, tensor: Tensor, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=f"a.safetensors in which {name} is {message}"):
        fitted(tmp_path, Tied().state_dict() | {name: tensor})


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["embed.weight", "norm.bias"])
def test_weights_that_are_not_finite_are_refused_by_name(
    name: str, value: float, tmp_path: Path
) -> None:
    state = Tied().state_dict()
    state[name] = state[name].clone()
    state[name][-1] = value
    if name == "embed.weight":
        state["head.weight"] = state[name]
    with pytest.raises(
        InvalidInputError, match=rf"source\.path: a\.safetensors: {name} with NaN or"
    ):
        fitted(tmp_path, state).load()


def test_a_mask_may_be_infinite_but_never_nan(tmp_path: Path) -> None:
    state = Tied().state_dict()
    infinite = torch.tensor([0.0, -torch.inf, torch.inf])
    loaded = fitted(tmp_path, state | {"mask": infinite}).load()
    assert torch.equal(loaded["mask"], infinite)
    with pytest.raises(InvalidInputError, match="mask with NaN"):
        fitted(tmp_path, state | {"mask": torch.tensor([0.0, torch.nan, 0.0])}).load()


def test_what_is_loaded_does_not_change_with_the_file(tmp_path: Path) -> None:
    state = Tied().state_dict()
    loaded = fitted(tmp_path, state).load()
    path = tmp_path / "a.safetensors"
    with path.open("r+b") as file:
        file.seek(-40, 2)
        file.write(b"\xff" * 40)
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_a_tensor_without_numbers_is_a_tensor(tmp_path: Path) -> None:
    class Empty(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 2)
            self.register_buffer("none", torch.zeros(0, 3))

    found = fitted(tmp_path, Empty().state_dict(), Empty())
    assert found.report.n_matched == 3
    assert found.load()["none"].shape == (0, 3)


def test_a_file_that_changes_between_check_and_load_is_refused(tmp_path: Path) -> None:
    found = fitted(tmp_path, Tied().state_dict())
    write_raw(tmp_path / "a.safetensors", {"other": entry()})
    with pytest.raises(InvalidInputError, match=r"source\.path"):
        found.load()
