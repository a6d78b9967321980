"""Training, validation and test parts: disjoint, stratified by class, the same for the same seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.data.dataset import Dataset, DatasetConfig, Examples, LabelledData
from models.data.group_split import Rows, group_mates, split_by_group
from models.data.preprocessing import ImagePreprocessing
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
    """Names of the samples in each part, and of those that belong to their groups."""

    train: frozenset[str] = frozenset()
    validation: frozenset[str] = frozenset()
    test: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TaskData:
    """The three parts of a task, normalised, on one device.  The search never sees ``test``.

    ``images`` says how the inputs come from image files, where they do.
    """

    train: Examples
    validation: Examples
    test: Examples
    class_names: tuple[str, ...]
    names: PartNames = PartNames()
    images: ImagePreprocessing | None = None

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
            self.images,
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
    labels = data.examples.labels.numpy()
    parts = split(labels, sizes, seed, field, data.groups, data.class_names)
    train, validation, test = parts
    raw_train = data.examples.take(torch.from_numpy(train))
    raw_validation = data.validation or data.examples.take(torch.from_numpy(validation))
    raw_test = data.test or data.examples.take(torch.from_numpy(test))
    return TaskData(
        dataset.normalised(raw_train, raw_train),
        dataset.normalised(raw_train, raw_validation),
        dataset.normalised(raw_train, raw_test),
        data.class_names,
        PartNames(
            names_of(data, train),
            names_of(data, validation) | frozenset(data.own_samples.get("validation", ())),
            names_of(data, test) | frozenset(data.own_samples.get("test", ())),
        ),
        data.images,
    )


def names_of(data: LabelledData, rows: Rows) -> frozenset[str]:
    """Names of some samples, and of those that belong to their groups."""
    return frozenset(data.samples[row] for row in group_mates(rows, data.groups))


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
    labels: Rows,
    sizes: PartSizes,
    seed: int,
    field: str = "dataset",
    groups: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> tuple[Rows, Rows, Rows]:
    """Choose the samples of each part, every class in proportion.

    Args:
        labels: ``(N,)``.
        sizes: At most N together.
        seed: Of the choice.
        field: Where the source stood in the spec, for errors.
        groups: ``(N,)`` or None; where given, no group is in two parts, and sizes are upper bounds.
        class_names: For errors; numbers if None.

    Returns:
        Indices of the training, validation and test part; disjoint.

    Raises:
        DataError: A class is too small to be in every part, or a part too small for every class.
    """
    wanted = {
        "train_size": sizes.train,
        "validation_size": sizes.validation,
        "test_size": sizes.test,
    }
    parts = {name: size for name, size in wanted.items() if size > 0}
    _check_classes(labels, parts, field, class_names)
    if groups is None:
        chosen = _split_by_class(labels, wanted, seed, field, class_names)
    else:
        chosen = split_by_group(labels, groups, parts, seed, field, class_names)
    nothing = np.zeros(0, dtype=np.int64)
    train, validation, test = (chosen.get(name, nothing) for name in wanted)
    return train, validation, test


def _check_classes(
    labels: Rows, parts: Mapping[str, int], field: str, class_names: Sequence[str] | None
) -> None:
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        only = [_shown(label, class_names) for label in classes]
        raise DataError(field, f"one class, [{', '.join(only)}]", "labels of at least two classes")
    if counts.min() < len(parts):
        rare = _shown(classes[counts.argmin()], class_names)
        raise DataError(
            field,
            f"class {rare} with {counts.min()} samples",
            f"at least {len(parts)}, one for each part",
        )
    for name, size in parts.items():
        if size < len(classes):
            raise DataError(f"{field}.{name}", size, f"at least {len(classes)}, one of each class")


def _split_by_class(
    labels: Rows,
    wanted: Mapping[str, int],
    seed: int,
    field: str,
    class_names: Sequence[str] | None,
) -> dict[str, Rows]:
    # Takes a second to load, and processes that only measure never split.
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    remaining = np.arange(len(labels))
    chosen: dict[str, Rows] = {}
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
            classes, counts = np.unique(labels[remaining], return_counts=True)
            rare = _shown(classes[counts.argmin()], class_names)
            raise DataError(
                f"{field}.{name}",
                f"{size} of {len(remaining)}, of which {counts.min()} of class {rare}: {error}",
                "another size, or more samples of that class",
            ) from error
    return chosen


def _shown(label: np.int64, class_names: Sequence[str] | None) -> str:
    return str(label) if class_names is None else repr(class_names[int(label)])
