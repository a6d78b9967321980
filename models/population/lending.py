"""Lends a network the tensors of a population: inside ``torch.func.vmap`` its modules hold one candidate's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from models.layout import population_size
from models.population.batched import cover
from models.population.population_function import PopulationFunctions
from models.population.torch_switches import fast_paths_off


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a module keeps one of its tensors.

    ``shared`` is what all candidates have, None if each has its own row of ``stacked``.
    """

    keeper: dict[str, Any]
    name: str
    stacked: Tensor
    shared: Tensor | None
    is_buffer: bool


class LentTensors:
    """A network with a population's tensors.

    As ``torch.func.functional_call`` under ``vmap``; but a buffer that the network replaces by another tensor, instead
    of changing it in place, is stored too.
    """

    def __init__(
        self, network: nn.Module, tensors: Mapping[str, Tensor], shared: Collection[str] = ()
    ) -> None:
        """Find the places of tensors.

        Args:
            network: Holds its own tensors, whenever it does not run.
            tensors: ``(P, *shape)`` by name; not copied, and buffers change in place.
            shared: Names of those that are equal for all candidates, neither trained nor changed: what depends on
                nothing else is computed once.

        Raises:
            RuntimeError: A layer reads its weights from a list of its own, which lent ones do not reach.
        """
        for name, module in network.named_modules():
            if isinstance(module, nn.RNNBase):
                raise RuntimeError(
                    f"{name} is a recurrent layer ({type(module).__name__}): "
                    "it has no fused form, candidates are trained one by one"
                )
        self._functions = PopulationFunctions()
        self._own = list(network.parameters())
        self._size = population_size(tensors)
        self._places: list[_Place] = []
        names = first_names(network)
        for prefix, module in network.named_modules():
            for keeper, is_buffer in ((module._parameters, False), (module._buffers, True)):
                for local, own in keeper.items():
                    name = names.get(id(own), joined(prefix, local))
                    if own is None or name not in tensors:
                        continue
                    stacked = tensors[name]
                    one = stacked[0].detach() if name in shared else None
                    self._places.append(_Place(keeper, local, stacked, one, is_buffer))

    def for_each_candidate(self, compute: Callable[[], Tensor]) -> Tensor:
        """Compute something with the network for every candidate: ``(P, *)``.

        Draws are the same for all of them.
        """

        def one(_: Tensor) -> Tensor:
            with self._lent():
                return compute()

        with self._functions, fast_paths_off():
            # The argument only tells how many candidates there are.
            result: Tensor = vmap(one, randomness="same")(torch.empty(self._size))
        return result

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Train while a block runs.

        Raises:
            RuntimeError: At the end, if the network has read parameters of its own: it holds them outside its modules,
                where what is lent does not reach them.
        """
        for parameter in self._own:
            parameter.grad = None
        yield
        if any(parameter.grad is not None for parameter in self._own):
            raise RuntimeError("the network reads parameters that it holds outside its modules")

    @contextmanager
    def _lent(self) -> Iterator[None]:
        own = [place.keeper[place.name] for place in self._places]
        lent = []
        for place in self._places:
            value = cover(place.stacked, 0) if place.shared is None else place.shared
            place.keeper[place.name] = value
            lent.append(value)
        try:
            yield
            for place, value in zip(self._places, lent, strict=True):
                left = place.keeper[place.name]
                if place.is_buffer and left is not value and place.shared is None:
                    with torch.no_grad():
                        value.copy_(left)
        finally:
            for place, tensor in zip(self._places, own, strict=True):
                place.keeper[place.name] = tensor


def first_names(network: nn.Module) -> dict[int, str]:
    """The name in a network's state by the parameter's ``id``: a tied tensor is in a state once."""
    return {id(parameter): name for name, parameter in network.named_parameters()}


def joined(prefix: str, name: str) -> str:
    """The name of a tensor or module inside a module."""
    return f"{prefix}.{name}" if prefix else name
