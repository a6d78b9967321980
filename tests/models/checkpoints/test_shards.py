"""Tests of checkpoints of several files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoints import shards
from models.checkpoints.shards import open_checkpoint
from models.inputs import InputFolder
from search.errors import InvalidInputError
from tests.models.checkpoints.raw_safetensors import write_raw

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
STATE = {"a.weight": torch.arange(6.0).view(2, 3), "b.weight": torch.ones(4), "c": torch.tensor(7)}


@pytest.fixture
def inputs(tmp_path: Path) -> InputFolder:
    """A folder ``net`` below the inputs folder, of two shards."""
    folder = tmp_path / "inputs" / "net"
    folder.mkdir(parents=True)
    save_file({"a.weight": STATE["a.weight"]}, folder / FIRST)
    save_file({"b.weight": STATE["b.weight"], "c": STATE["c"]}, folder / SECOND)
    write_index(folder, {"a.weight": FIRST, "b.weight": SECOND, "c": SECOND})
    return InputFolder(tmp_path / "inputs")


def write_index(folder: Path, weight_map: object) -> None:
    document = {"metadata": {"total_size": 48}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(document), encoding="utf-8")


def refusal(inputs: InputFolder, path: str = "net") -> str:
    with pytest.raises(InvalidInputError) as caught:
        open_checkpoint(path, inputs, "source.path")
    assert caught.value.field == "source.path"
    return str(caught.value)


@pytest.mark.parametrize("path", ["net", "net/", f"net/{INDEX}"])
def test_shards_are_read_as_one_checkpoint(inputs: InputFolder, path: str) -> None:
    checkpoint = open_checkpoint(path, inputs, "source.path")
    assert {name: header.shape for name, header in checkpoint.headers.items()} == {
        name: tuple(tensor.shape) for name, tensor in STATE.items()
    }
    loaded = dict(checkpoint.read(["c", "a.weight"]))
    assert loaded.keys() == {"c", "a.weight"}
    assert all(torch.equal(loaded[name], STATE[name]) for name in loaded)


def test_a_whole_file_goes_before_an_index(inputs: InputFolder) -> None:
    save_file({"whole": torch.ones(1)}, inputs.root / "net" / "model.safetensors")
    assert list(open_checkpoint("net", inputs, "source.path").headers) == ["whole"]


def test_a_shard_may_be_a_link_that_stays_inside(inputs: InputFolder) -> None:
    folder = inputs.root / "net"
    (inputs.root / "blobs").mkdir()
    (folder / FIRST).rename(inputs.root / "blobs" / "0123")
    (folder / FIRST).symlink_to("../blobs/0123")
    assert set(open_checkpoint("net", inputs, "source.path").headers) == set(STATE)


@pytest.mark.parametrize("name", [FIRST, INDEX, "model.safetensors"])
def test_a_link_out_of_the_inputs_folder_is_refused(inputs: InputFolder, name: str) -> None:
    outside = inputs.root.parent / "outside.safetensors"
    save_file({"a.weight": torch.zeros(2, 3)}, outside)
    place = inputs.root / "net" / name
    place.unlink(missing_ok=True)
    place.symlink_to(outside)
    assert "leads out of it" in refusal(inputs)


def test_a_folder_that_is_a_link_outside_is_refused(inputs: InputFolder) -> None:
    (inputs.root / "net").rename(inputs.root.parent / "net")
    (inputs.root / "net").symlink_to("../net")
    assert "leads out of it" in refusal(inputs)


@pytest.mark.parametrize(
    "shard",
    [
        "../outside.safetensors",
        "sub/model.safetensors",
        "/etc/passwd",
        "/etc/x.safetensors",
        "..",
        "..\\x.safetensors",
        INDEX,
        "other.index.json",
        "pytorch_model.bin",
        7,
        None,
        [FIRST],
    ],
)
def test_a_shard_is_a_file_beside_its_index_and_nothing_else(
    inputs: InputFolder, shard: object
) -> None:
    write_index(inputs.root / "net", {"a.weight": shard})
    assert "a.weight lies in" in refusal(inputs)


def test_an_index_that_links_to_itself_is_refused(inputs: InputFolder) -> None:
    (inputs.root / "net" / FIRST).unlink()
    (inputs.root / "net" / FIRST).symlink_to(INDEX)
    assert "safetensors" in refusal(inputs)
    (inputs.root / "net" / FIRST).unlink()
    (inputs.root / "net" / FIRST).symlink_to(FIRST)
    assert "a path that the system can look up" in refusal(inputs)


def test_shards_have_no_more_tensors_together_than_one_file_can_have(
    inputs: InputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "MAX_TENSORS", 3)
    assert len(open_checkpoint("net", inputs, "source.path").headers) == 3
    monkeypatch.setattr(shards, "MAX_TENSORS", 2)
    assert f"{INDEX}: more than 2 tensors up to {SECOND}" in refusal(inputs)


MISMATCHED: dict[str, tuple[dict[str, Any], str]] = {
    "in no shard": ({"a.weight": FIRST, "d": SECOND}, "d shall lie in .* lies in none"),
    "in another shard": ({"b.weight": SECOND, "c": FIRST}, "c shall lie in .* lies in model-00002"),
    "in a shard that is not there": (
        {"a.weight": "model-00003-of-00002.safetensors"},
        "an existing file",
    ),
    "none at all": ({}, "no weight_map"),
    "too many": ({f"t{n}": f"{n}.safetensors" for n in range(1001)}, "at most 1000 files"),
}


@pytest.mark.parametrize("case", MISMATCHED)
def test_an_index_that_its_shards_contradict_is_refused(inputs: InputFolder, case: str) -> None:
    weight_map, message = MISMATCHED[case]
    write_index(inputs.root / "net", weight_map)
    with pytest.raises(InvalidInputError, match=message):
        open_checkpoint("net", inputs, "source.path")


def test_a_tensor_in_two_shards_is_refused(inputs: InputFolder) -> None:
    save_file({"a.weight": torch.zeros(2, 3), "c": torch.zeros(1)}, inputs.root / "net" / FIRST)
    assert "c lies in both" in refusal(inputs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "a JSON object"),
        ("[]", "no weight_map"),
        ('{"weight_map": [1]}', "no weight_map"),
        ("[" * 100_000, "nested too deeply"),
        (f'{{"weight_map": {{"a": "{FIRST}", "a": "{SECOND}"}}}}', "a stands twice"),
    ],
)
def test_an_index_that_is_none_is_refused(inputs: InputFolder, text: str, message: str) -> None:
    (inputs.root / "net" / INDEX).write_text(text, encoding="utf-8")
    assert message in refusal(inputs)


def test_a_giant_index_is_refused_unread(inputs: InputFolder) -> None:
    with (inputs.root / "net" / INDEX).open("r+b") as file:
        file.truncate(10**10)
    assert "10,000,000,000 bytes" in refusal(inputs)


def test_a_shard_with_a_giant_header_is_refused(inputs: InputFolder) -> None:
    (inputs.root / "net" / FIRST).write_bytes((10**10).to_bytes(8, "little") + b"{}")
    assert "claims 10,000,000,000 bytes" in refusal(inputs)
    write_raw(inputs.root / "net" / FIRST, b"")
    assert FIRST in refusal(inputs)


def test_a_folder_of_pickles_is_refused_with_the_command_that_converts(inputs: InputFolder) -> None:
    (inputs.root / "old").mkdir()
    torch.save(STATE, inputs.root / "old" / "pytorch_model.bin")
    expected = "`transfermask convert pytorch_model.bin model.safetensors`"
    assert expected in refusal(inputs, "old")
    assert expected in refusal(inputs, "old/pytorch_model.bin")


def test_a_folder_without_a_model_names_what_there_is(inputs: InputFolder) -> None:
    (inputs.root / "other").mkdir()
    assert "a folder without model.safetensors" in refusal(inputs, "other")
    save_file(STATE, inputs.root / "other" / "unet.safetensors")
    assert "name the file itself: unet.safetensors" in refusal(inputs, "other")


def test_paths_outside_are_refused(inputs: InputFolder) -> None:
    assert "leads out of it" in refusal(inputs, "../inputs/../outside")
    assert "a path relative to" in refusal(inputs, str(inputs.root / "net"))
    assert "an existing file or folder" in refusal(inputs, "nothing")
