"""Folders of images by class: ``CLASS/*.png``, or ``train/CLASS/*.png`` beside ``validation`` and ``test``.

Names alone are read.  Whatever is not understood is refused by its name: an image that is passed over without a word
would be missing from every figure.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.data.class_names import class_name, in_order, natural_key
from models.inputs import InputFolder
from search.errors import DataError

# As Pillow calls them; of its many formats, those that people have images of classes in.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
)
MAX_IMAGES = 500_000
MAX_CLASSES = 10_000
TRAIN = "train"
_PARTS = {TRAIN: TRAIN, "validation": "validation", "val": "validation", "test": "test"}
# What file managers leave in folders.
_LITTER = frozenset(("thumbs.db", "desktop.ini"))
_LAYOUT = "CLASS/*.png, or train/CLASS/*.png beside validation/CLASS/*.png and test/CLASS/*.png"


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image and the number of its class."""

    path: Path
    label: int


@dataclass(frozen=True, slots=True)
class ImageTree:
    """What a folder holds: the images of ``train`` and, where there are such folders, ``validation`` and ``test``."""

    class_names: tuple[str, ...]
    parts: Mapping[str, tuple[ImageFile, ...]]


@dataclass(frozen=True, slots=True)
class _Listing:
    """Entries of one folder that count, by name."""

    folders: dict[str, Path]
    images: dict[str, Path]
    others: dict[str, Path]


def read_tree(folder: Path, inputs: InputFolder, field: str) -> ImageTree:
    """Read the names in a folder and in those below it.

    Args:
        folder: Found and checked to lie where it may.
        inputs: Links out of it are refused.
        field: Where the folder stood in the spec, for errors.

    Raises:
        InvalidInputError: A link leads out of the inputs.
        DataError: The folders are laid out in another way; names the entry that does not fit.
    """
    return _Reader(folder, inputs, field).read()


class _Reader:
    """Reads one tree; errors name entries by their path below the inputs."""

    def __init__(self, folder: Path, inputs: InputFolder, field: str) -> None:
        self._folder, self._inputs, self._field = folder, inputs, field
        self._root = inputs.root.resolve()
        self._count = 0

    def read(self) -> ImageTree:
        top = self._list(self._folder)
        if top.images:
            raise self._error(next(iter(top.images.values())), "an image beside folders", _LAYOUT)
        if not top.folders:
            raise self._error(self._folder, "no folders", _LAYOUT)
        parts = {name: path for name, path in top.folders.items() if self._is_part(name, path)}
        return self._tree(self._parts(top, parts) if parts else {TRAIN: self._classes(top.folders)})

    def _is_part(self, name: str, path: Path) -> bool:
        """Whether a folder of that name holds folders of classes; a class may be called ``train`` too."""
        return name in _PARTS and bool(self._list(path).folders)

    def _parts(
        self, top: _Listing, parts: dict[str, Path]
    ) -> dict[str, dict[str, tuple[Path, ...]]]:
        for name, path in top.folders.items():
            if name not in parts:
                given = f"a folder beside {', '.join(sorted(parts))}"
                raise self._error(path, given, _LAYOUT)
        if TRAIN not in parts:
            raise self._error(
                self._folder, f"{', '.join(sorted(parts))} alone", "a folder train too"
            )
        if {"val", "validation"} <= parts.keys():
            raise self._error(self._folder, "both val and validation", "one of them")
        return {
            _PARTS[name]: self._classes(self._list(path).folders, path)
            for name, path in sorted(parts.items())
        }

    def _classes(
        self, folders: dict[str, Path], parent: Path | None = None
    ) -> dict[str, tuple[Path, ...]]:
        """Images of each class by its name."""
        if parent is not None and (images := self._list(parent).images):
            raise self._error(next(iter(images.values())), "an image beside folders", _LAYOUT)
        if len(folders) > MAX_CLASSES:
            raise self._error(
                parent or self._folder, f"{len(folders)} folders", f"at most {MAX_CLASSES} classes"
            )
        found = {}
        for name, path in folders.items():
            try:
                shown = class_name(name)
            except ValueError as error:
                raise self._error(path, str(error), "folders named after classes") from error
            if shown in found:
                raise self._error(path, f"a second folder of class {shown!r}", "one for each class")
            found[shown] = self._images(path)
        return found

    def _images(self, folder: Path) -> tuple[Path, ...]:
        listing = self._list(folder)
        for path in listing.folders.values():
            raise self._error(path, "a folder in the folder of a class", _LAYOUT)
        for path in listing.others.values():
            raise self._error(
                path, "no image by its suffix", f"images of {', '.join(sorted(SUFFIXES))}"
            )
        if not listing.images:
            raise self._error(folder, "a folder without images", "images in every class's folder")
        self._count += len(listing.images)
        if self._count > MAX_IMAGES:
            raise self._error(self._folder, f"more than {MAX_IMAGES:,} images", "fewer")
        return tuple(listing.images[name] for name in sorted(listing.images, key=natural_key))

    def _tree(self, classes: dict[str, dict[str, tuple[Path, ...]]]) -> ImageTree:
        names = in_order(classes[TRAIN])
        if len(names) < 2:
            raise self._error(
                self._folder, f"one class, {names[0]!r}", "at least two folders of classes"
            )
        numbers = {name: number for number, name in enumerate(names)}
        for part, own in classes.items():
            for name, paths in own.items():
                if name not in numbers:
                    raise self._error(
                        paths[0].parent,
                        f"a class of {part} alone",
                        f"one of: {', '.join(names[:20])}",
                    )
        return ImageTree(
            names,
            {
                part: tuple(
                    ImageFile(path, numbers[name])
                    for name in sorted(own, key=numbers.__getitem__)
                    for path in own[name]
                )
                for part, own in classes.items()
            },
        )

    def _list(self, folder: Path) -> _Listing:
        listing = _Listing({}, {}, {})
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number > MAX_IMAGES:
                    raise self._error(folder, f"more than {MAX_IMAGES:,} entries", "fewer")
                if entry.name.startswith(".") or entry.name.lower() in _LITTER:
                    continue
                path = Path(entry.path)
                # Only links can lead out; each is looked up as a path of its own would be.
                if entry.is_dir():
                    listing.folders[entry.name] = (
                        self._inputs.resolve_folder(self._shown(path), self._field)
                        if entry.is_symlink()
                        else path
                    )
                    continue
                if entry.is_symlink() or not entry.is_file():
                    path = self._inputs.resolve(self._shown(path), self._field)
                is_image = path.suffix.lower() in SUFFIXES
                (listing.images if is_image else listing.others)[entry.name] = path
        return listing

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self._root))

    def _error(self, path: Path, given: str, expected: str) -> DataError:
        return DataError(self._field, f"{self._shown(path)}: {given}", expected)
