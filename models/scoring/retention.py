"""The source task's judging parts: what a mask should keep while it gains on the target task.

The two tasks may share samples.  A shared sample is judged on by the source task in the part only that it has in the
target task: what the target task trains on would be no test, and what either task's test holds must not steer a search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from models.data.dataset import Dataset, DatasetConfig, Examples, LabelledData
from models.data.splits import PartNames, PartSizes, names_of, part_sizes, split
from models.randomness import derive_seed
from search.errors import DataError


@dataclass(frozen=True, slots=True)
class Retention:
    """How much the source task counts, and on what it is judged.

    Attributes:
        weight: Share of the source task's accuracy in the fitness, above 0 and at most 1.
        validation: Steers the search.
        test: Read once, at the end.
        held_out: Names of the samples in both.
    """

    weight: float
    validation: Examples
    test: Examples
    held_out: frozenset[str] = frozenset()

    def to(self, device: torch.device, dtype: torch.dtype) -> Retention:
        """Move the parts; floating-point inputs are converted."""
        validation, test = (part.to(device, dtype) for part in (self.validation, self.test))
        return Retention(self.weight, validation, test, self.held_out)


def load_retention(
    weight: float,
    dataset: Dataset,
    config: DatasetConfig,
    target: PartNames,
    seed: int,
    *,
    field: str,
) -> Retention:
    """Read the source task and draw its judging parts, every class in proportion.

    Inputs are normalised by the samples that neither task judges on, which a source that is pretrained here trains on.

    Args:
        weight: Share of the source task's accuracy.
        dataset: The source task.
        config: Gives the sizes; those left open shrink where the target task leaves fewer samples.
        target: Parts of the target task.
        seed: Of the draws.
        field: Where the data set stood in the spec, for errors.

    Raises:
        InvalidInputError: The parts need more samples than there are.
        DataError: Too few samples, alone or in one class; names both numbers.
    """
    data, sizes = dataset.load(), part_sizes(dataset, config, field)
    drawing = _Drawing(data, seed, field)
    validation, test = data.validation, data.test
    held_out = frozenset(name for names in data.own_samples.values() for name in names)
    if validation is None:
        taken = target.train | target.test
        rows = drawing.rows("validation", sizes.validation, config.validation_size, taken)
        validation = data.examples.take(rows)
        held_out |= names_of(data, rows.numpy())
    if test is None:
        taken = target.train | target.validation | held_out
        rows = drawing.rows("test", sizes.test, config.test_size, taken)
        test = data.examples.take(rows)
        held_out |= names_of(data, rows.numpy())
    judged = held_out | target.validation | target.test
    rest = data.examples.take(drawing.without(judged))
    if len(rest) == 0:
        raise DataError(field, "no sample besides those that are judged on", "some to train on")
    return Retention(
        weight, dataset.normalised(rest, validation), dataset.normalised(rest, test), held_out
    )


@dataclass(frozen=True, slots=True)
class _Drawing:
    """Draws parts of named samples."""

    data: LabelledData
    seed: int
    field: str

    def without(self, taken: frozenset[str]) -> torch.Tensor:
        """Rows of the samples that have none of these names."""
        rows = [row for row, name in enumerate(self.data.samples) if name not in taken]
        return torch.tensor(rows, dtype=torch.int64)

    def rows(
        self,
        part: Literal["validation", "test"],
        size: int,
        asked: int | None,
        taken: frozenset[str],
    ) -> torch.Tensor:
        """Draw a part.

        Args:
            part: Which.
            size: Of the part.
            asked: The same if the data set's options name it, else None.
            taken: Names of samples that it must not have.
        """
        free = self.without(taken)
        if len(free) < (asked or 1):
            raise DataError(
                f"{self.field}.{part}_size",
                size,
                f"at most the {len(free)} samples that the target task does not have in another part",
            )
        size = min(size, len(free))
        sizes = PartSizes(0, size, 0) if part == "validation" else PartSizes(0, 0, size)
        seed = derive_seed(self.seed, part)
        data, chosen = self.data, free.tolist()
        groups = None if data.groups is None else [data.groups[row] for row in chosen]
        labels = data.examples.labels[free].numpy()
        parts = split(labels, sizes, seed, self.field, groups, data.class_names)
        return free[torch.from_numpy(np.concatenate(parts))]
