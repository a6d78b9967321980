"""What a folder or a configuration says of images: size, mean and deviation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.data.preprocessing import ImagePreprocessing
from search.errors import InvalidInputError

DEFAULT_SIZE, DEFAULT_MEAN, DEFAULT_DEVIATION = 224, 0.5, 0.5
# Pillow's number for it.
BILINEAR = 2


def image_preprocessing(
    config: Any, options: Mapping[str, Any] | None, field: str
) -> ImagePreprocessing | None:
    """Give size and scale; None where the networks take neither grey nor coloured images.

    Args:
        config: The library's configuration object.
        options: Of the folder's image processor, if it has one.
        field: Where the folder or the configuration stood in the spec.

    Raises:
        InvalidInputError: The processor's options make no sense.
    """
    channels = getattr(config, "num_channels", 3)
    if channels not in (1, 3):
        return None
    options = options or {}
    size = _pair(getattr(config, "image_size", None)) or _processor_size(options)
    is_scaled = options.get("do_normalize", True)
    mean = _per_channel(options.get("image_mean"), DEFAULT_MEAN, channels)
    deviation = _per_channel(options.get("image_std"), DEFAULT_DEVIATION, channels)
    if mean is None or deviation is None or min(deviation) <= 0:
        raise InvalidInputError(
            field,
            f"image_mean {options.get('image_mean')} and image_std {options.get('image_std')}",
            f"{channels} numbers each, for the channels of the images, deviations above 0",
        )
    if not is_scaled:
        mean, deviation = (0.0,) * channels, (1.0,) * channels
    return ImagePreprocessing(size or (DEFAULT_SIZE, DEFAULT_SIZE), mean, deviation)


def processor_options(images: ImagePreprocessing) -> dict[str, Any]:
    """Options of an image processor of the library that does the same: a ``preprocessor_config.json``.

    But for a cut-out middle, of which it can place the edges to a pixel only, and which it knows for squares only: of
    another shape, images are cut out by whoever brings them.
    """
    height, width = images.size
    size = {"height": height, "width": width}
    cut: dict[str, Any] = {}
    if images.fit == "crop" and height == width:
        cut = {"do_center_crop": True, "crop_size": size, "size": {"shortest_edge": height}}
    return {
        "image_processor_type": "ViTImageProcessor",
        # Grey files too become red, green and blue.
        "do_convert_rgb": len(images.mean) == 3,
        "do_resize": True,
        "resample": BILINEAR,
        "size": size,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(images.mean),
        "image_std": list(images.deviation),
        **cut,
    }


def _processor_size(options: Mapping[str, Any]) -> tuple[int, int] | None:
    """What comes out of resizing and cropping."""
    if options.get("do_center_crop") and (cropped := _pair(options.get("crop_size"))):
        return cropped
    return _pair(options.get("size"))


def _pair(size: Any) -> tuple[int, int] | None:
    """Height and width, in any of the forms that configurations have for them."""
    if isinstance(size, Mapping):
        edge = size.get("shortest_edge")
        pair = (size.get("height", edge), size.get("width", edge))
    elif isinstance(size, list | tuple) and len(size) == 2:
        pair = (size[0], size[1])
    else:
        pair = (size, size)
    if all(isinstance(edge, int) and not isinstance(edge, bool) and edge >= 1 for edge in pair):
        return pair
    return None


def _per_channel(value: Any, default: float, channels: int) -> tuple[float, ...] | None:
    if value is None:
        return (default,) * channels
    numbers = value if isinstance(value, list | tuple) else [value] * channels
    if len(numbers) != channels or not all(isinstance(n, int | float) for n in numbers):
        return None
    return tuple(float(n) for n in numbers)
