"""Tests of prepared data on disk: found again, made anew when broken, bounded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.data.prepared_cache import PreparedCache, Tensors, content_key


class Maker:
    """Makes tensors, and counts how often."""

    def __init__(self, size: int = 1000) -> None:
        self.count, self._size = 0, size

    def __call__(self) -> Tensors:
        self.count += 1
        return {"x": torch.arange(self._size).view(2, -1), "y": torch.ones(3, dtype=torch.uint8)}


def same(first: Tensors, second: Tensors) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_what_was_made_once_is_found_by_another_object(tmp_path: Path) -> None:
    make = Maker()
    first, second = (PreparedCache(tmp_path / "new").get("key", make) for _ in range(2))
    assert make.count == 1
    assert same(first, second)
    assert PreparedCache(tmp_path / "new").get("other", make).keys() == {"x", "y"}
    assert make.count == 2


def test_without_a_folder_everything_is_made_anew() -> None:
    make, cache = Maker(), PreparedCache(None)
    assert same(cache.get("key", make), cache.get("key", make))
    assert make.count == 2


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def announce_much(path: Path) -> None:
    path.write_bytes((1 << 62).to_bytes(8, "little") + path.read_bytes()[8:])


@pytest.mark.parametrize(
    "damage", [truncate, flip, announce_much, lambda path: path.write_bytes(b"")]
)
def test_a_broken_file_is_made_anew_and_whole_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    make, cache = Maker(), PreparedCache(tmp_path)
    first = {name: tensor.clone() for name, tensor in cache.get("key", make).items()}
    (file,) = (tmp_path / "prepared").iterdir()
    damage(file)
    assert same(cache.get("key", make), first)
    assert same(cache.get("key", make), first)
    assert make.count == 2


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    make, cache = Maker(), PreparedCache(tmp_path, max_bytes=20_000)
    for age, key in ((300, "oldest"), (200, "old")):
        cache.get(key, make)
        moment = time.time() - age
        os.utime(tmp_path / "prepared" / f"{key}.safetensors", (moment, moment))
    cache.get("oldest", make)
    cache.get("new", make)
    kept = {path.stem for path in (tmp_path / "prepared").iterdir()}
    assert kept == {"oldest", "new"}


def test_what_a_killed_process_left_is_deleted_after_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    folder.mkdir()
    for name, age in ((".left.partial", 100_000), (".being written.partial", 60)):
        (folder / name).touch()
        moment = time.time() - age
        os.utime(folder / name, (moment, moment))
    PreparedCache(tmp_path).get("key", Maker())
    assert {path.name for path in folder.iterdir()} == {".being written.partial", "key.safetensors"}


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "prepared").write_text("a file where the folder should be")
    make = Maker()
    assert same(PreparedCache(tmp_path).get("key", make), make())
    assert "not kept" in caplog.text


def test_keys_tell_parts_apart() -> None:
    assert content_key(["ab", "c"]) != content_key(["a", "bc"]) != content_key(["a", "b", "c"])
    assert content_key(iter(["a"])) == content_key(["a"])
