"""What every registered dataset source promises; a new file is tested as soon as it exists.

A source that needs options (a path, say) gives them here, with what it reads.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from models.data.dataset import Dataset, DatasetConfig, DatasetContext, open_dataset
from models.data.preprocessing import Preprocessing
from models.data.splits import load_task
from models.datasets import DATASETS
from models.inputs import InputFolder
from models.surroundings import Surroundings
from tests.models.word_tokens import WordTokens

REQUIRED_OPTIONS: dict[str, dict[str, object]] = {
    "arrays": {"path": "data.npz"},
    "image_folder": {"path": "images", "size": 6},
    "text": {"path": "data.csv"},
}
# Of these the longest is known only when all are read: the shape says how long they can be.
OF_UNKNOWN_LENGTH = {"text"}
N_SAMPLES = 90


@pytest.fixture(params=DATASETS.names())
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def inputs(tmp_path: Path) -> Surroundings:
    x = np.random.default_rng(0).normal(size=(N_SAMPLES, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(N_SAMPLES) % 3)
    with (tmp_path / "data.csv").open("w", encoding="utf-8", newline="") as file:
        rows = ((" ".join(["a"] * (row % 5) + [f"word{row}"]), row % 3) for row in range(N_SAMPLES))
        csv.writer(file).writerows([("text", "label"), *rows])
    pixels = np.random.default_rng(0).integers(0, 256, size=(N_SAMPLES, 7, 9, 3), dtype=np.uint8)
    for row, image in enumerate(pixels):
        folder = tmp_path / "images" / f"class {row % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{row}.png")
    return Surroundings(InputFolder(tmp_path), tmp_path / "cache")


def config(kind: str, **options: object) -> DatasetConfig:
    parsed = DATASETS.config(kind).model_validate({**REQUIRED_OPTIONS.get(kind, {}), **options})
    assert isinstance(parsed, DatasetConfig)
    return parsed


def opened(kind: str, inputs: Surroundings) -> Dataset:
    preprocessing = Preprocessing(text=WordTokens())
    return open_dataset(config(kind), DatasetContext(inputs, preprocessing))


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
    if kind in OF_UNKNOWN_LENGTH:
        assert loaded.keys() == shape.inputs.keys()
        assert all(loaded[name] <= shape.inputs[name] for name in loaded)
        assert len(set(loaded.values())) == 1
    else:
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


def test_samples_have_names_that_stay(kind: str, inputs: Surroundings) -> None:
    first, second = (opened(kind, inputs).load() for _ in range(2))
    assert len(set(first.samples)) == len(first.examples)
    assert first.samples == second.samples


def test_a_split_gives_finite_disjoint_parts(kind: str, inputs: Surroundings) -> None:
    sizes = {"train_size": 30, "validation_size": 20, "test_size": 20}
    task = load_task(opened(kind, inputs), config(kind, **sizes), seed=0)
    assert [len(part) for part in (task.train, task.validation, task.test)] == [30, 20, 20]
    rows = torch.cat(
        [
            torch.cat([x.flatten(1) for x in part.inputs.values()], dim=1)
            for part in (task.train, task.validation, task.test)
        ]
    )
    assert len(rows.unique(dim=0)) == 70
    assert torch.isfinite(rows).all()
