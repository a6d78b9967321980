"""The tensors of a network's state by name: order, shapes, who owns them, which are tied."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from search.errors import InvalidInputError

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm, nn.RMSNorm)


class NamedTensors:
    """A read-only view; works on the meta device.

    A tied tensor appears once, under the first of its names; ``aliases`` maps its other names to that one.
    ``modules`` lists the modules that own tensors directly, in registration order.
    """

    def __init__(self, network: nn.Module) -> None:
        """Read the network's structure; nothing is copied."""
        persistent = set(network.state_dict(keep_vars=True))
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.modules: dict[str, list[str]] = {}
        self.norms: set[str] = set()
        first_names = {id(tensor): name for name, tensor in network.named_parameters()}
        self.parameter_names = set(first_names.values())
        self.network = network
        for module_name, module in network.named_modules():
            own = [
                *(name for name, _ in module.named_parameters(module_name, recurse=False)),
                *(name for name, _ in module.named_buffers(module_name, recurse=False)),
            ]
            # Tied parameters: network.named_parameters() gives the first name only.
            own = [
                n
                for n in own
                if n in persistent and (n in self.parameter_names or _is_buffer(module, n))
            ]
            if own:
                self.modules[module_name] = own
                if isinstance(module, NORMS):
                    self.norms.add(module_name)
        self.aliases = {
            alias: first_names[id(tensor)]
            for alias, tensor in network.named_parameters(remove_duplicate=False)
            if alias in persistent and alias != first_names[id(tensor)]
        }
        state = network.state_dict(keep_vars=True)
        for own in self.modules.values():
            for name in own:
                self.shapes[name] = tuple(state[name].shape)

    @property
    def names(self) -> list[str]:
        """Every tensor, module by module."""
        return list(self.shapes)

    def count_parameters(self, names: Iterable[str]) -> int:
        """Trainable numbers in the named tensors."""
        return sum(math.prod(self.shapes[name]) for name in names if name in self.parameter_names)


def matching(names: Sequence[str], pattern: str, field: str) -> list[str]:
    """Give the names that a glob matches.

    Raises:
        InvalidInputError: None does; the nearest name is suggested.
    """
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.3) or list(names[:3])
        raise InvalidInputError(
            field, repr(pattern), f"a pattern that matches a tensor, such as {', '.join(near)}"
        )
    return found


def _is_buffer(module: nn.Module, name: str) -> bool:
    return name.rpartition(".")[2] in dict(module.named_buffers(recurse=False))
