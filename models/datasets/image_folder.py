"""Images in folders by class, resized once to what the networks take."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from models.data.dataset import DATASETS, DatasetConfig, DatasetContext, Examples, LabelledData
from models.data.images.pixels import (
    MAX_FILE_BYTES,
    PixelOptions,
    UnusableImageError,
    read_pixels,
)
from models.data.images.tree import TRAIN, ImageFile, ImageTree, read_tree
from models.data.prepared_cache import PreparedCache, Tensors, content_key
from models.data.preprocessing import Fit, ImagePreprocessing
from models.data.shapes import DataShape
from search.errors import DataError, InvalidInputError

# Of all images together, a byte for each pixel and channel; as numbers for a network they take four times as much.
MAX_PIXEL_BYTES = 2 << 30
_VERSION = "images 1"

Side = Annotated[int, Field(ge=1, le=4096)]
Deviation = Annotated[float, Field(gt=0)]


class ImageFolderConfig(DatasetConfig):
    """Options of images in folders."""

    kind: Literal["image_folder"] = "image_folder"
    path: str = Field(
        min_length=1,
        description="folder below the inputs folder: CLASS/*.png, or train/CLASS/*.png with validation and test beside "
        "train",
    )
    size: Side | tuple[Side, Side] | None = Field(
        None, description="pixels, or height and width; the model's if null"
    )
    channels: Literal[1, 3] | None = Field(
        None, description="1: grey, 3: colours; the model's if null, else 3"
    )
    fit: Fit = Field(
        "stretch", description="images of another shape are stretched, or their middle is cut out"
    )
    mean: tuple[float, ...] | None = Field(
        None, description="per channel, of pixel values from 0 to 1; the model's if null, else 0"
    )
    deviation: tuple[Deviation, ...] | None = Field(
        None, description="per channel, what values are divided by; the model's if null, else 1"
    )

    @model_validator(mode="after")
    def _mean_and_deviation_belong_together(self) -> ImageFolderConfig:
        if (self.mean is None) != (self.deviation is None):
            raise ValueError("mean and deviation must be given both or neither")
        if self.mean is not None and self.deviation is not None:
            lengths = {len(self.mean), len(self.deviation), self.channels or len(self.mean)}
            if len(lengths) > 1 or not lengths <= {1, 3}:
                raise ValueError(
                    f"mean {list(self.mean)} and deviation {list(self.deviation)} must have a number for each channel, "
                    "1 or 3"
                )
        return self


@DATASETS.register(ImageFolderConfig)
class ImageFolder:
    """Reads a tree of folders; classes are their names, in natural order."""

    def __init__(self, config: ImageFolderConfig, context: DatasetContext) -> None:
        """Bind the options; the folder is looked for but not read."""
        self._field, inputs = context.field, context.surroundings.inputs
        model = context.preprocessing.image
        self._options = _pixel_options(config, model, context.field)
        self._mean, self._deviation = _scale(config, model, self._options, context.field)
        self._inputs = inputs
        self._folder = inputs.resolve_folder(config.path, f"{context.field}.path")
        self._cache = PreparedCache(context.surroundings.cache)
        self._read: ImageTree | None = None

    def shape(self) -> DataShape:
        """Read names to count classes and images."""
        tree, options = self._tree(), self._options
        n_images = sum(len(files) for files in tree.parts.values())
        dimensions = (options.channels, *options.size)
        size = n_images * options.channels * options.size[0] * options.size[1]
        if size > MAX_PIXEL_BYTES:
            raise DataError(
                f"{self._field}.size",
                f"{list(options.size)} for each of {n_images:,} images, {size:,} bytes",
                f"at most {MAX_PIXEL_BYTES:,} bytes: smaller or fewer images",
            )
        return DataShape({"x": dimensions}, len(tree.class_names))

    def n_samples(self) -> int:
        """Images that are split."""
        return len(self._tree().parts[TRAIN])

    def own_parts(self) -> frozenset[str]:
        """Those for which there are folders."""
        return frozenset(self._tree().parts) - {TRAIN}

    def load(self) -> LabelledData:
        """Read all images, or find them prepared; pixels are uint8, from 0 to 255."""
        self.shape()
        tree = self._tree()
        files = [file for own in tree.parts.values() for file in own]
        digests = [hashlib.sha256(self._content(file)).hexdigest() for file in files]
        pixels = self._pixels(files, digests)
        examples: dict[str, Examples] = {}
        names: dict[str, tuple[str, ...]] = {}
        start = 0
        for part, own in tree.parts.items():
            stop = start + len(own)
            labels = torch.tensor([file.label for file in own])
            examples[part] = Examples({"x": pixels[start:stop]}, labels)
            # By content: the same picture is the same sample, whichever folder or name it has.
            names[part] = tuple(f"image {digest[:32]}" for digest in digests[start:stop])
            start = stop
        samples = names.pop(TRAIN)
        return LabelledData(
            examples[TRAIN],
            tree.class_names,
            samples,
            examples.get("validation"),
            examples.get("test"),
            own_samples=names,
            images=self._prepared(),
        )

    def normalised(self, train: Examples, part: Examples) -> Examples:  # noqa: ARG002
        """Scale pixels to values from 0 to 1, then by the mean and deviation of the model or the options."""
        mean, deviation = (
            torch.tensor(numbers).view(-1, 1, 1) for numbers in (self._mean, self._deviation)
        )
        # One step after the other in place: of many images, every copy counts.
        x = part.inputs["x"].float().div_(255).sub_(mean).div_(deviation)
        return Examples({"x": x}, part.labels)

    def _prepared(self) -> ImagePreprocessing:
        options = self._options
        return ImagePreprocessing(options.size, self._mean, self._deviation, options.fit)

    def _tree(self) -> ImageTree:
        if self._read is None:
            self._read = read_tree(self._folder, self._inputs, f"{self._field}.path")
        return self._read

    def _pixels(self, files: Sequence[ImageFile], digests: Sequence[str]) -> Tensor:
        """Give uint8 ``(N, channels, height, width)``."""
        from PIL import __version__ as pillow  # noqa: PLC0415 - only reading images needs it

        options = self._options
        key = content_key(
            (_VERSION, pillow, str(options.size), str(options.channels), options.fit, *digests)
        )

        def make() -> Tensors:
            pixels = torch.empty((len(files), options.channels, *options.size), dtype=torch.uint8)
            for row, (file, digest) in enumerate(zip(files, digests, strict=True)):
                pixels[row] = self._image(file, digest)
            return {"pixels": pixels}

        return self._cache.get(key, make)["pixels"]

    def _image(self, file: ImageFile, digest: str) -> Tensor:
        content = self._content(file)
        if hashlib.sha256(content).hexdigest() != digest:
            raise self._error(
                file, "another content than a moment ago", "files that stay as they are"
            )
        try:
            return torch.from_numpy(read_pixels(content, self._options))
        except UnusableImageError as error:
            raise self._error(file, error.given, error.expected) from error

    def _content(self, file: ImageFile) -> bytes:
        try:
            with file.path.open("rb") as opened:
                content = opened.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise self._error(file, str(error), "a file that can be read") from error
        if len(content) > MAX_FILE_BYTES:
            raise self._error(file, f"more than {MAX_FILE_BYTES:,} bytes", "a smaller file")
        return content

    def _error(self, file: ImageFile, given: str, expected: str) -> DataError:
        shown = file.path.relative_to(self._inputs.root.resolve())
        return DataError(f"{self._field}.path", f"{shown}: {given}", expected)


def _pixel_options(
    config: ImageFolderConfig, model: ImagePreprocessing | None, field: str
) -> PixelOptions:
    """Size and channels: the options', else the model's."""
    if config.size is not None:
        size = (config.size, config.size) if isinstance(config.size, int) else config.size
    elif model is not None:
        size = model.size
    else:
        raise InvalidInputError(
            f"{field}.size", "null, and the model takes any", "height and width in pixels, 32 say"
        )
    channels = config.channels or (3 if model is None else len(model.mean))
    if config.channels is None and config.mean is not None:
        channels = len(config.mean)
    return PixelOptions(size, channels, config.fit)


def _scale(
    config: ImageFolderConfig, model: ImagePreprocessing | None, options: PixelOptions, field: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation: the options', else the model's."""
    if config.mean is not None and config.deviation is not None:
        return config.mean, config.deviation
    if model is None:
        return (0.0,) * options.channels, (1.0,) * options.channels
    if len(model.mean) != options.channels:
        raise InvalidInputError(
            f"{field}.channels",
            options.channels,
            f"{len(model.mean)}, which the model's mean and deviation are for; or mean and deviation of your own",
        )
    return model.mean, model.deviation
