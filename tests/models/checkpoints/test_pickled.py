"""Tests of converting .pth files; none of them ever runs code from a file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from models.checkpoints.pickled import convert_pickled, read_pickled
from search.errors import InvalidInputError

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "steps": torch.tensor(7)}


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


def saved(folder: Path, document: object, **options: Any) -> Path:
    torch.save(document, folder / "in.pth", **options)
    return folder / "in.pth"


@pytest.mark.parametrize("is_zip", [False, True])
@pytest.mark.parametrize(
    ("document", "notes"),
    [
        (STATE, []),
        (
            {"state_dict": STATE, "optimizer": {"state": {}}, "epoch": 3},
            ["took what stands under 'state_dict'", "left out optimizer, epoch"],
        ),
        ({"model": STATE}, ["took what stands under 'model'"]),
        (
            {"model": STATE, "model_state_dict": STATE},
            ["took what stands under 'model_state_dict'", "left out model"],
        ),
        (STATE | {"version": "1"}, ["left out version, which are no tensors"]),
    ],
)
def test_a_state_dict_is_found_and_what_was_done_is_said(
    document: dict[str, Any], notes: list[str], is_zip: bool, tmp_path: Path
) -> None:
    path = saved(tmp_path, document, _use_new_zipfile_serialization=is_zip)
    found = convert_pickled(path, tmp_path / "out.safetensors")
    assert list(found.notes) == notes
    written = load_file(tmp_path / "out.safetensors")
    assert written.keys() == STATE.keys()
    assert all(torch.equal(written[name], STATE[name]) for name in STATE)


def test_a_key_says_where_the_tensors_stand(tmp_path: Path) -> None:
    path = saved(tmp_path, {"ema": STATE, "model": {"b": torch.ones(1)}, "epoch": 1})
    assert read_pickled(path).state.keys() == {"b"}
    found = read_pickled(path, "ema")
    assert found.state.keys() == STATE.keys()
    assert found.notes[1] == "left out model, epoch"
    with pytest.raises(InvalidInputError, match=r"--key: 'eam' given, .* in in\.pth: ema, model"):
        read_pickled(path, "eam")


def test_tied_tensors_parameters_and_views_are_written_each_for_itself(tmp_path: Path) -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    weight = second.weight = first.weight
    state = nn.ModuleDict({"a": first, "b": second}).state_dict()
    path = saved(tmp_path, {**state, "own": weight, "row": weight.T[1:]})
    convert_pickled(path, tmp_path / "out.safetensors")
    written = load_file(tmp_path / "out.safetensors")
    assert torch.equal(written["a.weight"], written["b.weight"])
    assert torch.equal(written["row"], weight.detach().T[1:])


def test_files_are_only_replaced_when_that_is_said(tmp_path: Path) -> None:
    path, output = saved(tmp_path, STATE), tmp_path / "out.safetensors"
    output.write_bytes(b"precious")
    with pytest.raises(InvalidInputError, match=r"OUT: .* or --force"):
        convert_pickled(path, output)
    assert output.read_bytes() == b"precious"
    convert_pickled(path, output, overwrite=True)
    assert load_file(output).keys() == STATE.keys()
    with pytest.raises(InvalidInputError, match="OUT"):
        convert_pickled(path, path, overwrite=True)
    with pytest.raises(InvalidInputError, match="a folder that exists"):
        convert_pickled(path, tmp_path / "none" / "out.safetensors")


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_pickle_that_needs_code_is_refused_and_the_code_not_run(
    is_zip: bool, tmp_path: Path
) -> None:
    document = {"a": Hostile(f"touch {tmp_path}/ran")}
    path = saved(tmp_path, document, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(InvalidInputError, match=r"found code: posix\.system .*torch\.save\(model"):
        read_pickled(path)
    path.write_bytes(pickle.dumps(Hostile(f"touch {tmp_path}/ran"), 2))
    with pytest.raises(InvalidInputError, match="IN: "):
        read_pickled(path)
    assert not (tmp_path / "ran").exists()


def test_whole_modules_and_numpy_arrays_are_refused_by_their_class(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read_pickled(saved(tmp_path, nn.Linear(2, 2)))
    with pytest.raises(InvalidInputError, match="numpy"):
        read_pickled(saved(tmp_path, {"a": np.ones(2)}))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (torch.ones(2), "with a Tensor"),
        ([torch.ones(2)], "with a list"),
        ({}, "tensors by name"),
        ({"ema": STATE}, "with ema given, .*--key"),
        ({0: torch.ones(2)}, "names that are text"),
        ({"a": torch.eye(2).to_sparse()}, "a is torch.sparse_coo"),
    ],
)
def test_what_is_no_state_dict_is_refused(document: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_pickled(saved(tmp_path, document))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04\x95", b"PK\x03\x04 no archive"])
def test_what_torch_did_not_write_is_refused_without_its_advice(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "in.pth").write_bytes(content)
    with pytest.raises(
        InvalidInputError, match=r"a whole file that torch\.save has written"
    ) as caught:
        read_pickled(tmp_path / "in.pth")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_file_that_is_cut_off_is_refused(is_zip: bool, tmp_path: Path) -> None:
    path = saved(tmp_path, STATE, _use_new_zipfile_serialization=is_zip)
    content = path.read_bytes()
    for size in range(0, len(content) - 1, max(1, len(content) // 25)):
        path.write_bytes(content[:size])
        with pytest.raises(InvalidInputError, match="IN"):
            read_pickled(path)


def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="an existing file"):
        read_pickled(tmp_path / "none.pth")
    with pytest.raises(InvalidInputError, match="IN"):
        read_pickled(tmp_path)


def test_values_that_a_search_refuses_are_converted_with_a_word(tmp_path: Path) -> None:
    found = read_pickled(saved(tmp_path, {"a": torch.tensor([torch.nan]), "b": torch.ones(1)}))
    assert found.notes == ("NaN or infinite values, which a search refuses, in a",)
