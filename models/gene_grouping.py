"""Four ways to group tensors into genes: layers, tensors, blocks, the user's own groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from torch import nn

from models.tensor_names import NamedTensors, matching
from search.errors import InvalidInputError

Granularity = Literal["layer", "tensor", "block", "groups"]

# Name of the network itself among its modules.
ROOT = ""


def group_tensors(tensors: NamedTensors, granularity: Granularity) -> dict[str, list[str]]:
    """Group by what modules there are, knowing nothing of the architecture.

    Args:
        tensors: Of a network.
        granularity: What is one gene; not ``groups``.
    """
    grouping = {"layer": group_by_layer, "tensor": group_by_tensor, "block": group_by_block}
    return grouping[granularity](tensors)


def group_by_layer(tensors: NamedTensors) -> dict[str, list[str]]:
    """One gene per module that owns parameters, with its buffers; one per parameter of the network itself.

    A normalisation layer, affine and running statistics, belongs to the layer it serves: the nearest layer before
    it in the same parent module, else the nearest one after it there (pre-norm), else the nearest before it anywhere.
    """
    layers = [name for name in tensors.modules if name not in tensors.norms and name != ROOT]
    owners = {
        norm: served_layer(norm, list(tensors.modules), set(layers)) for norm in tensors.norms
    }
    by_owner: dict[str, list[str]] = {}
    for module, own in tensors.modules.items():
        by_owner.setdefault(owners.get(module) or module, []).extend(own)
    groups: dict[str, list[str]] = {}
    # A norm may come before the layer that it serves; genes stand in the order of their layers.
    for module in tensors.modules:
        members = by_owner.get(module, [])
        if module == ROOT:
            # A class token and position embeddings, say: no layer has them, and the root has no name to give.
            groups |= {name: [name] for name in members if name in tensors.parameter_names}
        elif any(name in tensors.parameter_names for name in members):
            groups[module] = members
    return groups


def group_by_tensor(tensors: NamedTensors) -> dict[str, list[str]]:
    """One gene per parameter; buffers go with their module's first tensor."""
    groups: dict[str, list[str]] = {}
    for own in tensors.modules.values():
        parameters = [name for name in own if name in tensors.parameter_names]
        for name in parameters:
            groups[name] = [name]
        if parameters:
            groups[parameters[0]] += [name for name in own if name not in parameters]
    return groups


def group_by_block(tensors: NamedTensors) -> dict[str, list[str]]:
    """One gene per repeated child of the network, and one per layer outside of them.

    Repeated children are those of a module list or sequence that all have the same class; the outermost count.
    """
    blocks = _repeated_children(tensors.network)
    groups: dict[str, list[str]] = {}
    for layer, members in group_by_layer(tensors).items():
        groups.setdefault(_block_of(layer, blocks) or layer, []).extend(members)
    return groups


def group_by_globs(
    tensors: NamedTensors, patterns: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """One gene per group of the user's.

    Raises:
        InvalidInputError: A pattern matches nothing, or two groups claim one tensor.
    """
    owner: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for group, globs in patterns.items():
        found = {
            name
            for glob in globs
            for name in matching(tensors.names, glob, f"genome.groups.{group}")
        }
        for name in sorted(found):
            if name in owner:
                raise InvalidInputError(
                    f"genome.groups.{group}", name, f"a tensor of one group; {owner[name]!r} has it"
                )
            owner[name] = group
        groups[group] = [name for name in tensors.names if name in found]
    return groups


def served_layer(norm: str, modules: Sequence[str], layers: set[str]) -> str | None:
    """The layer a normalisation belongs to; None in a network of nothing but normalisations."""
    place = modules.index(norm)
    before = [name for name in reversed(modules[:place]) if name in layers]
    after = [name for name in modules[place + 1 :] if name in layers]
    parent = norm.rpartition(".")[0]
    for candidates in (before, after):
        for name in candidates:
            if parent == "" and "." not in name:
                return name
            if parent and name.startswith(f"{parent}."):
                return name
    return next(iter(before or after), None)


def _repeated_children(network: nn.Module) -> list[str]:
    blocks: list[str] = []
    for name, module in network.named_modules():
        if _block_of(name, blocks) is not None or not isinstance(
            module, nn.ModuleList | nn.Sequential
        ):
            continue
        children = dict(module.named_children())
        has_parameters = all(any(True for _ in child.parameters()) for child in children.values())
        if (
            len(children) > 1
            and len({type(child) for child in children.values()}) == 1
            and has_parameters
        ):
            blocks += [f"{name}.{child}" if name else child for child in children]
    return blocks


def _block_of(module: str, blocks: Sequence[str]) -> str | None:
    return next((b for b in blocks if module == b or module.startswith(f"{b}.")), None)
