"""Tests of arrays from an npz file: what is read, and what is refused by name."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models.data.dataset import DatasetContext
from models.data.splits import load_task
from models.datasets import arrays
from models.datasets.arrays import Arrays, ArraysConfig
from models.inputs import InputFolder
from models.surroundings import Surroundings
from models.uploads import UploadFolder
from search.errors import DataError, InvalidInputError

RNG = np.random.default_rng(0)
X = RNG.normal(loc=5, scale=3, size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3


def opened(folder: Path, **options: Any) -> Arrays:
    return Arrays(ArraysConfig(path="data.npz", **options), DatasetContext(Surroundings.of(folder)))


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder


def test_samples_and_classes_are_read(tmp_path: Path) -> None:
    dataset = opened(saved(tmp_path, x=X.astype(np.float64), y=Y.astype(np.uint8)))
    data = dataset.load()
    assert dataset.shape().inputs == {"x": (4,)}
    assert dataset.shape().n_classes == 3
    assert dataset.n_samples() == 60
    torch.testing.assert_close(data.examples.inputs["x"], torch.from_numpy(X))
    assert data.examples.labels.dtype == torch.int64


def test_own_validation_and_test_parts_are_read(tmp_path: Path) -> None:
    own = {"x_validation": X[:9], "y_validation": Y[:9], "x_test": X[:6], "y_test": Y[:6]}
    data = opened(saved(tmp_path, x=X, y=Y, **own)).load()
    assert data.validation is not None
    assert data.test is not None
    assert (len(data.validation), len(data.test)) == (9, 6)


def test_an_upload_is_read_like_a_file(tmp_path: Path) -> None:
    uploads, artifact = UploadFolder(tmp_path), f"art_{'0' * 64}"
    saved(tmp_path, x=X, y=Y).joinpath("data.npz").rename(tmp_path / f"{artifact}.npz")
    context = DatasetContext(Surroundings(InputFolder(tmp_path), uploads=uploads))
    config = ArraysConfig.model_validate({"kind": "arrays", "artifact": artifact})
    assert Arrays(config, context).n_samples() == 60
    unknown = ArraysConfig.model_validate({"kind": "arrays", "artifact": f"art_{'1' * 64}"})
    with pytest.raises(InvalidInputError, match=r"dataset\.artifact: art_1"):
        Arrays(unknown, context)


@pytest.mark.parametrize("options", [{}, {"path": "data.npz", "artifact": f"art_{'0' * 64}"}])
def test_arrays_lie_in_exactly_one_place(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of path"):
        ArraysConfig.model_validate(options)


def test_standard_scales_by_the_training_part_alone(tmp_path: Path) -> None:
    constant = np.concatenate([X, np.ones((60, 1), dtype=np.float32)], axis=1)
    saved(tmp_path, x=constant, y=Y)
    config = ArraysConfig(path="data.npz", normalisation="standard")
    task = load_task(opened(tmp_path, normalisation="standard"), config, seed=0)
    train = task.train.inputs["x"]
    torch.testing.assert_close(train.mean(dim=0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(train[:, :4].std(dim=0, correction=0), torch.ones(4))
    assert task.validation.inputs["x"].mean(dim=0)[:4].abs().max() > 1e-3
    assert torch.isfinite(task.test.inputs["x"]).all()


def test_standard_scales_images_by_channel(tmp_path: Path) -> None:
    images = RNG.normal(loc=[[[[1]], [[9]]]], size=(60, 2, 3, 3))
    dataset = opened(saved(tmp_path, x=images, y=Y), normalisation="standard")
    examples = dataset.load().examples
    scaled = dataset.normalised(examples, examples).inputs["x"]
    torch.testing.assert_close(scaled.mean(dim=(0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)


HEADER_ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "no y": ({"x": X}, "arrays x and y"),
    "lengths differ": ({"x": X, "y": Y[:59]}, r"y int64 \(59,\).*\(60,\)"),
    "float classes": ({"x": X, "y": Y + 0.5}, r"integer classes of shape .*y\.astype\('int64'\)"),
    "pickled objects": ({"x": X.astype(object), "y": Y}, "plain numbers"),
    "text": ({"x": X.astype("U5"), "y": Y}, "numbers"),
    "one number a sample": ({"x": X[:, 0], "y": Y}, "features"),
    "no features": ({"x": X[:, :0], "y": Y}, "features"),
    "x_test alone": ({"x": X, "y": Y, "x_test": X}, "both or neither"),
    "other samples": ({"x": X, "y": Y, "x_test": X[:, :3], "y_test": Y}, "as in x"),
}


@pytest.mark.parametrize("case", HEADER_ERRORS)
def test_wrong_arrays_are_refused_without_loading(tmp_path: Path, case: str) -> None:
    arrays, expected = HEADER_ERRORS[case]
    with pytest.raises(InvalidInputError, match=rf"dataset\.path: .*{expected}"):
        opened(saved(tmp_path, **arrays)).shape()


CLASS_ERRORS: dict[str, tuple[Any, str]] = {
    "one class": (np.zeros(60, dtype=int), "1 classes in y"),
    "negative": (Y - 1, "y with -1"),
    "too many": (Y * 10**6, "2000001 classes"),
}


@pytest.mark.parametrize("case", CLASS_ERRORS)
def test_wrong_classes_are_refused_without_reading_x(tmp_path: Path, case: str) -> None:
    labels, expected = CLASS_ERRORS[case]
    with pytest.raises(DataError, match=rf"dataset\.path: {expected}"):
        opened(saved(tmp_path, x=X, y=labels)).shape()


def test_values_that_are_not_finite_are_refused_with_their_row(tmp_path: Path) -> None:
    broken = X.copy()
    broken[7, 2] = np.nan
    with pytest.raises(DataError, match="NaN or infinity in row 7 of x"):
        opened(saved(tmp_path, x=broken, y=Y)).load()


def test_a_class_that_training_lacks_is_refused(tmp_path: Path) -> None:
    own = {"x_validation": X[:4], "y_validation": np.array([0, 1, 2, 3])}
    with pytest.raises(DataError, match=r"y_validation with class 3 given, .* 0 to 2"):
        opened(saved(tmp_path, x=X, y=Y, **own)).load()


def test_an_empty_own_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="y_test with no row"):
        opened(saved(tmp_path, x=X, y=Y, x_test=X[:0], y_test=Y[:0])).load()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04K\x01.", b"text"])
def test_a_file_that_is_no_npz_is_refused_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"dataset\.path: .*numpy\.savez\(path, x=x, y=y\)"):
        opened(tmp_path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, x=X, y=Y) / "data.npz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InvalidInputError, match=r"dataset\.path"):
        opened(tmp_path)


def test_damaged_compressed_data_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "data.npz", x=X, y=Y)
    content = bytearray((tmp_path / "data.npz").read_bytes())
    content[400:420] = bytes(20)
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"dataset\.path"):
        opened(tmp_path).load()


def test_groups_are_read_and_divide_no_group(tmp_path: Path) -> None:
    for groups in (np.arange(60) // 4, np.array([f"person {row // 4}" for row in range(60)])):
        dataset = opened(saved(tmp_path, x=X, y=Y, groups=groups))
        data = dataset.load()
        assert data.groups == tuple(str(group) for group in groups)
        names = load_task(dataset, ArraysConfig(path="data.npz"), seed=0).names
        owner = dict(zip(data.samples, data.groups, strict=True))
        parts = [{owner[n] for n in part} for part in (names.train, names.validation, names.test)]
        assert len(set.union(*parts)) == sum(len(part) for part in parts) == 15


def test_groups_that_fit_no_samples_are_refused(tmp_path: Path) -> None:
    for groups in (np.arange(59), np.arange(60) / 2, np.zeros((60, 2), dtype=int)):
        with pytest.raises(InvalidInputError, match=r"groups .* one for each row of x"):
            opened(saved(tmp_path, x=X, y=Y, groups=groups))


def header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def packed(folder: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write an archive member by member, each beside honest labels."""
    labels = io.BytesIO()
    np.save(labels, Y)
    with zipfile.ZipFile(folder / "data.npz", "w", method) as archive:
        for name, content in {"y.npy": labels.getvalue(), **members}.items():
            archive.writestr(name, content)
    return folder


LONG_HEADER = b"\x93NUMPY\x02\x00" + (20 << 20).to_bytes(4, "little") + bytes(20 << 20)
BOMBS: dict[str, tuple[dict[str, bytes], int, str]] = {
    "announces a terabyte": (
        {"x.npy": header((60, 1 << 32)) + bytes(100)},
        8,
        "its header announces",
    ),
    "rows without end": ({"x.npy": header((1 << 40, 1)) + bytes(100)}, 8, "its header announces"),
    "negative": ({"x.npy": header((-60, 4))}, 8, "its header announces"),
    "less than announced": ({"x.npy": header((60, 4)) + bytes(100)}, 8, "its header announces"),
    "a header without end": ({"x.npy": LONG_HEADER}, 8, "data.npz"),
    "packed otherwise": (
        {"x.npy": header((60, 4)) + bytes(960)},
        zipfile.ZIP_LZMA,
        "packed by method",
    ),
    "two of one name": ({"x": header((60, 9)), "x.npy": header((60, 4)) + bytes(960)}, 8, "plain"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_archives_that_lie_about_sizes_are_refused_in_little_memory(
    tmp_path: Path, case: str
) -> None:
    members, method, expected = BOMBS[case]
    packed(tmp_path, members, method)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError, match=rf"^dataset\.path: .*{expected}"):
            opened(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()


def test_an_honest_archive_of_more_than_memory_is_for_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "data.npz", x=np.zeros((60, 10_000), np.uint8), y=Y)
    assert (tmp_path / "data.npz").stat().st_size < 10_000
    monkeypatch.setattr(arrays, "MAX_ARRAY_BYTES", 1_000_000)
    message = r"data\.npz: x uint8 \(60, 10000\), 2,400,000 bytes given, expected at most 1,000,000"
    with pytest.raises(InvalidInputError, match=message):
        opened(tmp_path)
    monkeypatch.setattr(arrays, "MAX_ROWS", 50)
    with pytest.raises(InvalidInputError, match="x with 60 rows given, expected at most 50"):
        opened(tmp_path)


def test_a_path_that_leads_out_is_refused_by_its_field(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"dataset\.path: '\.\./data\.npz'"):
        Arrays(ArraysConfig(path="../data.npz"), DatasetContext(Surroundings.of(tmp_path)))


def test_numbers_that_are_float32_already_are_in_memory_once(tmp_path: Path) -> None:
    x = np.zeros((60, 100_000), dtype=np.float32)
    dataset = opened(saved(tmp_path, x=x, y=Y))
    tracemalloc.start()
    try:
        dataset.load()
        # Beside them what tells which are finite, a byte for each.
        assert tracemalloc.get_traced_memory()[1] < 1.5 * x.nbytes
    finally:
        tracemalloc.stop()
