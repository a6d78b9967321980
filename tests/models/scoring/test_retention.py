"""Tests of the source task's judging parts."""

from __future__ import annotations

import pytest
import torch

from models.data.dataset import Dataset, DatasetConfig, DatasetContext, open_dataset
from models.data.splits import PartNames, TaskData, load_task
from models.datasets.digits import Digits, DigitsConfig
from models.scoring.retention import Retention, load_retention
from models.surroundings import NOTHING
from search.errors import DataError

NO_TARGET = PartNames()


def digits(**options: object) -> tuple[Dataset, DatasetConfig]:
    config = DigitsConfig.model_validate({"classes": [0, 1, 2], **options})
    return open_dataset(config, DatasetContext(NOTHING)), config


def retention(target: PartNames = NO_TARGET, seed: int = 0, **options: object) -> Retention:
    dataset, config = digits(**options)
    return load_retention(0.5, dataset, config, target, seed, field="source.dataset")


def target_task(**options: object) -> TaskData:
    return load_task(*digits(**options), seed=3)


def images(part: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in part}


def test_parts_have_the_sizes_asked_and_every_class_in_proportion() -> None:
    own = retention(validation_size=60, test_size=90)
    assert own.validation.labels.bincount().tolist() == [20, 20, 20]
    assert own.test.labels.bincount().tolist() == [30, 30, 30]
    assert len(own.held_out) == 150


def test_the_parts_are_disjoint_and_the_same_for_the_same_seed() -> None:
    first, again, other = retention(), retention(), retention(seed=1)
    assert not images(first.validation.inputs["x"]) & images(first.test.inputs["x"])
    assert first.held_out == again.held_out
    assert images(first.validation.inputs["x"]) == images(again.validation.inputs["x"])
    assert images(first.validation.inputs["x"]) != images(other.validation.inputs["x"])


def test_a_sample_of_the_target_task_is_judged_on_in_the_same_part_only() -> None:
    target = target_task(train_size=100, validation_size=150, test_size=200)
    dataset, _ = digits()
    names = dict(zip(dataset.load().samples, dataset.load().examples.inputs["x"], strict=True))

    def part(samples: frozenset[str]) -> set[bytes]:
        return images(torch.stack([names[name] for name in samples]))

    own = retention(target.names)
    assert not own.held_out & target.names.train
    assert not images(own.validation.inputs["x"]) & part(target.names.train | target.names.test)
    assert not images(own.test.inputs["x"]) & part(target.names.train | target.names.validation)


def test_of_the_very_same_samples_both_tasks_judge_on_the_same_ones() -> None:
    target = target_task()
    assert retention(target.names).held_out == target.held_out


def test_a_part_that_the_target_task_leaves_no_room_for_is_refused() -> None:
    target = target_task(validation_size=50)
    with pytest.raises(
        DataError, match=r"source\.dataset\.validation_size: 80 given, expected at most the 50 "
    ):
        retention(target.names, validation_size=80)


def test_a_source_task_that_is_judged_on_as_a_whole_is_refused() -> None:
    n_samples = digits()[0].n_samples()
    dataset, config = digits()
    names = dataset.load().samples
    judged = PartNames(frozenset(), frozenset(names[:300]), frozenset(names[300:]))
    with pytest.raises(DataError, match="no sample besides those that are judged on"):
        load_retention(0.5, dataset, config, judged, 0, field="source.dataset")
    assert n_samples == len(names)


def test_inputs_are_normalised_by_samples_that_neither_task_judges_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target, fitted = target_task(), list[int]()

    def remember(_: Digits, train: object, part: object) -> object:
        fitted.append(len(train))  # type: ignore[arg-type]
        return part

    monkeypatch.setattr(Digits, "normalised", remember)
    own = retention(target.names, validation_size=30, test_size=30)
    n_judged = len(own.held_out | target.held_out)
    assert set(fitted) == {digits()[0].n_samples() - n_judged}
