"""Tests of folders of images: sizes, scales, parts, the cache, and what is refused with the file's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from models.data.dataset import DatasetContext
from models.data.images import pixels
from models.data.preprocessing import ImagePreprocessing, Preprocessing
from models.data.splits import load_task
from models.datasets import image_folder
from models.datasets.image_folder import ImageFolder, ImageFolderConfig
from models.inputs import InputFolder
from models.surroundings import Surroundings
from search.errors import DataError, InvalidInputError

MODEL = ImagePreprocessing((5, 7), (0.5, 0.4, 0.3), (0.2, 0.2, 0.1))


def saved(root: Path, path: str, shade: int, size: tuple[int, int] = (8, 6)) -> Path:
    file = root / "set" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 2 * shade, 0)).save(file)
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(20):
        saved(tmp_path, f"c{10 if number % 2 else 2}/{number}.png", number)
    return tmp_path


def opened(root: Path, model: ImagePreprocessing | None = None, **options: Any) -> ImageFolder:
    surroundings = Surroundings(InputFolder(root), root / "cache")
    context = DatasetContext(surroundings, Preprocessing(image=model))
    return ImageFolder(ImageFolderConfig(path="set", **options), context)


def test_the_model_says_size_and_scale(folder: Path) -> None:
    dataset = opened(folder, MODEL)
    assert dataset.shape().inputs == {"x": (3, 5, 7)}
    data = dataset.load()
    assert data.class_names == ("c2", "c10")
    assert data.examples.inputs["x"].dtype == torch.uint8
    x = dataset.normalised(data.examples, data.examples).inputs["x"]
    assert x.dtype == torch.float32
    # The last image of the first class, number 18.
    expected = [(18 / 255 - 0.5) / 0.2, (36 / 255 - 0.4) / 0.2, (0 - 0.3) / 0.1]
    torch.testing.assert_close(x[9, :, 2, 3], torch.tensor(expected))
    assert data.examples.labels.tolist() == [0] * 10 + [1] * 10


def test_options_win_over_the_model(folder: Path) -> None:
    dataset = opened(folder, MODEL, size=4, channels=1, mean=(0.0,), deviation=(0.5,))
    assert dataset.shape().inputs == {"x": (1, 4, 4)}
    examples = dataset.load().examples
    scaled = dataset.normalised(examples, examples).inputs["x"]
    torch.testing.assert_close(scaled, examples.inputs["x"] / 255 / 0.5)
    assert scaled[:, 0, 0, 0].unique().numel() == 20
    assert opened(folder, MODEL, size=(3, 9)).shape().inputs == {"x": (3, 3, 9)}


def test_without_a_model_values_are_from_0_to_1_and_a_size_is_needed(folder: Path) -> None:
    dataset = opened(folder, size=4)
    examples = dataset.load().examples
    scaled = dataset.normalised(examples, examples).inputs["x"]
    torch.testing.assert_close(scaled, examples.inputs["x"] / 255)
    with pytest.raises(InvalidInputError, match=r"dataset\.size: null, .* height and width"):
        opened(folder)
    with pytest.raises(InvalidInputError, match=r"dataset\.channels: 1 given, expected 3, which"):
        opened(folder, MODEL, channels=1)


def test_images_are_resized_once_until_anything_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(folder, size=4).load().examples.inputs["x"].clone()
    real, count = pixels.read_pixels, []

    def counting(content: bytes, options: Any) -> Any:
        count.append(options)
        return real(content, options)

    monkeypatch.setattr(image_folder, "read_pixels", counting)
    assert torch.equal(opened(folder, size=4).load().examples.inputs["x"], first)
    # A class of another name has the same pixels.
    (folder / "set" / "c10").rename(folder / "set" / "other")
    assert opened(folder, size=4).load().class_names == ("c2", "other")
    assert not count
    opened(folder, size=5).load()
    saved(folder, "c2/0.png", 77)
    changed = opened(folder, size=4).load().examples.inputs["x"]
    assert changed[0, 0].unique().tolist() == [77]
    assert len(count) == 40


def test_parts_of_their_own_are_taken_and_named_as_judged(folder: Path) -> None:
    root = folder / "set"
    (root / "train").mkdir()
    for name in ("c2", "c10"):
        (root / name).rename(root / "train" / name)
    saved(folder, "test/c10/new.png", 99)
    # A copy of a picture that is trained on, as people make them.
    saved(folder, "test/c2/copy.png", 0)
    data = opened(folder, size=4).load()
    assert data.test is not None
    assert data.test.labels.tolist() == [0, 1]
    assert data.own_samples["test"][0] == data.samples[0]
    assert data.own_samples["test"][1] not in data.samples
    config = ImageFolderConfig(path="set", size=4)
    task = load_task(opened(folder, size=4), config, 0)
    assert [len(part) for part in (task.train, task.validation, task.test)] == [12, 4, 2]
    assert set(data.own_samples["test"]) <= task.held_out


def test_the_same_picture_is_the_same_sample_in_every_folder(folder: Path) -> None:
    first = opened(folder, size=4).load()
    (folder / "set" / "c2").rename(folder / "set" / "zebra")
    second = opened(folder, size=6).load()
    assert set(first.samples) == set(second.samples)
    assert first.samples[:10] == second.samples[10:]


def test_a_file_that_is_no_image_is_refused_by_name(folder: Path) -> None:
    (folder / "set" / "c2" / "broken.png").write_bytes(b"no image")
    dataset = opened(folder, size=4)
    assert dataset.n_samples() == 21
    message = r"^dataset\.path: set/c2/broken\.png: no image that can be read"
    with pytest.raises(DataError, match=message):
        dataset.load()


def test_a_file_that_is_too_large_is_refused_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_folder, "MAX_FILE_BYTES", 20)
    with pytest.raises(DataError, match=r"set/c2/0\.png: more than 20 bytes"):
        opened(folder, size=4).load()


def test_more_pixels_than_memory_is_for_are_refused_before_images_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_folder, "MAX_PIXEL_BYTES", 900)
    (folder / "set" / "c2" / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"dataset\.size: \[4, 4\] for each of 21 images, 1,008 by"):
        opened(folder, size=4).shape()


@pytest.mark.parametrize(
    "options",
    [{"size": 0}, {"size": 5000}, {"size": (4,)}, {"channels": 2}, {"mean": (0.5,)}, {"fit": "pad"},
     {"mean": (0.5,), "deviation": (0.0,)}, {"mean": (0.5, 0.5), "deviation": (1.0, 1.0)},
     {"mean": (0.5,), "deviation": (1.0,), "channels": 3}],
)  # fmt: skip
def test_options_that_contradict_themselves_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ImageFolderConfig(path="set", **options)
