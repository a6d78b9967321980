"""From the bytes of an image file to pixels of one size, with Pillow.

Alpha is laid over white, a turn noted by the camera is made, 16 bits become 8.  Bounds are checked on the file's
header, before any memory is used for pixels.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.data.images.tree import FORMATS
from models.data.preprocessing import Fit

if TYPE_CHECKING:
    from PIL.Image import Image

# A camera of 64 megapixels; as RGB with alpha 268 MB for a moment.
MAX_PIXELS = 1 << 26
# A single pixel is a placeholder, not a picture: resized it would be one colour.
SMALLEST_SIDE = 2
MAX_FILE_BYTES = 64 << 20
# In formats that can hold several pictures, the first may not be the one that was labelled.  (Cameras also write JPEG
# files with previews behind the picture itself.)
_OF_SEVERAL = frozenset(("GIF", "PNG", "WEBP", "TIFF"))
_SIXTEEN_BITS = frozenset(("I;16", "I;16L", "I;16B", "I;16N"))


@dataclass(frozen=True, slots=True)
class PixelOptions:
    """What every image becomes.

    Attributes:
        size: Height and width.
        channels: 1, grey, or 3, red, green and blue.
        fit: What becomes of another shape: stretched, or the middle cut out.
    """

    size: tuple[int, int]
    channels: int
    fit: Fit


class UnusableImageError(ValueError):
    """An image that cannot be used; ``given`` is what it is, ``expected`` what it should be."""

    def __init__(self, given: str, expected: str) -> None:
        """Keep both parts."""
        self.given, self.expected = given, expected
        super().__init__(f"{given}, expected {expected}")


def read_pixels(content: bytes, options: PixelOptions) -> NDArray[np.uint8]:
    """Decode and resize one image.

    Args:
        content: Of the file.
        options: What it becomes.

    Returns:
        ``(channels, height, width)``.

    Raises:
        UnusableImageError: It cannot be decoded, or is of a kind that is not taken.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - only reading images needs it

    try:
        with warnings.catch_warnings():
            # Pillow only warns of images that are large but below its own limit, which is above ours.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _check(image)
                pixels = _resized(image, options)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImageError(
            f"more than {Image.MAX_IMAGE_PIXELS:,} pixels", f"at most {MAX_PIXELS:,} in all"
        ) from error
    except UnidentifiedImageError as error:
        raise UnusableImageError(
            "no image that can be read (it begins as none does)", f"one of {', '.join(FORMATS)}"
        ) from error
    except UnusableImageError:
        raise
    # What Pillow's decoders raise for files that are cut off or broken.
    except (
        OSError,
        SyntaxError,
        ValueError,
        LookupError,
        TypeError,
        OverflowError,
        EOFError,
        struct.error,
        zlib.error,
    ) as error:
        raise UnusableImageError(
            f"no image that can be read ({str(error)[:200]})", f"one of {', '.join(FORMATS)}"
        ) from error
    array = np.array(pixels, dtype=np.uint8)
    return array[None] if options.channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _check(image: Image) -> None:
    """Refuse by the header alone."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnusableImageError(f"{width} x {height} pixels", f"at most {MAX_PIXELS:,} in all")
    if min(width, height) < SMALLEST_SIDE:
        raise UnusableImageError(
            f"{width} x {height} pixels", f"at least {SMALLEST_SIDE} x {SMALLEST_SIDE}"
        )
    if image.format in _OF_SEVERAL and getattr(image, "is_animated", False):
        raise UnusableImageError(
            "several pictures in one file (animated, or pages)", "one picture in each file"
        )


def _resized(image: Image, options: PixelOptions) -> Image:
    from PIL import ImageOps  # noqa: PLC0415
    from PIL.Image import Resampling  # noqa: PLC0415

    upright = ImageOps.exif_transpose(_plain(image))
    height, width = options.size
    if options.fit == "crop":
        sized = ImageOps.fit(upright, (width, height), Resampling.BILINEAR)
    else:
        sized = upright.resize((width, height), Resampling.BILINEAR)
    return _without_alpha(sized).convert("L" if options.channels == 1 else "RGB")


def _plain(image: Image) -> Image:
    """Grey or red, green and blue of 8 bits, with alpha where the image has it."""
    from PIL.Image import fromarray  # noqa: PLC0415

    if image.mode in _SIXTEEN_BITS:
        return fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UnusableImageError(
            f"pixels of 32 bits (mode {image.mode})", "pixels of 8 or 16 bits; convert it"
        )
    if "transparency" in image.info or image.mode in ("PA", "RGBa"):
        return image.convert("RGBA")
    if image.mode == "La":
        return image.convert("LA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGB")


def _without_alpha(image: Image) -> Image:
    if image.mode not in ("LA", "RGBA"):
        return image
    from PIL import Image as images  # noqa: PLC0415, N813 - a module

    colours = image.convert("RGBA")
    return images.alpha_composite(images.new("RGBA", image.size, "white"), colours)
