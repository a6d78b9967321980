"""Reading the one input that image networks take."""

from __future__ import annotations

from models.data.shapes import DataShape
from search.errors import InvalidInputError


def image_shape(shape: DataShape, smallest: int) -> tuple[int, int, int]:
    """Give channels, height and width of the input ``x``.

    Raises:
        InvalidInputError: There is no such input, it is no image, or it is smaller than ``smallest`` pixels.
    """
    dimensions = shape.inputs.get("x", ())
    if len(dimensions) != 3 or min(dimensions[1:]) < smallest:
        raise InvalidInputError(
            "dataset",
            f"inputs of shape {dict(shape.inputs)}",
            f"x of shape (channels, height, width) with at least {smallest} x {smallest} pixels",
        )
    channels, height, width = dimensions
    return channels, height, width
