"""The seam for population layers: a layer of all candidates at once, computed as one wide layer.

A population layer answers for an ordinary one while the network runs under ``torch.func.vmap``.  It sees values of one
candidate, as the code around it does, but computes on the tensors behind them (``models/population/batched.py``):
``vmap`` would give the same numbers, only slower.  The ordinary layer stays where it is, so that code which reads its
options or weights, or holds it in a list of its own, finds what it expects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from models.population.batched import is_inside_another_transform
from search.registry import import_modules_of

LayerT = TypeVar("LayerT", bound="type[PopulationLayer]")


class PopulationLayer:
    """Base of the layers of a population.

    ``forward`` gets and gives what the ordinary layer would; ``together`` does so for tensors that differ between
    candidates, given as ``self.stacked[name]``, ``(P, *shape)``.

    Attributes:
        layer: The ordinary layer; while the network runs, it holds one candidate's tensors.
        channels_last: Memory order of images: pixel by pixel instead of channel by channel.
        stacked: The population's tensors by the layer's own names for them.
        is_shared: They are equal for all candidates and not trained: ``layer`` holds them as they are.
    """

    # Whether weights are wanted in channels-last order when the layout is asked for it.
    prefers_channels_last: ClassVar[bool] = False

    def __init__(self, layer: nn.Module, *, channels_last: bool) -> None:
        """Bind a layer, which is not changed."""
        self.layer: Any = layer
        self.channels_last = channels_last
        self.stacked: dict[str, Tensor] = {}
        self.is_shared = False

    @classmethod
    def refusal(cls, layer: nn.Module) -> str | None:  # noqa: ARG003 - most take every layer of their type
        """Why a layer has no stacked form, or None if it has one; it is then left to ``vmap``."""
        return None

    @property
    def training(self) -> bool:
        """Whether the layer is in training mode."""
        return bool(self.layer.training)

    def ordered(self, tensor: Tensor) -> Tensor:
        """Give a stacked tensor ``(P, *shape)`` in the memory order that the layer computes in."""
        if self.channels_last and self.prefers_channels_last and tensor.ndim == 5:
            wide = tensor.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            result: Tensor = wide.view(tensor.shape)
            return result
        return tensor

    def install(self, stacked: Mapping[str, Tensor], *, is_shared: bool) -> None:
        """Answer for the layer, with tensors ``(P, *shape)`` that are not copied."""
        self.stacked, self.is_shared = dict(stacked), is_shared
        # An attribute of the instance hides the method of the class.
        self.layer.forward = self.forward

    def remove(self) -> None:
        """Leave the layer to itself and forget the tensors."""
        self.stacked = {}
        vars(self.layer).pop("forward", None)

    def forward(self, *args: Any, **options: Any) -> Any:
        """Compute what the ordinary layer would for one candidate.

        Raises:
            RuntimeError: The network itself calls the layer inside ``torch.func.vmap`` or ``grad``.
        """
        if self.is_shared:
            return self.ordinary(*args, **options)
        if is_inside_another_transform():
            raise RuntimeError(
                f"{type(self.layer).__name__} is called inside a transform of the network's own"
            )
        return self.together(*args, **options)

    def ordinary(self, *args: Any, **options: Any) -> Any:
        """Compute with the tensors that the layer holds."""
        return type(self.layer).forward(self.layer, *args, **options)

    def together(self, *args: Any, **options: Any) -> Any:
        """Compute all candidates at once; takes what the ordinary layer's ``forward`` takes, under the same names."""
        raise NotImplementedError

    def wide(self, name: str) -> Tensor | None:
        """One of the layer's tensors with the candidates side by side, ``(P * first, *rest)``; None if it has none."""
        tensor = self.stacked.get(name)
        # Never a copy: buffers change in place.
        return None if tensor is None else tensor.view(-1, *tensor.shape[2:])


_LAYERS: dict[type[nn.Module], type[PopulationLayer]] = {}


def stands_for(*layers: type[nn.Module]) -> Callable[[LayerT], LayerT]:
    """Class decorator that makes a population layer known for types of ordinary layers, subclasses not included."""

    def add(population_layer: LayerT) -> LayerT:
        _LAYERS.update(dict.fromkeys(layers, population_layer))
        return population_layer

    return add


@cache
def population_layers() -> Mapping[type[nn.Module], type[PopulationLayer]]:
    """Every population layer by the type that it stands for; each file in ``models/population/layers`` adds some."""
    import_modules_of("models.population.layers")
    return _LAYERS
