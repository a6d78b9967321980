"""One input, how it is given to the service, and what its refusal must say."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.hostile.sending import Answer, Content, Sender

# Below the inputs; what a case writes lies here, and is deleted after it.
FOLDER = "case"
Write = Callable[[Path], object]
IMAGES = {"kind": "image_folder", "path": FOLDER, "size": 8, "channels": 1}


@dataclass(frozen=True, slots=True)
class Case:
    """One input.

    Attributes:
        name: What it is.
        send: Gives it to the service.
        field: That the refusal must name; empty where a body as a whole is refused, or nobody is answered.
        says: Words that the refusal must contain.
    """

    name: str
    send: Callable[[Sender], Answer]
    field: str
    says: str


def upload(name: str, content: Callable[[], Content], says: str, called: str = "") -> Case:
    """A file in a request; ``called`` is the name that it claims to have."""
    return Case(f"upload: {name}", lambda sender: sender.upload(content(), called), "body", says)


def asked(name: str, changes: Mapping[str, Any], field: str, says: str, write: Write) -> Case:
    """A spec, and files that it names."""

    def send(sender: Sender) -> Answer:
        folder = sender.inputs / FOLDER
        folder.mkdir()
        try:
            write(folder)
            return sender.search(changes)
        finally:
            shutil.rmtree(folder)

    return Case(name, send, field, says)


def weights(name: str, write: Write, says: str) -> Case:
    """A file of weights, ``w.safetensors``, that is to be the source."""
    source = {"kind": "file", "path": f"{FOLDER}/w.safetensors"}
    return asked(
        f"weights: {name}",
        {"source": source},
        "source.path",
        says,
        lambda folder: write(folder / "w.safetensors"),
    )


def arrays(name: str, write: Write, says: str) -> Case:
    """An archive of arrays, ``a.npz``."""
    dataset = {"kind": "arrays", "path": f"{FOLDER}/a.npz"}
    return asked(
        f"arrays: {name}",
        {"dataset": dataset},
        "dataset",
        says,
        lambda folder: write(folder / "a.npz"),
    )


def table(name: str, write: Write, says: str, file: str = "t.csv", **options: str) -> Case:
    """A table of texts, for a small network of the library transformers."""
    changes = text_task("bert") | {
        "dataset": {"kind": "text", "path": f"{FOLDER}/{file}", **options}
    }
    return asked(
        f"text: {name}", changes, "dataset.path", says, lambda folder: write(folder / file)
    )


def images(name: str, write: Write, says: str) -> Case:
    """A folder of images in folders of classes."""
    return asked(f"images: {name}", {"dataset": IMAGES}, "dataset.path", says, write)


def text_task(model: str) -> dict[str, Any]:
    """Texts that nothing is wrong with, for the network in a folder."""
    return {
        "model": {"kind": "transformers", "task": "sequence_classification", "path": model},
        "dataset": {"kind": "text", "path": "good.csv"},
    }
