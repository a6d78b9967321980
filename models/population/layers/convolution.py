"""Convolutions of all candidates: one grouped convolution over channels that lie side by side.

``(B, P * channels, *pixels)``: the groups of one candidate follow those of the one before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    pad,
)

from models.population.batched import cover
from models.population.population_layer import PopulationLayer, stands_for
from models.population.side_by_side import beside_each_other

# By the number of a value's axes: samples, channels, and those of an image.
CONVOLUTIONS = {3: conv1d, 4: conv2d, 5: conv3d}
TRANSPOSED_CONVOLUTIONS = {3: conv_transpose1d, 4: conv_transpose2d, 5: conv_transpose3d}


@stands_for(nn.Conv1d, nn.Conv2d, nn.Conv3d)
class PopulationConvolution(PopulationLayer):
    """Strided, dilated, grouped and padded as the ordinary layer."""

    prefers_channels_last = True

    def together(self, input: Tensor) -> Tensor:
        """Give ``(B, out, *pixels)`` for ``(B, in, *pixels)``, or both without ``B``."""
        weight, layer = self.stacked["weight"], self.layer
        n_axes, size = weight.ndim - 1, len(weight)
        if input.ndim < n_axes:
            return self.together(input.unsqueeze(0)).squeeze(0)
        # What is the same for all candidates is read by all their filters, unless the layer itself has groups.
        wide, copies = beside_each_other(
            input, size, channels_last=self.channels_last, keep_shared=layer.groups == 1
        )
        padding = layer.padding
        if layer.padding_mode != "zeros":
            wide = pad(wide, layer._reversed_padding_repeated_twice, mode=layer.padding_mode)
            padding = 0
        result = CONVOLUTIONS[n_axes](
            wide,
            weight.flatten(0, 1),
            self.wide("bias"),
            layer.stride,
            padding,
            layer.dilation,
            copies * layer.groups,
        )
        return cover(result.unflatten(1, (size, -1)), 1)


@stands_for(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
class PopulationTransposedConvolution(PopulationLayer):
    """Strided, dilated, grouped and padded as the ordinary layer."""

    prefers_channels_last = True

    def together(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Give ``(B, out, *pixels)`` for ``(B, in, *pixels)``, or both without ``B``."""
        weight, layer = self.stacked["weight"], self.layer
        n_axes, size = weight.ndim - 1, len(weight)
        if input.ndim < n_axes:
            return self.together(input.unsqueeze(0), output_size).squeeze(0)
        output_padding = layer._output_padding(
            input,
            output_size,
            layer.stride,
            layer.padding,
            layer.kernel_size,
            n_axes - 2,
            layer.dilation,
        )
        wide, _ = beside_each_other(input, size, channels_last=self.channels_last)
        result = TRANSPOSED_CONVOLUTIONS[n_axes](
            wide,
            weight.flatten(0, 1),
            self.wide("bias"),
            layer.stride,
            layer.padding,
            output_padding,
            size * layer.groups,
            layer.dilation,
        )
        return cover(result.unflatten(1, (size, -1)), 1)
