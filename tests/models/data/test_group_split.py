"""Tests of parts that share no group."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.data import group_split
from models.data.dataset import DatasetConfig, Examples, LabelledData
from models.data.group_split import split_by_group
from models.data.splits import PartSizes, load_task, split
from search.errors import DataError
from tests.models.data.test_splits import InMemory

RNG = np.random.default_rng(0)
# 60 people with 3 to 12 samples each, of three classes of unequal size.
PEOPLE = np.repeat(np.arange(60), RNG.integers(3, 13, size=60))
LABELS = RNG.choice(3, size=len(PEOPLE), p=[0.6, 0.3, 0.1])
GROUPS = tuple(f"person {number}" for number in PEOPLE)
SIZES = PartSizes(200, 80, 80)


def test_no_group_is_in_two_parts_and_sizes_are_kept() -> None:
    parts = split(LABELS, SIZES, 0, groups=GROUPS)
    owners = [{GROUPS[row] for row in rows} for rows in parts]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]
    assert [len(rows) for rows in parts] == [200, 80, 80]


def test_classes_are_in_proportion_as_well_as_groups_allow() -> None:
    whole = np.bincount(LABELS) / len(LABELS)
    for rows in split(LABELS, SIZES, 0, groups=GROUPS):
        np.testing.assert_allclose(np.bincount(LABELS[rows]) / len(rows), whole, atol=0.06)


def test_the_same_seed_gives_the_same_parts_and_another_gives_others() -> None:
    first, again, other = (split(LABELS, SIZES, seed, groups=GROUPS) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_parts_of_all_samples_are_close_to_what_was_asked() -> None:
    n = len(LABELS)
    sizes = PartSizes(round(0.6 * n), round(0.2 * n), n - round(0.6 * n) - round(0.2 * n))
    parts = split(LABELS, sizes, 0, groups=GROUPS)
    for rows, size in zip(parts, (sizes.train, sizes.validation, sizes.test), strict=True):
        assert 0.9 * size <= len(rows) <= size


def test_more_groups_than_are_placed_one_by_one_are_placed_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_split, "MAX_UNITS", 40)
    labels, groups = np.arange(2000) % 4, [str(row // 2) for row in range(2000)]
    parts = split(labels, PartSizes(100, 500, 500), 0, groups=groups)
    assert [len(rows) for rows in parts] == [100, 500, 500]
    owners = [{groups[row] for row in rows} for rows in parts]
    assert len(set.union(*owners)) == sum(len(own) for own in owners)
    assert all(np.bincount(labels[rows]).min() > 0.1 * len(rows) for rows in parts)


def test_a_class_that_few_groups_have_is_in_every_part() -> None:
    # Three people alone have the last class, once each.
    people = np.repeat(np.arange(30), 10)
    labels = np.arange(300) % 2
    labels[[5, 105, 205]] = 2
    groups = [str(person) for person in people]
    for seed in range(5):
        for rows in split(labels, PartSizes(180, 60, 60), seed, groups=groups):
            assert set(labels[rows]) == {0, 1, 2}


def test_too_few_groups_are_refused_with_both_numbers() -> None:
    labels = np.arange(40) % 2
    two = ["a", "b"] * 10 + ["b", "a"] * 10
    with pytest.raises(DataError, match=r"dataset\.group: 2 groups given, expected at least 3"):
        split(labels, PartSizes(20, 10, 10), 0, groups=two)


def test_a_class_in_too_few_groups_is_refused_by_its_name() -> None:
    labels = np.repeat([0, 1], [30, 10])
    groups = [str(row // 5) for row in range(40)]
    message = "class 'rare' in 2 groups given, expected every class in at least 3"
    with pytest.raises(DataError, match=message):
        split(labels, PartSizes(20, 10, 10), 0, groups=groups, class_names=("usual", "rare"))


def test_groups_that_no_draw_can_divide_are_refused() -> None:
    # Every class is in three groups, but of three parts two have one group each, and only p has every class.
    labels = np.array([0, 1, 2, 0, 1, 0, 2, 1, 2])
    groups = list("pppqqrrss")
    with pytest.raises(DataError, match=r"dataset\.group: 4 groups of which no draw"):
        split_by_group(labels, groups, {"train": 3, "validation": 3, "test": 3}, 0, "dataset")


def test_whoever_shares_a_group_with_a_judged_sample_is_named_as_judged() -> None:
    samples = tuple(f"sample {row}" for row in range(len(LABELS)))
    inputs = {"x": torch.arange(len(LABELS), dtype=torch.float32).view(-1, 1)}
    examples = Examples(inputs, torch.from_numpy(LABELS))
    source = InMemory(LabelledData(examples, ("a", "b", "c"), samples, groups=GROUPS))
    sizes = {"train_size": 50, "validation_size": 30, "test_size": 30}
    task = load_task(source, DatasetConfig(kind="in_memory", **sizes), 0)
    judged = {GROUPS[int(name.split()[1])] for name in task.held_out}
    assert len(task.held_out) > 60
    assert task.held_out == {
        name for name, group in zip(samples, GROUPS, strict=True) if group in judged
    }
    assert not task.names.train & task.held_out


def test_samples_of_own_parts_are_named_as_judged() -> None:
    inputs = {"x": torch.zeros(len(LABELS), 1)}
    examples = Examples(inputs, torch.from_numpy(LABELS))
    samples = tuple(f"sample {row}" for row in range(len(LABELS)))
    own = Examples({"x": torch.zeros(2, 1)}, torch.tensor([0, 1]))
    data = LabelledData(
        examples, ("a", "b", "c"), samples, test=own, own_samples={"test": ("own 1", "own 2")}
    )
    task = load_task(InMemory(data), DatasetConfig(kind="in_memory"), 0)
    assert task.names.test == {"own 1", "own 2"}
    assert {"own 1", "own 2"} < task.held_out
