"""What raw text and raw images become for networks of the library transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.data.dataset import DatasetContext
from models.data.preprocessing import ImagePreprocessing, Preprocessing, TextPreprocessing
from models.datasets.image_folder import ImageFolder, ImageFolderConfig
from models.huggingface import folder, text
from models.huggingface.images import processor_options
from models.inputs import InputFolder
from models.surroundings import Surroundings
from search.errors import InvalidInputError
from tests.models.huggingface.cases import (
    TEXT,
    config_of,
    family,
    inline,
    write_folder,
    write_tokenizer,
)

TEXTS = ["a sentence", "few words and few numbers of a sentence"]


def text_of(place: Path, **options: object) -> TextPreprocessing:
    given = {"task": "sequence_classification", "path": "mine", **options}
    found = family(Surroundings.of(place), **given).preprocessing().text
    assert found is not None
    return found


def images_of(**changes: object) -> ImagePreprocessing | None:
    return inline("vit", **changes).preprocessing().image


def test_texts_are_cut_and_filled_up(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    encoded = text_of(tmp_path).encode(TEXTS, max_length=5)
    assert encoded["input_ids"].tolist() == [[3, 4, 0, 0, 0], [6, 7, 8, 6, 9]]
    assert encoded["attention_mask"].tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]
    assert tuple(encoded) == text_of(tmp_path).input_names


def test_the_longest_text_is_what_network_and_tokenizer_take(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    assert text_of(tmp_path).longest == 20
    write_tokenizer(tmp_path / "mine", pad_token="[PAD]", model_max_length=7)
    assert text_of(tmp_path).longest == 7


def test_another_vocabulary_or_option_has_another_fingerprint(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    first = text_of(tmp_path).fingerprint
    assert text_of(tmp_path).fingerprint == first
    write_tokenizer(tmp_path / "mine", pad_token="[END]")
    assert text_of(tmp_path).fingerprint != first


def test_a_tokenizer_may_lie_in_another_folder(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "words", pad_token="[PAD]")
    text = text_of(tmp_path, path=None, config=config_of("bert"), tokenizer="words")
    assert text.encode(["a"], 5)["input_ids"].tolist() == [[3]]


def test_a_tokenizer_without_padding_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    write_tokenizer(tmp_path / "mine", eos_token="[END]")
    with pytest.raises(InvalidInputError, match="'eos', which fills up") as caught:
        text_of(tmp_path).encode(TEXTS, 5)
    assert caught.value.field == "model.pad_token"
    encoded = text_of(tmp_path, pad_token="eos").encode(TEXTS, 5)
    assert encoded["input_ids"][0].tolist() == [3, 4, 2, 2, 2]
    write_tokenizer(tmp_path / "mine")
    with pytest.raises(InvalidInputError, match="lacks too"):
        text_of(tmp_path, pad_token="eos").encode(TEXTS, 5)


def test_decoders_are_told_what_fills_up(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", "gpt2", pad_token_id=None)
    found = family(Surroundings.of(tmp_path), task="sequence_classification", path="mine")
    assert found.build(TEXT).config.pad_token_id == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_broken_tokenizer_is_refused(name: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    (tmp_path / "mine" / name).write_text("{")
    with pytest.raises(InvalidInputError, match=r"model\.path"):
        text_of(tmp_path).encode(TEXTS, 5)


def test_a_tokenizer_with_code_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    write_tokenizer(tmp_path / "mine", auto_map={"AutoTokenizer": ["code.Slow", None]})
    with pytest.raises(InvalidInputError, match="never run"):
        text_of(tmp_path).encode(TEXTS, 5)


def test_a_folder_without_tokenizer_is_complained_about_when_there_is_text(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    (tmp_path / "mine" / "tokenizer.json").unlink()
    text = text_of(tmp_path)
    with pytest.raises(InvalidInputError, match=r"a folder with tokenizer\.json"):
        _ = text.input_names


def test_more_tokens_than_the_network_knows_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", vocab_size=5)
    with pytest.raises(InvalidInputError, match=r"10 tokens.*at most the 5"):
        text_of(tmp_path).encode(TEXTS, 5)


def test_files_of_a_tokenizer_are_bounded_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "mine")
    for name in ("vocab.txt", "merges.txt"):
        (tmp_path / "mine" / name).write_bytes(b"x" * 3000)
    monkeypatch.setattr(folder, "MOST_FILE_BYTES", 5000)
    with pytest.raises(InvalidInputError, match=r"vocab\.txt, merges\.txt of [67],... bytes"):
        _ = text_of(tmp_path).input_names


@pytest.mark.parametrize(
    ("name", "content"), [("tokenizer.json", "[" + "0," * 99 + "0]"), ("vocab.txt", "a\n" * 99)]
)
def test_a_vocabulary_without_end_is_refused_before_it_is_parsed(
    name: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "mine")
    (tmp_path / "mine" / name).write_text(content)
    monkeypatch.setattr(text, "MOST_ENTRIES", 98)
    with pytest.raises(InvalidInputError, match=f"{name} with 99 entries"):
        _ = text_of(tmp_path).input_names


def test_images_are_of_the_size_of_the_configuration() -> None:
    assert images_of() == ImagePreprocessing((8, 8), (0.5,), (0.5,))
    coloured = images_of(num_channels=3, image_size=16)
    assert coloured == ImagePreprocessing((16, 16), (0.5,) * 3, (0.5,) * 3)
    assert images_of(num_channels=4) is None
    assert inline("resnet", image_size=32).preprocessing().image == ImagePreprocessing(
        (32, 32), (0.5,), (0.5,)
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"size": {"height": 20, "width": 30}}, ((20, 30), (0.5,), (0.5,))),
        ({"size": {"shortest_edge": 24}, "do_center_crop": True}, ((24, 24), (0.5,), (0.5,))),
        (
            {"size": 32, "do_center_crop": True, "crop_size": {"height": 28, "width": 28}},
            ((28, 28), (0.5,), (0.5,)),
        ),
        ({"size": 20, "image_mean": [0.4], "image_std": 0.2}, ((20, 20), (0.4,), (0.2,))),
        ({"size": 20, "do_normalize": False}, ((20, 20), (0.0,), (1.0,))),
        ({}, ((224, 224), (0.5,), (0.5,))),
    ],
)
def test_a_folder_says_how_its_images_were_prepared(
    options: dict[str, Any], expected: tuple[Any, ...], tmp_path: Path
) -> None:
    write_folder(tmp_path / "mine", "resnet")
    (tmp_path / "mine" / "preprocessor_config.json").write_text(json.dumps(options))
    found = family(Surroundings.of(tmp_path), task="image_classification", path="mine")
    assert found.preprocessing().image == ImagePreprocessing(*expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
@pytest.mark.parametrize("shape", [(8, 8), (40, 30)])
def test_the_delivered_processor_prepares_files_as_a_search_does(
    mode: str, shape: tuple[int, int], tmp_path: Path
) -> None:
    found = prepared(tmp_path, mode, shape, channels=3, size=[16, 12])
    assert torch.equal(*found)


@pytest.mark.parametrize("shape", [(8, 8), (40, 30)])
def test_the_delivered_processor_prepares_grey_files_as_a_search_does(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    assert torch.equal(*prepared(tmp_path, "L", shape, channels=1, size=16))


def test_the_delivered_processor_cuts_out_the_middle_to_a_pixel(tmp_path: Path) -> None:
    theirs, ours = prepared(tmp_path, "L", (96, 64), channels=1, size=32, fit="crop")
    assert theirs.shape == ours.shape
    torch.testing.assert_close(theirs, ours)
    wide, _ = prepared(tmp_path, "L", (96, 64), channels=1, size=[16, 32], fit="crop")
    assert wide.shape == (1, 16, 32)


def prepared(
    root: Path, mode: str, shape: tuple[int, int], **options: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """One file as the delivered processor prepares it, and as the search does."""
    from transformers import AutoImageProcessor

    draws = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    picture = Image.fromarray(draws).convert(mode)
    path = root / "set" / "a" / "0.png"
    for copy in (path, root / "set" / "b" / "1.png"):
        copy.parent.mkdir(parents=True, exist_ok=True)
        picture.save(copy)
    config = ImageFolderConfig.model_validate({"path": "set", **options})
    model = ImagePreprocessing((5, 5), (0.4,) * config.channels, (0.2,) * config.channels)  # type: ignore[operator]
    surroundings = Surroundings(InputFolder(root), root / "cache")
    dataset = ImageFolder(config, DatasetContext(surroundings, Preprocessing(image=model)))
    data = dataset.load()
    assert data.images is not None
    written = root / "delivered"
    written.mkdir(exist_ok=True)
    (written / "preprocessor_config.json").write_text(json.dumps(processor_options(data.images)))
    (written / "config.json").write_text(json.dumps({"model_type": "vit"}))
    processor = AutoImageProcessor.from_pretrained(written)
    with Image.open(path) as opened:
        theirs = processor(opened, return_tensors="pt")["pixel_values"][0]
    ours = dataset.normalised(data.examples, data.examples).inputs["x"][0]
    return theirs, ours


@pytest.mark.parametrize("options", [{"image_mean": [0.5] * 3}, {"image_std": [0]}])
def test_a_mean_of_other_channels_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", "resnet")
    (tmp_path / "mine" / "preprocessor_config.json").write_text(json.dumps(options))
    found = family(Surroundings.of(tmp_path), task="image_classification", path="mine")
    with pytest.raises(InvalidInputError, match="1 numbers each"):
        found.preprocessing()
