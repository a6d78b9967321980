"""Tests of weights on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.checkpoints import load_state, read_shapes, save_state
from search.errors import InvalidInputError


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state = {
        "weight": torch.randn(3, 4),
        "steps": torch.tensor(7),
        "half": torch.ones(2).bfloat16(),
    }
    save_state(tmp_path / "a.safetensors", state)
    loaded = load_state(tmp_path / "a.safetensors")
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_tied_tensors_and_views_are_saved_under_every_name(tmp_path: Path) -> None:
    weight = torch.randn(6, 4)
    save_state(tmp_path / "a.safetensors", {"a": weight, "b": weight, "row": weight.T[1:3]})
    loaded = load_state(tmp_path / "a.safetensors")
    assert torch.equal(loaded["a"], loaded["b"])
    assert torch.equal(loaded["row"], weight.T[1:3])


def test_shapes_are_read_from_the_header(tmp_path: Path) -> None:
    save_state(tmp_path / "a.safetensors", {"weight": torch.zeros(3, 4), "steps": torch.tensor(7)})
    assert read_shapes(tmp_path / "a.safetensors", "source.path") == {"weight": (3, 4), "steps": ()}


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    save_state(path, {"weight": torch.zeros(2)})

    def no_space(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("models.checkpoints.writing.os.fsync", no_space)
    with pytest.raises(OSError, match="no space"):
        save_state(path, {"weight": torch.ones(2)})
    assert torch.equal(load_state(path)["weight"], torch.zeros(2))


@pytest.mark.parametrize("read", [read_shapes, load_state])
def test_a_truncated_file_is_refused_with_the_way_out(tmp_path: Path, read: type) -> None:
    path = tmp_path / "a.safetensors"
    save_state(path, {"weight": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InvalidInputError, match=r"source\.path: a\.safetensors.*save_file"):
        read(path, "source.path")


@pytest.mark.parametrize("read", [read_shapes, load_state])
def test_a_pickle_is_refused_without_being_opened_as_one(tmp_path: Path, read: type) -> None:
    path = tmp_path / "a.safetensors"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(InvalidInputError, match=r"source\.path: .*safetensors"):
        read(path, "source.path")


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path) -> None:
    save_state(
        tmp_path / "a.safetensors", {"fine": torch.ones(2), "bad": torch.tensor([torch.nan])}
    )
    with pytest.raises(InvalidInputError, match="bad with NaN"):
        load_state(tmp_path / "a.safetensors", "source.path")
