"""Arrays from an npz file: ``x`` and ``y``, and own validation and test parts where the file has them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator

from models.data.dataset import DATASETS, DatasetConfig, DatasetContext, Examples, LabelledData
from models.data.shapes import DataShape
from models.formats.npz import UNREADABLE, ArrayHeader, read_array_headers
from models.uploads import ArtifactId, resolve_upload
from search.errors import DataError, InvalidInputError

MAX_CLASSES = 100_000
# Of each array as it is read, numbers of at least 4 bytes; labels and groups are counted while a request waits.
MAX_ARRAY_BYTES = 4 << 30
MAX_ROWS = 10_000_000
MAX_GROUP_BYTES = 1 << 30
# Divides features that are constant in the training part by 1 instead of by 0.
SMALLEST_DEVIATION = 1e-8


class ArraysConfig(DatasetConfig):
    """Options of arrays in a file."""

    kind: Literal["arrays"] = "arrays"
    path: str | None = Field(
        None,
        min_length=1,
        description="npz file below the inputs folder with x (N, ...) and y (N,), optionally x_validation, "
        "y_validation, x_test, y_test; groups (N,), integers or text, of which none is to be in two parts",
    )
    artifact: ArtifactId | None = Field(
        None, description="such a file that was uploaded, by its id, instead of a path"
    )
    normalisation: Literal["none", "standard"] = Field(
        "none",
        description="standard: mean 0, variance 1 per feature or channel, fitted on the training part",
    )

    @model_validator(mode="after")
    def _lies_in_one_place(self) -> Self:
        if (self.path is None) == (self.artifact is None):
            raise ValueError(
                "exactly one of path (a file below the inputs folder) and artifact (an upload)"
            )
        return self


@DATASETS.register(ArraysConfig)
class Arrays:
    """Reads one npz file; classes are the integers in ``y``, 0 to C - 1."""

    def __init__(self, config: ArraysConfig, context: DatasetContext) -> None:
        """Bind the options; of the file, headers are read."""
        self._config, surroundings = config, context.surroundings
        if config.artifact is not None:
            self._field = f"{context.field}.artifact"
            self._path = resolve_upload(surroundings.uploads, config.artifact, "npz", self._field)
        else:
            self._field = f"{context.field}.path"
            self._path = surroundings.inputs.resolve(config.path or "", self._field)
        self._headers = read_array_headers(self._path, self._field)
        self._check_headers()
        _check_sizes(self._headers, self._path.name, self._field)

    def shape(self) -> DataShape:
        """Read the labels to count the classes; of ``x``, the header alone."""
        labels = self._labels("y")
        n_classes = int(labels.max()) + 1 if len(labels) else 0
        if not 2 <= n_classes <= MAX_CLASSES:
            raise DataError(self._field, f"{n_classes} classes in y", f"2 to {MAX_CLASSES}")
        return DataShape({"x": self._headers["x"].shape[1:]}, n_classes)

    def n_samples(self) -> int:
        """Rows of ``x``."""
        return self._headers["x"].shape[0]

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
        x = self._read(f"x{suffix}").astype(np.float32, copy=False)
        if not np.isfinite(x).all():
            row = int(np.argwhere(~np.isfinite(x).reshape(len(x), -1).all(axis=1))[0, 0])
            raise DataError(self._field, f"NaN or infinity in row {row} of x{suffix}", "finite x")
        labels = self._labels(f"y{suffix}")
        if len(labels) == 0 or labels.max() >= n_classes:
            came = f"class {labels.max()}" if len(labels) else "no row"
            raise DataError(
                self._field,
                f"y{suffix} with {came}",
                f"rows of the classes in y, 0 to {n_classes - 1}",
            )
        return Examples({"x": torch.from_numpy(x)}, torch.from_numpy(labels))

    def _labels(self, name: str) -> NDArray[np.int64]:
        labels = self._read(name).astype(np.int64)
        if len(labels) and labels.min() < 0:
            raise DataError(self._field, f"{name} with {labels.min()}", "classes from 0 upwards")
        return labels

    def _read(self, name: str) -> NDArray[Any]:
        try:
            with np.load(self._path, allow_pickle=False) as file:
                array: NDArray[Any] = file[name]
        except UNREADABLE as error:
            raise DataError(self._field, f"{name}: {error}", "a complete npz file") from error
        return array

    def _check_headers(self) -> None:
        field, headers = self._field, self._headers
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
            x_shape, x_type = headers[f"x{suffix}"][:2]
            y_shape, y_type = headers[f"y{suffix}"][:2]
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
                    f"integer classes of shape {x_shape[:1]}, as y.astype('int64') makes them of whole numbers",
                )
            if x_shape[1:] != headers["x"].shape[1:]:
                raise InvalidInputError(
                    field,
                    f"x{suffix} with samples {x_shape[1:]}",
                    f"samples {headers['x'][0][1:]} as in x",
                )


def _check_sizes(headers: Mapping[str, ArrayHeader], file: str, field: str) -> None:
    """Refuse arrays that are too large, or groups that fit no samples, before any is read."""
    for name, (shape, dtype, _, _) in headers.items():
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
        shape, dtype, _, _ = headers["groups"]
        if shape != headers["x"].shape[:1] or dtype.kind not in "iuU":
            raise InvalidInputError(
                field,
                f"groups {dtype} {shape}",
                f"integers or text of shape {headers['x'][0][:1]}, one for each row of x",
            )
