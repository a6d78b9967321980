"""Tests of what a file is taken for, and of what is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import save_file

from models.checkpoints.header import read_headers
from models.formats.content import TensorEntry
from models.formats.recognition import check_file
from search.errors import InvalidInputError
from tests.models.formats.hostile_files import HOSTILE, WEIGHTS, X, Y

MAX_BYTES = 1 << 24


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_what_it_claims_to_be_is_refused_by_what_it_is(
    name: str, tmp_path: Path
) -> None:
    content, expected = HOSTILE[name]
    path = tmp_path / ".arriving-1"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=expected) as refusal:
        check_file(path, "body", MAX_BYTES)
    assert refusal.value.field == "body"
    # While it arrives an upload has a name that is nobody's.
    assert path.name not in f"{refusal.value.given} {refusal.value.expected}"


def test_weights_are_taken_with_their_shapes_and_types(tmp_path: Path) -> None:
    save_file(WEIGHTS | {"half": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "w")
    found = check_file(tmp_path / "w", "body", MAX_BYTES)
    assert found.kind == "safetensors"
    assert set(found.tensors) == {
        TensorEntry("w", (2, 3), "F32"),
        TensorEntry("n", (), "I64"),
        TensorEntry("half", (2,), "BF16"),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_taken_with_their_shapes_and_types(save: object, tmp_path: Path) -> None:
    assert callable(save)
    save(tmp_path / "a.npz", x=X, y=Y, scalar=np.float64(1), empty=np.zeros((0, 3)))
    found = check_file(tmp_path / "a.npz", "body", MAX_BYTES)
    assert found.kind == "npz"
    assert found.tensors == (
        TensorEntry("x", (4, 2), "float32"),
        TensorEntry("y", (4,), "int64"),
        TensorEntry("scalar", (), "float64"),
        TensorEntry("empty", (0, 3), "float64"),
    )


def test_an_upload_may_have_the_header_that_a_file_may_have(tmp_path: Path) -> None:
    # Read before either refuses: 5 MB of names, and nothing of them is wrong.
    names = [f"{number:0900}" for number in range(6000)]
    save_file({name: torch.zeros(0) for name in names}, tmp_path / "w")
    assert (tmp_path / "w").stat().st_size > 5_000_000
    assert len(check_file(tmp_path / "w", "body", MAX_BYTES).tensors) == 6000
    assert read_headers(tmp_path / "w", "source.path").keys() == set(names)


def test_a_bad_value_is_found_beyond_the_first_piece(tmp_path: Path) -> None:
    values = np.zeros(1_500_000, dtype=np.float32)
    values[-1] = np.nan
    save_file({"w": torch.from_numpy(values)}, tmp_path / "w")
    np.savez(tmp_path / "a.npz", x=values)
    for name in ("w", "a.npz"):
        with pytest.raises(InvalidInputError, match="NaN"):
            check_file(tmp_path / name, "body", MAX_BYTES)


def test_checking_takes_little_memory_however_large_the_file(tmp_path: Path) -> None:
    zeros = torch.zeros(10_000_000)
    save_file({"w": zeros}, tmp_path / "w")
    np.savez_compressed(tmp_path / "a.npz", x=zeros.numpy())
    del zeros
    process = psutil.Process()
    before = process.memory_info().rss
    for name in ("w", "a.npz"):
        check_file(tmp_path / name, "body", 1 << 30)
        assert process.memory_info().rss - before < 25 << 20
