"""Tests that files named in a spec stay below their folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.inputs import InputFolder
from search.errors import InvalidInputError


@pytest.fixture
def folder(tmp_path: Path) -> InputFolder:
    root = tmp_path / "inputs"
    (root / "sets").mkdir(parents=True)
    (root / "sets" / "a.npz").write_bytes(b"a")
    (tmp_path / "secret.npz").write_bytes(b"secret")
    return InputFolder(root)


def refusal(folder: InputFolder, path: str) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        folder.resolve(path, "dataset.path")
    assert caught.value.field == "dataset.path"
    return caught.value


def test_a_file_below_the_folder_is_found(folder: InputFolder) -> None:
    assert folder.resolve("sets/a.npz", "dataset.path").read_bytes() == b"a"


def test_a_folder_below_the_folder_is_found_and_files_are_none(folder: InputFolder) -> None:
    found = folder.resolve_folder("sets", "dataset.path")
    assert [path.name for path in found.iterdir()] == ["a.npz"]
    assert folder.resolve_folder(".", "dataset.path") == folder.root.resolve()
    (folder.root / "up").symlink_to(folder.root.parent)
    for path, expected in (
        ("sets/a.npz", "an existing folder"),
        ("missing", "an existing folder"),
        ("..", "inside"),
        ("up", "inside"),
        ("a\0b", "a path that the system can look up"),
        (str(folder.root / "sets"), "a path relative to"),
    ):
        with pytest.raises(InvalidInputError, match=rf"^dataset\.path: .*{expected}"):
            folder.resolve_folder(path, "dataset.path")


def test_a_link_that_stays_inside_is_followed(folder: InputFolder) -> None:
    (folder.root / "link.npz").symlink_to("sets/a.npz")
    assert folder.resolve("link.npz", "dataset.path").read_bytes() == b"a"


@pytest.mark.parametrize("path", ["../secret.npz", "sets/../../secret.npz"])
def test_a_path_that_leads_out_is_refused(folder: InputFolder, path: str) -> None:
    assert "leads out of it" in refusal(folder, path).expected


def test_a_link_that_leads_out_is_refused(folder: InputFolder) -> None:
    (folder.root / "file.npz").symlink_to(folder.root.parent / "secret.npz")
    (folder.root / "up").symlink_to(folder.root.parent)
    assert "leads out of it" in refusal(folder, "file.npz").expected
    assert "leads out of it" in refusal(folder, "up/secret.npz").expected


def test_an_absolute_path_is_refused_even_into_the_folder(folder: InputFolder) -> None:
    path = str(folder.root / "sets" / "a.npz")
    assert "a path relative to" in refusal(folder, path).expected


@pytest.mark.parametrize("path", ["missing.npz", "sets", "."])
def test_what_is_no_file_is_refused(folder: InputFolder, path: str) -> None:
    assert "an existing file" in refusal(folder, path).expected


@pytest.mark.parametrize("path", ["a" * 5000, "a\0b", "\ud800"])
def test_names_that_no_file_has_are_refused(folder: InputFolder, path: str) -> None:
    refusal(folder, path)


def test_a_name_that_is_too_long_is_not_repeated_in_full(folder: InputFolder) -> None:
    found = refusal(folder, "a" * 5000)
    assert found.expected == "a path that the system can look up: File name too long"
    assert len(str(found.given)) < 200


def test_a_loop_of_links_is_refused(folder: InputFolder) -> None:
    (folder.root / "loop").symlink_to("loop")
    refusal(folder, "loop")
