"""Whole searches over people's own images and texts: class names to the end, nothing judged is pretrained on."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from models.data.preprocessing import Preprocessing
from models.data.shapes import DataShape
from models.families.mlp import MLPFamily
from models.inputs import InputFolder
from models.surroundings import Surroundings
from models.weights import pretrain
from search.errors import InvalidInputError
from search.ledger import InMemoryLedger
from service.composition import check_spec
from service.pipeline import run_search
from service.report import render_report
from service.result import SearchResult
from service.spec import SearchSpec
from tests.models.word_tokens import WordTokens
from tests.service.server_process import QUICK_SPEC

# As people call them: the second is no formula, the third in a script that the figures' font lacks.
CLASSES = ("a10 <b>", "$x_$", "猫")


def surroundings(folder: Path) -> Surroundings:
    return Surroundings(InputFolder(folder / "inputs"), folder / "cache")


def run(folder: Path, **changes: Any) -> SearchResult:
    wanted = SearchSpec.model_validate(QUICK_SPEC | changes)
    around = surroundings(folder)
    check_spec(wanted, around)
    return run_search(wanted, ledger=InMemoryLedger(), folder=folder, surroundings=around)


def save_images(folder: Path) -> None:
    """Stripes across, along and both: 30 of each in ``target``; ``source`` has the same ones and others."""
    rng = np.random.default_rng(0)
    for number in range(180):
        name = CLASSES[number % 3]
        pixels = rng.integers(0, 120, size=(12, 12), dtype=np.uint8)
        pixels[:: 2 if number % 3 != 1 else 12] += 100
        pixels[:, :: 2 if number % 3 != 0 else 12] += 30
        for task in ("source", "target") if number < 90 else ("source",):
            path = folder / "inputs" / task / name / f"{task}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def test_a_search_over_folders_of_images_names_their_classes_in_result_and_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_images(tmp_path)
    trained_on: list[int] = []
    train = pretrain.PretrainedWeights._train

    def watched(self: Any, part: Any) -> Any:
        trained_on.append(len(part))
        return train(self, part)

    monkeypatch.setattr(pretrain.PretrainedWeights, "_train", watched)
    images = {"kind": "image_folder", "size": 8, "channels": 1}
    result = run(
        tmp_path,
        source={"kind": "pretrain", "dataset": images | {"path": "source"}, "steps": 30},
        dataset=images | {"path": "target"},
    )
    assert result.by_class is not None
    assert [own.name for own in result.by_class.classes] == ["$x_$", "a10 <b>", "猫"]
    assert [own.support for own in result.by_class.classes] == [6, 6, 6]
    page = render_report(result, "")
    for shown in ("<td>$x_$</td>", "<td>a10 &lt;b&gt;</td>", "<td>猫</td>", ">猫</text>"):
        assert shown in page
    # Of 180 pictures 90 are the target's too, under other names, and of these 36 are judged on.
    assert trained_on == [144]


class BagOfWords(nn.Module):
    """Mean of word vectors, then two layers."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(1010, 8)
        self.hidden = nn.Linear(8, 8)
        self.head = nn.Linear(8, n_classes)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        bag = self.words(input_ids, per_sample_weights=None)
        logits: torch.Tensor = self.head(torch.relu(self.hidden(bag)))
        return logits


def build(self: MLPFamily, shape: DataShape) -> nn.Module:
    """A network for tokens of any length."""
    assert set(shape.inputs) == {"input_ids", "attention_mask"}
    return BagOfWords(shape.n_classes)


def test_a_search_over_texts_in_groups_runs_to_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A family that reads text, in the place of one that does not.
    monkeypatch.setattr(MLPFamily, "preprocessing", lambda _: Preprocessing(text=WordTokens()))
    monkeypatch.setattr(MLPFamily, "build", build)
    (tmp_path / "inputs").mkdir()
    for name in ("source", "target"):
        with (tmp_path / "inputs" / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = (
                (f"{name} number{row} " + "word " * (row % 7), f"class {row % 2}", row // 3)
                for row in range(90)
            )
            csv.writer(file).writerows([("text", "label", "document"), *rows])
    text = {"kind": "text", "group": "document"}
    result = run(
        tmp_path,
        source={"kind": "pretrain", "dataset": text | {"path": "source.csv"}, "steps": 5},
        dataset=text | {"path": "target.csv"},
        plan={"layout": "loop", "threads": 1},
    )
    assert result.by_class is not None
    assert [own.name for own in result.by_class.classes] == ["class 0", "class 1"]
    assert len(result.genes) == 3
    assert len(list((tmp_path / "cache" / "prepared").iterdir())) == 2


def test_what_is_wrong_with_own_data_is_said_before_the_search(tmp_path: Path) -> None:
    save_images(tmp_path)
    (tmp_path / "inputs" / "one.csv").write_text("text;label\na;b\n")
    for dataset, field in (
        ({"kind": "image_folder", "path": "target"}, "dataset.size"),
        ({"kind": "image_folder", "path": "target/猫", "size": 8}, "dataset.path"),
        ({"kind": "text", "path": "one.csv"}, "dataset.kind"),
    ):
        wanted = SearchSpec.model_validate(QUICK_SPEC | {"dataset": dataset})
        with pytest.raises(InvalidInputError) as caught:
            check_spec(wanted, surroundings(tmp_path))
        assert caught.value.field == field
