"""Opening the data sets that a spec names, for the family of networks that it names."""

from __future__ import annotations

from models.data.dataset import Dataset, DatasetConfig, DatasetContext, open_dataset
from models.family import build_family
from models.surroundings import Surroundings
from service.spec import SearchSpec


def open_data(
    spec: SearchSpec, config: DatasetConfig, surroundings: Surroundings, field: str = "dataset"
) -> Dataset:
    """Open one of a spec's data sets.

    Args:
        spec: Its model says what raw data must become.
        config: Which data set.
        surroundings: What the spec may reach.
        field: Where the data set stands in the spec.

    Raises:
        InvalidInputError: The model or the data set cannot be opened.
    """
    preprocessing = build_family(spec.model, surroundings).preprocessing()
    return open_dataset(config, DatasetContext(surroundings, preprocessing, field))
