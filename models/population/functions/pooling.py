"""Pooling of all candidates: channels do not meet, so the candidates' channels may lie side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn.functional import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    interpolate,
    max_pool2d,
)

from models.population.batched import cover, uncover
from models.population.population_function import stands_in_for


def _channel_by_channel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function known that treats every channel of ``(B, channels, *pixels)`` alike."""

    @stands_in_for(function)
    def together(input: Tensor, *args: Any, **options: Any) -> Any:
        """Apply it to all channels of all candidates."""
        tensor = uncover(input, 1)
        size, is_image = tensor.shape[1], input.ndim == 4
        # An image without a batch axis: its channels are the first axis.
        wide = tensor.flatten(1, 2) if is_image else uncover(input, 0).flatten(0, 1)
        result = function(wide, *args, **options)
        axis = 1 if is_image else 0
        if isinstance(result, Tensor):
            return cover(result.unflatten(axis, (size, -1)), axis)
        return tuple(cover(part.unflatten(axis, (size, -1)), axis) for part in result)

    return together


for _function in (max_pool2d, adaptive_max_pool2d, interpolate):
    _channel_by_channel(_function)
_pool = _channel_by_channel(avg_pool2d)
_pool_adaptively = _channel_by_channel(adaptive_avg_pool2d)


@stands_in_for(adaptive_avg_pool2d)
def average_together(input: Tensor, output_size: Any) -> Any:
    """Average; all pixels of a channel, which is the common case, so that gradients keep the image's memory order."""
    if output_size not in (1, (1, 1), [1, 1]) or input.ndim != 4:
        return _pool_adaptively(input, output_size)
    # Of torch's two ways to average an image, this one's gradient has the image's own order.
    return _pool(input, input.shape[2:])
