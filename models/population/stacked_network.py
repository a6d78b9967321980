"""A network whose layers are answered for by population layers, where there are any for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn

from models.checkpoints import State
from models.population.bound_network import BoundNetwork
from models.population.layers.batch_norm import PopulationBatchNorm
from models.population.lending import LentTensors, first_names, joined
from models.population.population_layer import PopulationLayer, population_layers
from models.population.prefix_cache import frozen_modules
from models.recipe.freezing import Freezing


class StackedNetwork:
    """Runs a network for all candidates.

    Attributes:
        network: The network; changed only while it is bound to a population.
        reasons: Why layers with tensors of their own are left to ``vmap``, by name.
    """

    def __init__(self, network: nn.Module, *, channels_last: bool) -> None:
        """Find the population layer for each layer of a network.

        Args:
            network: Any.
            channels_last: Memory order of images.
        """
        self.network = network
        self.reasons: dict[str, str] = {}
        self._layers: dict[str, PopulationLayer] = {}
        # Names in a state of each module's own tensors, by its own names for them, by its name.
        self._names: dict[str, dict[str, str]] = {}
        firsts, state = first_names(network), network.state_dict()
        for name, module in network.named_modules():
            own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
            if not own:
                continue
            names = {local: firsts.get(id(tensor), joined(name, local)) for local, tensor in own}
            self._names[name] = {local: full for local, full in names.items() if full in state}
            layer = _stand_in(module, channels_last)
            if isinstance(layer, str):
                self.reasons[name] = layer
            elif len(self._names[name]) < len(names):
                self.reasons[name] = "has tensors outside its state"
            else:
                self._layers[name] = layer

    def batch_norms(self) -> Mapping[str, PopulationBatchNorm]:
        """The population layers of batch normalisations, by name."""
        return {n: x for n, x in self._layers.items() if isinstance(x, PopulationBatchNorm)}

    def frozen_modules(self, freezing: Freezing) -> dict[str, nn.Module]:
        """The outermost modules whose tensors are all frozen and equal for all candidates, by name."""
        owned = {name: list(names.values()) for name, names in self._names.items()}
        return frozen_modules(self.network, owned, freezing.shared)

    def order(self, state: State) -> None:
        """Bring tensors into the memory order that their layers compute in."""
        for name, layer in self._layers.items():
            for tensor in self._names[name].values():
                state[tensor] = layer.ordered(state[tensor])

    @contextmanager
    def bound(
        self, state: State, freezing: Freezing, others: State | None = None
    ) -> Iterator[BoundNetwork]:
        """Bind a population while a block runs.

        Args:
            state: ``(P, *shape)`` per tensor; not copied, and buffers change in place.
            freezing: What each candidate freezes.
            others: More tensors ``(P, *shape)``, by names of buffers that are no part of the state.

        Raises:
            RuntimeError: At the end, if the network has read parameters of its own.
        """
        shared = freezing.shared
        lent = LentTensors(self.network, state | (others or {}), shared)
        installed: list[PopulationLayer] = []
        try:
            for name, layer in self._layers.items():
                names = self._names[name]
                tensors = {local: state[full] for local, full in names.items()}
                layer.install(tensors, is_shared=shared.issuperset(names.values()))
                installed.append(layer)
            with lent.watched():
                yield BoundNetwork(self.network, lent)
        finally:
            for layer in installed:
                layer.remove()


def _stand_in(module: nn.Module, channels_last: bool) -> PopulationLayer | str:
    """The population layer for a module, or why there is none."""
    kind = population_layers().get(type(module))
    if kind is None:
        return f"{type(module).__name__} has no population layer"
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
        return "has hooks"
    if "forward" in vars(module):
        return "has a forward of its own"
    refusal = kind.refusal(module)
    if refusal is not None:
        return f"{type(module).__name__} with {refusal}"
    return kind(module, channels_last=channels_last)
