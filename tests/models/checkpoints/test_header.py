"""Tests of reading headers: what is broken or hostile is refused, and memory stays bounded."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoints.header import MAX_HEADER_BYTES, TensorHeader, read_headers
from search.errors import InvalidInputError
from tests.models.checkpoints.raw_safetensors import FLOAT, entry, write_raw


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read_headers(path, "source.path")
    assert caught.value.field == "source.path"
    assert "save_file" in caught.value.expected
    return str(caught.value.given)


def test_shapes_and_types_are_read_tensors_without_numbers_included(tmp_path: Path) -> None:
    state = {"a": torch.zeros(2, 3).half(), "none": torch.zeros(0, 3), "steps": torch.tensor(7)}
    save_file(state, tmp_path / "a.safetensors")
    assert read_headers(tmp_path / "a.safetensors", "source.path") == {
        "a": TensorHeader((2, 3), "F16"),
        "none": TensorHeader((0, 3), "F32"),
        "steps": TensorHeader((), "I64"),
    }


BROKEN: dict[str, tuple[object, bytes, str]] = {
    "offsets beyond the file": (
        {"a": entry(shape=(100,), end=400)},
        b"\0" * 4,
        "not fully covered",
    ),
    "offsets that do not fit the shape": ({"a": entry(shape=(2,))}, b"\0" * 4, "shape"),
    "a shape that overflows": ({"a": entry(shape=(2**62, 4))}, b"\0" * 4, "overflow"),
    "two tensors in one place": ({"a": entry(), "b": entry()}, b"\0" * 4, "offset"),
    "bytes of no tensor": ({"a": entry()}, b"\0" * 8, "not fully covered"),
    "an unknown type": ({"a": entry("F33")}, b"\0" * 4, "F33"),
    "a name twice": (f'{{"a":{FLOAT},"a":{FLOAT}}}'.encode(), b"\0" * 4, "a stands twice"),
    "a key of a tensor twice": (
        b'{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}',
        b"\0" * 4,
        "duplicate",
    ),
    "a list": ([1, 2], b"", "invalid"),
    "a deep nest": (b"[" * 100_000, b"", "invalid"),
    "no text": (b"\xff\xfe", b"", "UTF-8"),
    "an endless name": ({"a" * 2000: entry()}, b"\0" * 4, "over 1000 characters"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_header_is_refused_with_the_cause(case: str, tmp_path: Path) -> None:
    header, data, cause = BROKEN[case]
    assert cause.lower() in refusal(write_raw(tmp_path / "a.safetensors", header, data)).lower()


@pytest.mark.parametrize("size", [0, 5, 30, 60])
def test_a_file_that_is_cut_off_is_refused(size: int, tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.safetensors", {"a": entry()})
    path.write_bytes(path.read_bytes()[:size])
    refusal(path)


@pytest.mark.parametrize("length", [10 * 10**9, 2**64 - 1, MAX_HEADER_BYTES + 1])
@pytest.mark.parametrize("is_there", [False, True])
def test_a_giant_header_is_refused_before_it_is_read(
    length: int, is_there: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    if is_there:
        with path.open("r+b") as file:
            file.truncate(11 * 10**9)  # a hole: it takes no place on the disk
    tracemalloc.start()
    try:
        assert f"{length:,} bytes" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_by_another_name_is_refused_and_not_opened(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(pickle.dumps({"weight": [1.0] * 9}, protocol))
    said = refusal(tmp_path / "a.safetensors")
    # Older pickles begin with no mark of their own.
    assert said == "a.safetensors: a pickle" or protocol < 2


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_file_of_torch_save_by_another_name_is_refused(is_zip: bool, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(3)}, buffer, _use_new_zipfile_serialization=is_zip)
    (tmp_path / "a.safetensors").write_bytes(buffer.getvalue())
    with pytest.raises(InvalidInputError, match=r"a pickle given.*`transfermask convert`"):
        read_headers(tmp_path / "a.safetensors", "source.path")
