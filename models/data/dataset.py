"""The seam for data sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from pydantic import Field
from torch import Tensor

from models.data.preprocessing import ImagePreprocessing, Preprocessing
from models.data.shapes import DataShape
from models.surroundings import Surroundings
from search.registry import PluginConfig, Registry


class DatasetConfig(PluginConfig):
    """Base of every data source's options: how many labelled samples each part gets.

    Where the source brings its own validation or test part, that one is used.
    """

    train_size: int | None = Field(
        None,
        ge=1,
        description="training samples; if null 60% of all, or what the other parts leave",
    )
    validation_size: int | None = Field(None, ge=1, description="validation samples; 20% if null")
    test_size: int | None = Field(None, ge=1, description="test samples; the rest if null")


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled samples.

    Attributes:
        inputs: ``(N, *shape)`` per named input.
        labels: int64 ``(N,)``, 0 to C - 1.
        targets: ``(N, *)`` per name: what a loss compares with beside the labels.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    targets: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> Examples:
        """Copy some samples."""
        return Examples(
            {name: x[indices] for name, x in self.inputs.items()},
            self.labels[indices],
            {name: target[indices] for name, target in self.targets.items()},
        )

    def to(self, device: torch.device, dtype: torch.dtype) -> Examples:
        """Move them; floating-point inputs are converted."""
        inputs = {
            name: x.to(device, dtype if x.is_floating_point() else x.dtype)
            for name, x in self.inputs.items()
        }
        return replace(self, inputs=inputs, labels=self.labels.to(device))


@dataclass(frozen=True, slots=True)
class LabelledData:
    """What a source gives: samples still to be split, and the parts it brings itself.

    Attributes:
        examples: The samples to be split.
        class_names: As people know the classes, in the order of their numbers.
        samples: Names each sample to be split, the same however the source is shifted or relabelled, so that a
            network is never pretrained on what it will be judged on.
        validation: The source's own validation part.
        test: The source's own test part.
        groups: Of each sample to be split, or None; samples of one group are never in two parts.
        own_samples: Names of the samples in ``validation`` and ``test``, where the source can give them.
        images: How the inputs come from image files, where they do.
    """

    examples: Examples
    class_names: tuple[str, ...]
    samples: tuple[str, ...]
    validation: Examples | None = None
    test: Examples | None = None
    groups: tuple[str, ...] | None = None
    own_samples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: ImagePreprocessing | None = None


@dataclass(frozen=True, slots=True)
class DatasetContext:
    """What a source may know beside its options.

    Attributes:
        surroundings: Where files named in the spec lie.
        preprocessing: What the networks' family wants raw images and text to become.
        field: Where the source stood in the spec, for errors.
    """

    surroundings: Surroundings
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    field: str = "dataset"


class Dataset(Protocol):
    """Reads one source.

    The promise: ``shape`` reads headers and labels at most, in bounded memory, ``load`` gives the same data every time,
    and inputs are raw: what is fitted to data (normalisation) is fitted on the training part, by ``normalised``.
    """

    def shape(self) -> DataShape:
        """Give the shape of a sample and the number of classes; of text, the most tokens that a sample can have.

        Texts are padded to the longest of them, which only reading them all would show: what ``load`` gives may be
        shorter, but is the same for all samples.

        Raises:
            InvalidInputError: The source cannot be read as what it claims to be.
        """
        ...

    def n_samples(self) -> int:
        """Give the number of samples to be split."""
        ...

    def own_parts(self) -> frozenset[str]:
        """Which of ``validation`` and ``test`` the source brings itself."""
        ...

    def load(self) -> LabelledData:
        """Read everything.

        Raises:
            DataError: The data themselves are not usable.
        """
        ...

    def normalised(self, train: Examples, part: Examples) -> Examples:
        """Bring one part to the scale that networks expect, by statistics of the training part alone."""
        ...


DATASETS: Registry[Dataset] = Registry("dataset", "models.datasets")


def open_dataset(config: DatasetConfig, context: DatasetContext) -> Dataset:
    """Construct the source that a config names.

    Raises:
        InvalidInputError: The source is not there or is not what it claims to be.
    """
    return DATASETS.plugin(config.kind)(config, context)  # type: ignore[call-arg]
