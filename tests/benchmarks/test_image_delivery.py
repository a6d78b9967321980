"""What the benchmark of image networks compares does differ when it should."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from benchmarks import image_tasks
from benchmarks.delivery import Delivery
from benchmarks.image_delivery import compare_plans, compare_with_library
from benchmarks.image_transfer import spec_of
from models.checkpoints import save_state
from models.data.splits import load_task
from models.family import build_family, open_data
from models.inputs import InputFolder
from models.randomness import derive_seed, seeded_torch
from models.surroundings import Surroundings
from service.spec import SearchSpec

PER_CLASS = 4


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with few letters for either task."""
    folder = tmp_path_factory.mktemp("inputs")
    image_tasks.write_letters(folder / "letters", PER_CLASS, seed=0)
    image_tasks.write_letters(folder / "digits", PER_CLASS, seed=1)
    return folder


def spec(network: str) -> SearchSpec:
    document = spec_of(network, seed=0)
    document["dataset"] |= {"train_size": 30, "validation_size": 40}
    document["source"] |= {"steps": 1}
    return SearchSpec.model_validate(document)


def delivered(inputs: Path, folder: Path) -> tuple[Delivery, float]:
    """A network that was never trained, as a search delivers one, and its test accuracy."""
    own, surroundings = spec("resnet"), Surroundings(InputFolder(inputs))
    family = build_family(own.model, surroundings)
    dataset = open_data(family, own.dataset, surroundings)
    data = load_task(dataset, own.dataset, derive_seed(own.seed, "data"))
    with seeded_torch(0):
        network = family.build(dataset.shape()).eval()
    with torch.no_grad():
        hits = network(x=data.test.inputs["x"]).argmax(dim=1) == data.test.labels
    save_state(folder / "weights.safetensors", network.state_dict())
    model = folder / "model"
    model.mkdir()
    shutil.copy(folder / "weights.safetensors", model / "model.safetensors")
    files = family.companion_files(dataset.shape(), data.class_names, data.images)
    for name, content in files.items():
        (model / name).write_bytes(content)
    delivery = Delivery(own, surroundings, folder / "weights.safetensors", model)
    return delivery, float(hits.double().mean())


def test_the_same_letters_are_drawn_again(inputs: Path, tmp_path: Path) -> None:
    assert image_tasks.write_letters(tmp_path / "again", PER_CLASS, seed=0) == 26 * PER_CLASS
    for path in sorted((inputs / "letters").rglob("*.png")):
        other = tmp_path / "again" / path.relative_to(inputs / "letters")
        assert other.read_bytes() == path.read_bytes()


def test_a_delivered_folder_predicts_what_the_weights_predict(inputs: Path, tmp_path: Path) -> None:
    figures = compare_with_library(*delivered(inputs, tmp_path))
    assert figures["problems"] == []
    assert figures["images"] == 26 * PER_CLASS - 70
    assert figures["logits_difference_from_files"] == figures["pixels_difference"] == 0


def names_of_problems(delivery: Delivery, score: float) -> set[str]:
    return {problem.split()[0] for problem in compare_with_library(delivery, score)["problems"]}


def test_another_scale_or_another_accuracy_is_a_problem(inputs: Path, tmp_path: Path) -> None:
    delivery, score = delivered(inputs, tmp_path)
    other = names_of_problems(delivery, score + 0.5)
    assert other == {"accuracy_of_weights", "accuracy_from_files"}
    options = delivery.model / "preprocessor_config.json"
    changed = json.loads(options.read_text()) | {"image_mean": [0.4]}
    options.write_text(json.dumps(changed))
    assert {"pixels_difference", "logits_difference_from_files"} <= names_of_problems(
        delivery, score
    )


@pytest.mark.parametrize("network", ["vit", "resnet"])
def test_plans_agree_on_both_networks(network: str, inputs: Path, tmp_path: Path) -> None:
    found = compare_plans(spec(network), Surroundings(InputFolder(inputs)), tmp_path)
    assert all(isinstance(x, float) and x < 1e-6 for x in found["float64"].values())
