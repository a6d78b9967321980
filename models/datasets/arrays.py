"""Arrays from an npz file: ``x`` and ``y``, and own validation and test parts where the file has them."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from lzma import LZMAError
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from pydantic import Field

from models.data.dataset import DATASETS, DatasetConfig, DatasetContext, Examples, LabelledData
from models.data.shapes import DataShape
from search.errors import DataError, InvalidInputError

MAX_CLASSES = 100_000
# Of each array as it is read, numbers of at least 4 bytes; labels and groups are counted while a request waits.
MAX_ARRAY_BYTES = 4 << 30
MAX_ROWS = 10_000_000
MAX_GROUP_BYTES = 1 << 30
# numpy writes 128 bytes and refuses to parse more than 10,000, but reads what is announced, up to 4 GB.
MAX_HEADER_BYTES = 16_384
# Divides features that are constant in the training part by 1 instead of by 0.
SMALLEST_DEVIATION = 1e-8

# What broken, encrypted or exotically compressed archives raise.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
)

Header = tuple[tuple[int, ...], np.dtype[Any]]


class ArraysConfig(DatasetConfig):
    """Options of arrays in a file."""

    kind: Literal["arrays"] = "arrays"
    path: str = Field(
        min_length=1,
        description="npz file below the inputs folder with x (N, ...) and y (N,), optionally x_validation, "
        "y_validation, x_test, y_test; groups (N,), integers or text, of which none is to be in two parts",
    )
    normalisation: Literal["none", "standard"] = Field(
        "none",
        description="standard: mean 0, variance 1 per feature or channel, fitted on the training part",
    )


@DATASETS.register(ArraysConfig)
class Arrays:
    """Reads one npz file; classes are the integers in ``y``, 0 to C - 1."""

    def __init__(self, config: ArraysConfig, context: DatasetContext) -> None:
        """Bind the options; the file is looked for but not read."""
        self._config, self._field = config, context.field
        field = f"{context.field}.path"
        self._path = context.surroundings.inputs.resolve(config.path, field)
        self._headers = _read_headers(self._path, field)
        self._check_headers()
        _check_sizes(self._headers, self._path.name, field)

    def shape(self) -> DataShape:
        """Read the labels to count the classes; of ``x``, the header alone."""
        labels = self._labels("y")
        n_classes = int(labels.max()) + 1 if len(labels) else 0
        if not 2 <= n_classes <= MAX_CLASSES:
            raise DataError(
                f"{self._field}.path", f"{n_classes} classes in y", f"2 to {MAX_CLASSES}"
            )
        return DataShape({"x": self._headers["x"][0][1:]}, n_classes)

    def n_samples(self) -> int:
        """Rows of ``x``."""
        return self._headers["x"][0][0]

    def own_parts(self) -> frozenset[str]:
        """Those for which the file has arrays."""
        return frozenset(part for part in ("validation", "test") if f"x_{part}" in self._headers)

    def load(self) -> LabelledData:
        """Read the file."""
        n_classes = self.shape().n_classes
        names = tuple(str(number) for number in range(n_classes))
        return LabelledData(
            self._examples("", n_classes),
            names,
            tuple(f"{self._path} {row}" for row in range(self.n_samples())),
            self._own_part("validation", n_classes),
            self._own_part("test", n_classes),
            groups=self._groups(),
        )

    def normalised(self, train: Examples, part: Examples) -> Examples:
        """Standardise each feature (vectors) or channel (images), if asked to."""
        if self._config.normalisation == "none":
            return part
        x = train.inputs["x"]
        axes = (0, *range(2, x.ndim))
        deviation = x.std(dim=axes, keepdim=True, correction=0)
        deviation = deviation.where(deviation > SMALLEST_DEVIATION, torch.ones(()))
        scaled = (part.inputs["x"] - x.mean(dim=axes, keepdim=True)) / deviation
        return Examples({"x": scaled}, part.labels)

    def _groups(self) -> tuple[str, ...] | None:
        if "groups" not in self._headers:
            return None
        return tuple(str(group) for group in self._read("groups").tolist())

    def _own_part(self, name: str, n_classes: int) -> Examples | None:
        return self._examples(f"_{name}", n_classes) if name in self.own_parts() else None

    def _examples(self, suffix: str, n_classes: int) -> Examples:
        x = self._read(f"x{suffix}").astype(np.float32)
        if not np.isfinite(x).all():
            row = int(np.argwhere(~np.isfinite(x).reshape(len(x), -1).all(axis=1))[0, 0])
            raise DataError(
                f"{self._field}.path", f"NaN or infinity in row {row} of x{suffix}", "finite x"
            )
        labels = self._labels(f"y{suffix}")
        if len(labels) == 0 or labels.max() >= n_classes:
            came = f"class {labels.max()}" if len(labels) else "no row"
            raise DataError(
                f"{self._field}.path",
                f"y{suffix} with {came}",
                f"rows of the classes in y, 0 to {n_classes - 1}",
            )
        return Examples({"x": torch.from_numpy(x)}, torch.from_numpy(labels))

    def _labels(self, name: str) -> NDArray[np.int64]:
        labels = self._read(name).astype(np.int64)
        if len(labels) and labels.min() < 0:
            raise DataError(
                f"{self._field}.path", f"{name} with {labels.min()}", "classes from 0 upwards"
            )
        return labels

    def _read(self, name: str) -> NDArray[Any]:
        try:
            with np.load(self._path, allow_pickle=False) as file:
                array: NDArray[Any] = file[name]
        except UNREADABLE as error:
            raise DataError(
                f"{self._field}.path", f"{name}: {error}", "a complete npz file"
            ) from error
        return array

    def _check_headers(self) -> None:
        field, headers = f"{self._field}.path", self._headers
        for name in ("x", "y"):
            if name not in headers:
                raise InvalidInputError(
                    field, f"arrays {sorted(headers)}", "arrays x and y at least"
                )
        for suffix in ("", "_validation", "_test"):
            if (f"x{suffix}" in headers) != (f"y{suffix}" in headers):
                raise InvalidInputError(field, f"one of x{suffix} and y{suffix}", "both or neither")
            if f"x{suffix}" not in headers:
                continue
            (x_shape, x_type), (y_shape, y_type) = headers[f"x{suffix}"], headers[f"y{suffix}"]
            if len(x_shape) < 2 or 0 in x_shape[1:] or x_type.kind not in "fiub":
                raise InvalidInputError(
                    field,
                    f"x{suffix} {x_type} {x_shape}",
                    "numbers (N, features) or (N, channels, height, width)",
                )
            if y_shape != x_shape[:1] or y_type.kind not in "iu":
                raise InvalidInputError(
                    field,
                    f"y{suffix} {y_type} {y_shape}",
                    f"integer classes of shape {x_shape[:1]}",
                )
            if x_shape[1:] != headers["x"][0][1:]:
                raise InvalidInputError(
                    field,
                    f"x{suffix} with samples {x_shape[1:]}",
                    f"samples {headers['x'][0][1:]} as in x",
                )


def _check_sizes(headers: Mapping[str, Header], file: str, field: str) -> None:
    """Refuse arrays that are too large, or groups that fit no samples, before any is read."""
    for name, (shape, dtype) in headers.items():
        if shape[:1] > (MAX_ROWS,):
            raise InvalidInputError(
                field, f"{file}: {name} with {shape[0]:,} rows", f"at most {MAX_ROWS:,}"
            )
        size = prod(shape) * max(dtype.itemsize, np.dtype(np.float32).itemsize)
        largest = MAX_GROUP_BYTES if name == "groups" else MAX_ARRAY_BYTES
        if size > largest:
            raise InvalidInputError(
                field, f"{file}: {name} {dtype} {shape}, {size:,} bytes", f"at most {largest:,}"
            )
    if "groups" in headers:
        shape, dtype = headers["groups"]
        if shape != headers["x"][0][:1] or dtype.kind not in "iuU":
            raise InvalidInputError(
                field,
                f"groups {dtype} {shape}",
                f"integers or text of shape {headers['x'][0][:1]}, one for each row of x",
            )


def _read_headers(path: Path, field: str) -> dict[str, Header]:
    """Shape and type of every array in the file, without reading any.

    Raises:
        InvalidInputError: It is no npz file, or it holds pickled objects.
    """
    headers: dict[str, Header] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if name in headers or name == member.filename:
                    raise ValueError(f"a member {member.filename[:100]!a}, not every array once")
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError(f"{name} packed by method {member.compress_type}")
                headers[name] = _read_header(archive, member)
    except UNREADABLE as error:
        raise InvalidInputError(
            field, f"{path.name}: {error}", "an npz file as numpy.savez(path, x=x, y=y) writes it"
        ) from error
    for name, (_, dtype) in headers.items():
        if dtype.hasobject:
            raise InvalidInputError(
                field,
                f"{name} with pickled objects",
                "plain numbers; convert it, x.astype('float32') say, and save again",
            )
    return headers


def _read_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    """Shape and type of one array; what it announces is compared with what the archive does."""
    with archive.open(member) as file:
        start = io.BytesIO(file.read(MAX_HEADER_BYTES))
    version = npy_format.read_magic(start)
    read = (
        npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    )
    shape, _, dtype = read(start)
    size = start.tell() + prod(shape) * dtype.itemsize
    # The size of pickled objects is nowhere announced; they are refused in any case.
    if min(shape, default=0) < 0 or (size != member.file_size and not dtype.hasobject):
        raise ValueError(
            f"{member.filename} of {member.file_size:,} bytes, where its header announces {size:,}"
        )
    return shape, dtype
