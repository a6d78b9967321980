"""Tests of folders of images by class: what is found, and what is refused by its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.data.images.tree import ImageTree, read_tree
from models.inputs import InputFolder
from search.errors import InvalidInputError


def made(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / "set" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "set" / path).touch()
    return root


def read(root: Path) -> ImageTree:
    inputs = InputFolder(root)
    return read_tree(inputs.resolve_folder("set", "dataset.path"), inputs, "dataset.path")


def found(tree: ImageTree, root: Path) -> dict[str, list[tuple[str, int]]]:
    start = root.resolve() / "set"
    return {
        part: [(str(file.path.relative_to(start)), file.label) for file in files]
        for part, files in tree.parts.items()
    }


def test_folders_are_classes_and_everything_is_in_natural_order(tmp_path: Path) -> None:
    made(tmp_path, "c10/b.png", "c2/10.JPG", "c2/9.jpeg", "c2/.hidden.png", "c2/Thumbs.db")
    made(tmp_path, ".cache/x.png", "README.md")
    tree = read(tmp_path)
    assert tree.class_names == ("c2", "c10")
    assert found(tree, tmp_path) == {
        "train": [("c2/9.jpeg", 0), ("c2/10.JPG", 0), ("c10/b.png", 1)]
    }


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_folders_of_parts_are_parts(tmp_path: Path, validation: str) -> None:
    made(tmp_path, "train/a/1.png", "train/b/2.png", f"{validation}/b/3.png", "test/a/4.png")
    assert found(read(tmp_path), tmp_path) == {
        "train": [("train/a/1.png", 0), ("train/b/2.png", 1)],
        "validation": [(f"{validation}/b/3.png", 1)],
        "test": [("test/a/4.png", 0)],
    }


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    made(tmp_path, "train/1.png", "bus/2.png")
    assert read(tmp_path).class_names == ("bus", "train")


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "no folders": (("1.txt",), "set: no folders"),
    "images alone": (("1.png",), "set/1.png: an image beside folders"),
    "one class": (("a/1.png",), "set: one class, 'a'"),
    "no images": (("a/1.png", "b/.keep"), "set/b: a folder without images"),
    "mixed": (("a/1.png", "b/2.png", "3.png"), "set/3.png: an image beside folders"),
    "mixed parts": (("train/a/1.png", "train/b/1.png", "c/2.png"), "set/c: a folder beside train"),
    "image beside classes": (("train/a/1.png", "train/2.png"), "set/train/2.png: an image beside"),
    "deep": (("a/1.png", "b/2.png", "b/c/3.png"), "set/b/c: a folder in the folder of a class"),
    "other files": (
        ("a/1.png", "b/2.png", "b/c.heic"),
        "set/b/c.heic: no image by its suffix .*png",
    ),
    "test alone": (("test/a/1.png", "test/b/2.png"), "set: test alone .* a folder train too"),
    "unknown class": (
        ("train/a/1.png", "train/b/2.png", "test/c/3.png"),
        "set/test/c: a class of test alone given, expected one of: a, b",
    ),
    "float": (("1.0/1.png", "2.0/2.png"), r"the label '\d\.0', a number with a fraction"),
    "two of one name": (("a/1.png", "a /2.png"), "a second folder of class 'a'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_layouts_are_refused_by_what_does_not_fit(tmp_path: Path, case: str) -> None:
    paths, expected = REFUSED[case]
    with pytest.raises(InvalidInputError, match=rf"^dataset\.path: .*{expected}"):
        read(made(tmp_path, *paths))


def test_links_are_followed_inside_and_refused_where_they_lead_out(tmp_path: Path) -> None:
    inputs = made(tmp_path / "inputs", "a/1.png", "b/2.png")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "3.png").touch()
    (inputs / "set" / "b" / "link.png").symlink_to("../a/1.png")
    assert len(read(inputs).parts["train"]) == 3
    for link, target in (("b/out.png", "secret/3.png"), ("c", "secret")):
        path = inputs / "set" / link
        path.symlink_to(tmp_path / target)
        with pytest.raises(InvalidInputError, match=f"'set/{link}' .* leads out of it"):
            read(inputs)
        path.unlink()


def test_loops_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    made(tmp_path, "a/1.png", "b/2.png")
    loop = tmp_path / "set" / "b" / "loop"
    loop.symlink_to(tmp_path / "set")
    with pytest.raises(InvalidInputError, match="a folder in the folder of a class"):
        read(tmp_path)
    loop.unlink()
    # Opening it would wait for somebody who writes.
    os.mkfifo(tmp_path / "set" / "b" / "pipe.png")
    with pytest.raises(
        InvalidInputError, match=r"'set/b/pipe\.png' given, expected an existing file"
    ):
        read(tmp_path)
