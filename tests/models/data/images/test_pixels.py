"""Tests of what becomes of image files, and of those that are refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.data.images import pixels
from models.data.images.pixels import PixelOptions, UnusableImageError, read_pixels

COLOURS = PixelOptions((4, 6), 3, "stretch")
GREY = PixelOptions((4, 6), 1, "stretch")


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(mode: str, colour: Any, size: tuple[int, int] = (9, 8)) -> Image.Image:
    return Image.new(mode, size, colour)


def mean(array: NDArray[np.uint8]) -> list[int]:
    return [round(float(channel.mean())) for channel in array]


def test_images_get_one_size_and_the_channels_first() -> None:
    content = encoded(plain("RGB", (200, 100, 50)))
    assert read_pixels(content, COLOURS).shape == (3, 4, 6)
    assert mean(read_pixels(content, COLOURS)) == [200, 100, 50]
    assert read_pixels(content, GREY).shape == (1, 4, 6)
    assert mean(read_pixels(content, GREY)) == [124]


MODES: dict[str, tuple[Image.Image, str, list[int]]] = {
    "grey": (plain("L", 90), "PNG", [90] * 3),
    "bilevel": (plain("1", 1), "PNG", [255] * 3),
    "palette": (plain("RGB", (255, 0, 0)).convert("P"), "GIF", [255, 0, 0]),
    "half transparent": (plain("RGBA", (255, 0, 0, 128)), "PNG", [255, 127, 127]),
    "transparent": (plain("LA", (0, 0)), "PNG", [255] * 3),
    "16 bits": (Image.fromarray(np.full((8, 9), 40_000, dtype=np.uint16)), "PNG", [156] * 3),
    "CMYK": (plain("CMYK", (0, 255, 255, 0)), "TIFF", [255, 0, 0]),
    "YCbCr": (plain("YCbCr", (255, 128, 128)), "JPEG", [255] * 3),
    "webp": (plain("RGB", (255, 255, 255)), "WEBP", [255] * 3),
    "ppm": (plain("RGB", (1, 2, 3)), "PPM", [1, 2, 3]),
}


@pytest.mark.parametrize("case", MODES)
def test_every_kind_of_pixels_becomes_what_it_shows(case: str) -> None:
    image, kind, expected = MODES[case]
    np.testing.assert_allclose(mean(read_pixels(encoded(image, kind), COLOURS)), expected, atol=2)


def test_a_turn_that_the_camera_noted_is_made() -> None:
    image = Image.fromarray(np.repeat(np.array([[0, 255]], dtype=np.uint8), 8, axis=0).repeat(4, 1))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees clockwise: what is left comes to the top
    array = read_pixels(encoded(image, "JPEG", exif=exif, quality=95), GREY)[0]
    assert array[0].mean() < 40
    assert array[-1].mean() > 215


def test_stretching_keeps_the_whole_and_cropping_the_shape() -> None:
    wide = np.zeros((10, 30), dtype=np.uint8)
    wide[:, :10], wide[:, 20:] = 255, 255
    content = encoded(Image.fromarray(wide))
    stretched = read_pixels(content, PixelOptions((9, 9), 1, "stretch"))[0]
    cropped = read_pixels(content, PixelOptions((9, 9), 1, "crop"))[0]
    assert stretched[:, 0].min() > 250
    assert cropped.max() < 30


def chunk(name: bytes, data: bytes) -> bytes:
    """One part of a PNG file."""
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def announced(width: int, height: int) -> bytes:
    """A PNG that has hardly more than a header."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(bytes(100)))


END = chunk(b"IEND", b"")
WHOLE = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)))
REFUSED: dict[str, tuple[bytes, str]] = {
    "no image": (b"no image", r"no image that can be read \(it begins as none does\)"),
    "empty": (b"", "no image that can be read"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image that can be read"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image that can be read"),
    "cut off": (WHOLE[: len(WHOLE) // 2], "no image that can be read .*truncated"),
    "broken": (WHOLE[:60] + bytes(40) + WHOLE[100:], "no image that can be read"),
    "one pixel": (encoded(plain("RGB", 0, (1, 1))), "1 x 1 pixels, expected at least 2 x 2"),
    "one row": (encoded(plain("L", 0, (50, 1))), "50 x 1 pixels"),
    "20000 x 20000": (
        announced(20_000, 20_000),
        "more than .* pixels, expected at most 67,108,864",
    ),
    "10000 x 10000": (
        announced(10_000, 10_000),
        "more than .* pixels, expected at most 67,108,864",
    ),
    "9000 x 9000": (announced(9000, 9000), "9000 x 9000 pixels, expected at most 67,108,864"),
    "animated": (
        encoded(plain("L", 0), "GIF", save_all=True, append_images=[plain("L", 255)]),
        "several pictures in one file",
    ),
    "32 bits": (encoded(plain("F", 0.5), "TIFF"), "32 bits .mode F"),
    "text bomb": (
        encoded(plain("L", 0)).replace(
            END, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(5 << 20))) + END
        ),
        "no image that can be read",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_images_that_cannot_be_used_are_refused(case: str) -> None:
    content, expected = REFUSED[case]
    with pytest.raises(UnusableImageError, match=expected) as refusal:
        read_pixels(content, COLOURS)
    assert "object at 0x" not in refusal.value.given


def test_the_bound_is_on_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "MAX_PIXELS", 100)
    assert read_pixels(encoded(plain("L", 0, (10, 10))), GREY).max() == 0
    with pytest.raises(UnusableImageError, match="11 x 10 pixels, expected at most 100"):
        read_pixels(announced(11, 10), GREY)
