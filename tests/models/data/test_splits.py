"""Tests of training, validation and test parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.data.dataset import DatasetConfig, Examples, LabelledData
from models.data.shapes import DataShape
from models.data.splits import PartSizes, TaskData, load_task, part_sizes, split
from search.errors import DataError, InvalidInputError

LABELS = np.repeat(np.arange(4), [40, 30, 20, 10])
NAMES = tuple(f"sample {row}" for row in range(100))


class InMemory:
    """A source whose inputs are row numbers, and whose normalisation tells from which part it was fitted."""

    def __init__(self, data: LabelledData) -> None:
        self._data = data

    def shape(self) -> DataShape:
        return DataShape({"x": (1,)}, len(self._data.class_names))

    def n_samples(self) -> int:
        return len(self._data.examples)

    def own_parts(self) -> frozenset[str]:
        parts = {"validation": self._data.validation, "test": self._data.test}
        return frozenset(name for name, part in parts.items() if part is not None)

    def load(self) -> LabelledData:
        return self._data

    def normalised(self, train: Examples, part: Examples) -> Examples:
        return Examples({"x": part.inputs["x"] + 1000 * len(train)}, part.labels)


def rows(labels: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Examples:
    numbers = torch.arange(len(labels), dtype=torch.float32)
    return Examples({"x": numbers.view(-1, 1)}, torch.from_numpy(labels))


def source(validation: Examples | None = None, test: Examples | None = None) -> InMemory:
    return InMemory(LabelledData(rows(LABELS), ("a", "b", "c", "d"), NAMES, validation, test))


def config(**sizes: int) -> DatasetConfig:
    return DatasetConfig(kind="in_memory", **sizes)


def test_parts_are_disjoint_and_of_the_sizes_asked() -> None:
    parts = split(LABELS, PartSizes(50, 30, 15), seed=0)
    assert [len(part) for part in parts] == [50, 30, 15]
    assert len(np.unique(np.concatenate(parts))) == 95


def test_every_class_is_in_every_part_in_proportion() -> None:
    for part in split(LABELS, PartSizes(50, 30, 20), seed=0):
        np.testing.assert_allclose(np.bincount(LABELS[part]) / len(part), [0.4, 0.3, 0.2, 0.1])


def test_the_same_seed_gives_the_same_parts_and_another_gives_others() -> None:
    first, again, other = (split(LABELS, PartSizes(50, 30, 20), seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(np.sort(first[0]), np.sort(other[0]))


def test_open_sizes_are_sixty_twenty_and_the_rest() -> None:
    assert part_sizes(source(), config()) == PartSizes(60, 20, 20)
    assert part_sizes(source(), config(train_size=10)) == PartSizes(10, 20, 70)


def test_own_parts_need_no_samples_of_the_rest() -> None:
    own = rows(LABELS[:7])
    assert part_sizes(source(validation=own, test=own), config()) == PartSizes(100, 0, 0)
    assert part_sizes(source(test=own), config()) == PartSizes(60, 20, 0)


def test_too_large_sizes_are_refused_with_the_number_of_samples() -> None:
    message = r"dataset\.train_size: 90 beside validation_size 20 .* at most the 100 samples"
    with pytest.raises(InvalidInputError, match=message):
        part_sizes(source(), config(train_size=90, validation_size=20))


def test_a_class_too_small_for_every_part_is_refused() -> None:
    labels = np.append(LABELS, 4)
    with pytest.raises(DataError, match="class 4 with 1 samples given, expected at least 3"):
        split(labels, PartSizes(50, 30, 20), seed=0)


def test_a_part_too_small_for_every_class_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"dataset\.validation_size: 3 given, expected at least 4"):
        split(LABELS, PartSizes(50, 3, 20), seed=0)


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(DataError, match=r"one class, \[0\]"):
        split(np.zeros(10, dtype=np.int64), PartSizes(6, 2, 2), seed=0)


def test_parts_are_normalised_by_the_training_part_alone() -> None:
    task = load_task(source(), config(train_size=50), 0)
    parts = (task.train, task.validation, task.test)
    assert all(part.inputs["x"].min() >= 1000 * 50 for part in parts)
    assert len(torch.cat([part.inputs["x"] for part in parts]).unique()) == 100


def test_own_parts_of_the_source_are_used() -> None:
    own = source(validation=rows(LABELS[:7]), test=rows(LABELS[:9]))
    task = load_task(own, config(), 0)
    assert [len(part) for part in (task.train, task.validation, task.test)] == [100, 7, 9]


def test_moving_converts_floating_inputs_and_leaves_integers() -> None:
    inputs = {"x": torch.ones(2, 1), "tokens": torch.ones(2, 1, dtype=torch.int64)}
    part = Examples(inputs, torch.zeros(2, dtype=torch.int64))
    moved = TaskData(part, part, part, ()).to(torch.device("cpu"), torch.float64)
    assert moved.train.inputs["x"].dtype == torch.float64
    assert moved.train.inputs["tokens"].dtype == torch.int64


def test_training_takes_what_is_left_where_the_other_parts_take_more_than_usual() -> None:
    assert part_sizes(source(), config(validation_size=30, test_size=30)) == PartSizes(40, 30, 30)
