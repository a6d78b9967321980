"""Training, validation and test parts: disjoint, stratified by class, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.dataset import Dataset, DatasetConfig, Examples
from models.randomness import derive_seed
from search.errors import DataError, InvalidInputError

TRAIN_SHARE, VALIDATION_SHARE = 0.6, 0.2


@dataclass(frozen=True, slots=True)
class PartSizes:
    """How many samples each part gets; 0 where the source brings the part itself."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True)
class PartNames:
    """Names of the samples in each part; those of a part that the source brings itself have none."""

    train: frozenset[str] = frozenset()
    validation: frozenset[str] = frozenset()
    test: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TaskData:
    """The three parts of a task, normalised, on one device.  The search never sees ``test``."""

    train: Examples
    validation: Examples
    test: Examples
    class_names: tuple[str, ...]
    names: PartNames = PartNames()

    @property
    def held_out(self) -> frozenset[str]:
        """Names of the samples of the validation and test part."""
        return self.names.validation | self.names.test

    def to(self, device: torch.device, dtype: torch.dtype) -> TaskData:
        """Move the parts; floating-point inputs are converted."""
        return TaskData(
            self.train.to(device, dtype),
            self.validation.to(device, dtype),
            self.test.to(device, dtype),
            self.class_names,
            self.names,
        )


def load_task(
    dataset: Dataset, config: DatasetConfig, seed: int, field: str = "dataset"
) -> TaskData:
    """Read a source and split it.

    Args:
        dataset: The source.
        config: Gives the sizes.
        seed: Of the split.
        field: Where the source stood in the spec, for errors.

    Raises:
        DataError: Too few samples, alone or in one class; names both numbers.
    """
    data = dataset.load()
    sizes = part_sizes(dataset, config, field)
    parts = split(data.examples.labels.numpy(), sizes, seed, field)
    train, validation, test = parts
    raw_train = data.examples.take(torch.from_numpy(train))
    raw_validation = data.validation or data.examples.take(torch.from_numpy(validation))
    raw_test = data.test or data.examples.take(torch.from_numpy(test))
    return TaskData(
        dataset.normalised(raw_train, raw_train),
        dataset.normalised(raw_train, raw_validation),
        dataset.normalised(raw_train, raw_test),
        data.class_names,
        PartNames(*(frozenset(data.samples[index] for index in part) for part in parts)),
    )


def part_sizes(dataset: Dataset, config: DatasetConfig, field: str = "dataset") -> PartSizes:
    """Fill in the sizes that the config leaves open; reads no samples.

    Raises:
        InvalidInputError: The parts need more samples than there are.
    """
    n_samples, own_parts = dataset.n_samples(), dataset.own_parts()
    has_validation, has_test = "validation" in own_parts, "test" in own_parts
    validation = test = 0
    if not has_validation:
        validation = config.validation_size or max(1, round(VALIDATION_SHARE * n_samples))
    if config.train_size is not None:
        train = config.train_size
    elif has_validation and has_test:
        train = n_samples
    else:
        left = n_samples - validation - (config.test_size or 0)
        train = max(1, min(round(TRAIN_SHARE * n_samples), left))
    if not has_test:
        # The rest, and at least one sample.
        test = config.test_size or max(1, n_samples - train - validation)
    if train + validation + test > n_samples:
        raise InvalidInputError(
            f"{field}.train_size",
            f"{train} beside validation_size {validation} and test_size {test}",
            f"together at most the {n_samples} samples that there are",
        )
    return PartSizes(train, validation, test)


def split(
    labels: NDArray[np.int64], sizes: PartSizes, seed: int, field: str = "dataset"
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Choose the samples of each part, every class in proportion.

    Args:
        labels: ``(N,)``.
        sizes: At most N together.
        seed: Of the choice.
        field: Where the source stood in the spec, for errors.

    Returns:
        Indices of the training, validation and test part; disjoint.

    Raises:
        DataError: A class is too small to be in every part, or a part too small for every class.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise DataError(
            f"{field}", f"one class, {classes.tolist()}", "labels of at least two classes"
        )
    wanted = {
        "train_size": sizes.train,
        "validation_size": sizes.validation,
        "test_size": sizes.test,
    }
    parts = {name: size for name, size in wanted.items() if size > 0}
    if counts.min() < len(parts):
        rare = classes[counts.argmin()]
        raise DataError(
            field,
            f"class {rare} with {counts.min()} samples",
            f"at least {len(parts)}, one for each part",
        )
    for name, size in parts.items():
        if size < len(classes):
            raise DataError(f"{field}.{name}", size, f"at least {len(classes)}, one of each class")
    # Takes a second to load, and processes that only measure never split.
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    remaining = np.arange(len(labels))
    chosen: dict[str, NDArray[np.int64]] = {}
    for name, size in wanted.items():
        if size in (0, len(remaining)):
            chosen[name] = remaining[:size]
            remaining = remaining[size:]
            continue
        try:
            chosen[name], remaining = train_test_split(
                remaining,
                train_size=size,
                stratify=labels[remaining],
                random_state=derive_seed(seed, "split", name) % 2**32,
            )
        except ValueError as error:
            raise DataError(
                f"{field}.{name}", f"{size} of {len(remaining)}: {error}", "another size"
            ) from error
    return chosen["train_size"], chosen["validation_size"], chosen["test_size"]
