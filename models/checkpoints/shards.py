"""Checkpoints of one file or of several: where each tensor lies, without reading any.

The layout is that of transformers: a folder with ``model.safetensors``, or with ``model.safetensors.index.json`` and
the shards that it names, ``{"weight_map": {tensor: file}}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from models.checkpoints.header import TensorHeader, read_headers, unique_names
from models.checkpoints.reading import read_tensors
from models.inputs import InputFolder
from search.errors import InvalidInputError

WHOLE, INDEX, INDEX_SUFFIX, SHARD_SUFFIX = (
    "model.safetensors",
    "model.safetensors.index.json",
    ".index.json",
    ".safetensors",
)
MAX_INDEX_BYTES = 16 * 1024 * 1024
MAX_SHARDS = 1000
# Of all shards together: what fits into the header of a single file, so that shards take no more memory than that.
MAX_TENSORS = 350_000
# What torch.save and transformers call the files that convert takes.
PICKLED = (".bin", ".pth", ".pt", ".ckpt")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Tensors on disk.

    Attributes:
        name: Of the file or folder, as the spec has it.
        field: Where it stood in the spec.
        files: By their names: where each lies.
        headers: Every tensor.
        places: The file of each tensor, by its name in ``files``.
    """

    name: str
    field: str
    files: Mapping[str, Path]
    headers: Mapping[str, TensorHeader]
    places: Mapping[str, str]

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """Give some tensors, file after file, as views like those of ``read_tensors``.

        Raises:
            InvalidInputError: A file has changed since it was opened.
        """
        by_file: dict[str, list[str]] = {}
        for name in names:
            by_file.setdefault(self.places[name], []).append(name)
        for file, members in by_file.items():
            yield from read_tensors(self.files[file], members, self.field)


def open_checkpoint(path: str, inputs: InputFolder, field: str) -> Checkpoint:
    """Find a checkpoint and read its headers.

    Args:
        path: A safetensors file, an index of shards, or a folder with either; relative to the inputs folder.
        inputs: What paths may lead to.
        field: Where the path stood in the spec, for errors.

    Raises:
        InvalidInputError: It leads elsewhere, is not there, is broken, or its shards contradict its index.
    """
    try:
        return _opened(path, inputs, field)
    except OSError as error:
        raise InvalidInputError(
            field, repr(path), f"files that this service may read: {error}"
        ) from error


def _opened(path: str, inputs: InputFolder, field: str) -> Checkpoint:
    found = inputs.resolve_any(path, field)
    if found.is_dir():
        found = _file_of_folder(found, inputs, field)
    if found.name.endswith(INDEX_SUFFIX):
        return _sharded(path, found, inputs, field)
    _refuse_pickled(found.name, found.name, field)
    headers = read_headers(found, field)
    return Checkpoint(path, field, {found.name: found}, headers, dict.fromkeys(headers, found.name))


def _file_of_folder(folder: Path, inputs: InputFolder, field: str) -> Path:
    for name in (WHOLE, INDEX):
        if (folder / name).exists() or (folder / name).is_symlink():
            return inputs.resolve_inside(folder, name, field)
    names = sorted(entry.name for entry in folder.iterdir())
    for name in names:
        _refuse_pickled(f"{folder.name} with {name}", name, field)
    safetensors = [name for name in names if name.endswith(SHARD_SUFFIX)][:3]
    hint = f"; name the file itself: {', '.join(safetensors)}" if safetensors else ""
    raise InvalidInputError(
        field, f"a folder without {WHOLE} or {INDEX}", f"one of the two in it{hint}"
    )


def _refuse_pickled(given: str, name: str, field: str) -> None:
    if name.endswith(PICKLED):
        raise InvalidInputError(
            field,
            given,
            f"safetensors, pickles are never read; `transfermask convert {name} {WHOLE}` makes it",
        )


def _sharded(given: str, index: Path, inputs: InputFolder, field: str) -> Checkpoint:
    weight_map = _weight_map(index, field)
    # In the order of their names, whatever order the index has.
    files = {
        name: inputs.resolve_inside(index.parent, name, field)
        for name in sorted(set(weight_map.values()))
    }
    headers: dict[str, TensorHeader] = {}
    places: dict[str, str] = {}
    for file, path in files.items():
        for name, header in read_headers(path, field).items():
            if name in places:
                raise _broken(
                    index,
                    field,
                    f"{name} lies in both {places[name]} and {file}",
                    "every tensor in one shard",
                )
            headers[name], places[name] = header, file
        if len(headers) > MAX_TENSORS:
            raise _broken(
                index,
                field,
                f"more than {MAX_TENSORS:,} tensors up to {file}",
                "fewer in all shards",
            )
    for name, file in weight_map.items():
        if places.get(name) != file:
            lies = f"in {places[name]}" if name in places else "in none"
            raise _broken(
                index, field, f"{name} shall lie in {file} and lies {lies}", "what is in the shards"
            )
    return Checkpoint(given, field, files, headers, places)


def _weight_map(index: Path, field: str) -> dict[str, str]:
    """Which shard each tensor lies in: names of files in the index's own folder, nothing else."""
    document = _read_json(index, field)
    weight_map = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise _broken(index, field, "it has no weight_map", '{"weight_map": {tensor: file}}')
    for name, file in weight_map.items():
        # A plain name: no path, no way up, and never another index.
        if (
            not isinstance(file, str)
            or "/" in file
            or "\\" in file
            or not file.endswith(SHARD_SUFFIX)
        ):
            raise _broken(
                index,
                field,
                f"{_short(name)} lies in {_short(json.dumps(file))}",
                f"names of {SHARD_SUFFIX} files in the folder of the index",
            )
    if len(set(weight_map.values())) > MAX_SHARDS:
        raise _broken(index, field, "too many shards", f"at most {MAX_SHARDS} files")
    return weight_map


def _read_json(index: Path, field: str) -> Any:
    size = index.stat().st_size
    if size > MAX_INDEX_BYTES:
        raise _broken(index, field, f"{size:,} bytes", f"at most {MAX_INDEX_BYTES:,}")
    try:
        text = index.read_text(encoding="utf-8")
        return json.loads(text, object_pairs_hook=unique_names)
    except RecursionError as error:
        raise _broken(index, field, "it is nested too deeply", "a JSON object") from error
    except (ValueError, OSError) as error:
        raise _broken(index, field, str(error), "a JSON object") from error


def _broken(index: Path, field: str, what: str, expected: str) -> InvalidInputError:
    return InvalidInputError(field, f"{index.name}: {what}", expected)


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:99]}…"
