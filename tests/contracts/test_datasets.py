"""What every registered dataset source promises; a new file is tested as soon as it exists.

A source that needs options (a path, say) gives them here, with what it reads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models.data.dataset import Dataset, DatasetConfig, DatasetContext, open_dataset
from models.data.splits import load_task
from models.datasets import DATASETS
from models.surroundings import Surroundings

REQUIRED_OPTIONS: dict[str, dict[str, object]] = {"arrays": {"path": "data.npz"}}


@pytest.fixture(params=DATASETS.names())
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def inputs(tmp_path: Path) -> Surroundings:
    x = np.random.default_rng(0).normal(size=(90, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(90) % 3)
    return Surroundings.of(tmp_path)


def config(kind: str, **options: object) -> DatasetConfig:
    parsed = DATASETS.config(kind).model_validate({**REQUIRED_OPTIONS.get(kind, {}), **options})
    assert isinstance(parsed, DatasetConfig)
    return parsed


def opened(kind: str, inputs: Surroundings) -> Dataset:
    return open_dataset(config(kind), DatasetContext(inputs))


def test_options_have_a_schema_and_refuse_unknown_keys(kind: str) -> None:
    schema = DATASETS.config(kind).model_json_schema()
    assert schema["properties"]["kind"]["const"] == kind
    assert {"train_size", "validation_size", "test_size"} <= schema["properties"].keys()
    with pytest.raises(ValidationError, match="Extra inputs"):
        config(kind, trian_size=3)


def test_shape_and_number_of_samples_foretell_what_is_loaded(
    kind: str, inputs: Surroundings
) -> None:
    dataset = opened(kind, inputs)
    shape, data = dataset.shape(), dataset.load()
    loaded = {name: tuple(x.shape[1:]) for name, x in data.examples.inputs.items()}
    assert loaded == dict(shape.inputs)
    assert len(data.examples) == dataset.n_samples()
    assert len(data.class_names) == shape.n_classes


def test_labels_are_classes(kind: str, inputs: Surroundings) -> None:
    data = opened(kind, inputs).load()
    labels = data.examples.labels
    assert labels.dtype == torch.int64
    assert labels.shape == (len(data.examples),)
    assert 0 <= labels.min() <= labels.max() < len(data.class_names)


def test_loading_twice_gives_the_same_bits(kind: str, inputs: Surroundings) -> None:
    first, second = (opened(kind, inputs).load().examples for _ in range(2))
    assert torch.equal(first.labels, second.labels)
    assert all(torch.equal(first.inputs[name], second.inputs[name]) for name in first.inputs)


def test_a_split_gives_finite_disjoint_parts(kind: str, inputs: Surroundings) -> None:
    sizes = {"train_size": 30, "validation_size": 20, "test_size": 20}
    task = load_task(opened(kind, inputs), config(kind, **sizes), seed=0)
    assert [len(part) for part in (task.train, task.validation, task.test)] == [30, 20, 20]
    rows = torch.cat(
        [part.inputs["x"].flatten(1) for part in (task.train, task.validation, task.test)]
    )
    assert len(rows.unique(dim=0)) == 70
    assert torch.isfinite(rows).all()
