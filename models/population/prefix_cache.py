"""What frozen layers give for a sample is the same in every epoch: computed in the first, looked up in the others.

Reference: Liu et al., "AutoFreeze: Automatically Freezing Model Blocks to Accelerate Fine-tuning", 2021, section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from models.data.dataset import Examples
from models.population.batched import is_batched

# What all look-up tables of one chunk may take together.
CACHE_BYTES = 2**30


class PrefixCache:
    """Look-up tables of frozen modules, while one chunk trains.

    A module's outputs are kept if they depend on nothing but the sample: they are the same for all candidates, and when
    a sample comes again they are compared once with what the module computes then.  Behind dropout, say, they
    differ, and the module is computed every time.
    """

    def __init__(self, modules: Mapping[str, nn.Module], n_samples: int) -> None:
        """Bind modules whose tensors are frozen and equal for all candidates.

        Args:
            modules: None of them inside another.
            n_samples: Of the training part.
        """
        self._tables = [_Table(module, n_samples) for module in modules.values()]
        self._left = CACHE_BYTES

    def watched(self, data: Examples) -> WatchedExamples:
        """The training part, observed: the samples that are taken are those that the modules see next."""
        return WatchedExamples(data, self)

    def expect(self, indices: Tensor | None) -> None:
        """Tell which samples of the training part the modules see next; None if others."""
        for table in self._tables:
            table.indices = indices

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Answer for the modules while a block runs."""
        for table in self._tables:
            table.install(self._take_bytes)
        try:
            yield
        finally:
            for table in self._tables:
                table.remove()

    def _take_bytes(self, wanted: int) -> bool:
        """Set memory aside for a table, if there is enough left."""
        if wanted > self._left:
            return False
        self._left -= wanted
        return True


class WatchedExamples:
    """Samples whose taking a cache observes."""

    def __init__(self, data: Examples, cache: PrefixCache) -> None:
        """Bind both."""
        self._data, self._cache = data, cache

    def take(self, indices: Tensor) -> Examples:
        """Copy some samples."""
        self._cache.expect(indices)
        return self._data.take(indices)


class _Table:
    """The outputs of one module by sample."""

    def __init__(self, module: nn.Module, n_samples: int) -> None:
        self._module, self._n_samples = module, n_samples
        self.indices: Tensor | None = None
        self._outputs: Tensor | None = None
        self._is_known = torch.zeros(n_samples, dtype=torch.bool)
        self._is_checked, self._is_off = False, False

    def install(self, take_bytes: Callable[[int], bool]) -> None:
        """Stand in for the module's ``forward``."""
        compute = self._module.forward
        self._own_forward = vars(self._module).get("forward")

        def forward(*args: Any, **options: Any) -> Any:
            indices = self.indices
            if self._is_off or indices is None:
                return compute(*args, **options)
            if self._outputs is not None and bool(self._is_known[indices.cpu()].all()):
                known = self._outputs[indices]
                if self._is_checked:
                    return known
                computed = compute(*args, **options)
                self._is_checked = True
                self._is_off = not _agree(known, computed)
                return computed
            computed = compute(*args, **options)
            self._keep(indices, computed, take_bytes)
            return computed

        # An attribute of the instance hides the method of the class.
        self._module.forward = forward

    def remove(self) -> None:
        """Give the module its own ``forward`` back."""
        del self._module.forward
        if self._own_forward is not None:
            self._module.forward = self._own_forward

    def _keep(self, indices: Tensor, computed: Any, take_bytes: Callable[[int], bool]) -> None:
        depends_on_samples_alone = (
            isinstance(computed, Tensor)
            and not is_batched(computed)
            and not computed.requires_grad
            and computed.shape[:1] == indices.shape
        )
        if not depends_on_samples_alone:
            self._is_off = True
            return
        if self._outputs is None:
            per_sample = computed[0].numel() * computed.element_size()
            if not take_bytes(per_sample * self._n_samples):
                self._is_off = True
                return
            self._outputs = computed.new_empty((self._n_samples, *computed.shape[1:]))
        self._outputs[indices] = computed
        self._is_known[indices.cpu()] = True


def frozen_modules(
    network: nn.Module, tensors: Mapping[str, Collection[str]], frozen: Collection[str]
) -> dict[str, nn.Module]:
    """The outermost modules that have tensors and of which all are frozen, by name; never the network itself.

    Args:
        network: Where to look.
        tensors: Names of each module's own tensors, by the module's name.
        frozen: Names of frozen tensors.
    """
    found: dict[str, nn.Module] = {}
    for name, module in network.named_modules():
        is_inside = any(name.startswith(f"{outer}.") for outer in found)
        # Lists are never called themselves.
        if not name or is_inside or isinstance(module, nn.ModuleList | nn.ModuleDict):
            continue
        inside = [
            tensor
            for owner, own in tensors.items()
            if owner == name or owner.startswith(f"{name}.")
            for tensor in own
        ]
        if inside and set(inside) <= set(frozen):
            found[name] = module
    return found


def _agree(known: Tensor, computed: Any) -> bool:
    return (
        isinstance(computed, Tensor)
        and computed.shape == known.shape
        and torch.allclose(known, computed, rtol=1e-4, atol=1e-6)
    )
