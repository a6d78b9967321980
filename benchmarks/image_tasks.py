"""Two tasks as folders of PNG files: letters of printed fonts, of which there are any number, and handwritten digits.

The letters are drawn from fonts that matplotlib brings, each turned, sheared, scaled and shifted a little; the digits
are those that scikit-learn brings.  The same seed gives the same files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from PIL.Image import Resampling, Transform
from sklearn.datasets import load_digits

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralItalic",
    "cmr10",
    "cmss10",
    "cmtt10",
)
# A letter is drawn large, and scaled down when it has been jittered.
DRAWN, MARGIN, SMALL = 96, 8, 8
LARGEST_LEVEL = 16


def write_letters(folder: Path, per_class: int, seed: int) -> int:
    """Write ``LETTER/FONT-NUMBER.png``, pictures of 8 x 8 pixels as the handwritten ones are; give their number."""
    rng = np.random.default_rng(seed)
    fonts = {name: _font(name) for name in FONTS}
    for letter in LETTERS:
        (folder / letter).mkdir(parents=True)
        for number in range(per_class):
            name = FONTS[number % len(FONTS)]
            image = _jittered(_tight(letter, fonts[name]), rng)
            image.save(folder / letter / f"{name}-{number}.png")
    return per_class * len(LETTERS)


def write_digits(folder: Path) -> int:
    """Write scikit-learn's digits as ``DIGIT/NUMBER.png``; give their number."""
    n_written = 0
    for number, (image, digit) in enumerate(_digits()):
        own = folder / str(digit)
        own.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(own / f"{number}.png")
        n_written += 1
    return n_written


def _digits() -> Iterator[tuple[NDArray[np.uint8], int]]:
    digits = load_digits()
    levels = (digits.images * (255 / LARGEST_LEVEL)).round().astype(np.uint8)
    yield from zip(levels, digits.target.tolist(), strict=True)


def _font(name: str) -> ImageFont.FreeTypeFont:
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(str(path), DRAWN)


def _tight(letter: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """A white letter on black that fills its square, as the handwritten ones do."""
    left, top, right, bottom = (round(edge) for edge in font.getbbox(letter))
    drawn = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(drawn).text((-left, -top), letter, fill=255, font=font)
    height = DRAWN - 2 * MARGIN
    width = min(height, round(height * max(0.6, drawn.width / drawn.height)))
    square = Image.new("L", (DRAWN, DRAWN))
    inside = drawn.resize((width, height), Resampling.BILINEAR)
    square.paste(inside, ((DRAWN - width) // 2, MARGIN))
    return square


def _jittered(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Turned, sheared, scaled and shifted at random, with strokes as a pen of another width makes them."""
    angle, shear = rng.uniform(-0.25, 0.25), rng.uniform(-0.3, 0.3)
    scale = rng.uniform(0.9, 1.2, size=2)
    shift = rng.uniform(-5, 5, size=2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(scale)
    centre = np.full(2, DRAWN / 2)
    offset = centre - matrix @ centre + shift
    rows = (*matrix[0], offset[0], *matrix[1], offset[1])
    moved = image.transform(image.size, Transform.AFFINE, rows, Resampling.BILINEAR)
    if rng.random() < 0.5:
        moved = moved.filter(ImageFilter.MaxFilter(5))
    return moved.resize((SMALL, SMALL), Resampling.BOX)
