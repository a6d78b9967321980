"""Genes of the library's networks: what an encoder layer attends with, what it computes with, its embeddings.

Nothing here is about one architecture: parts are told by the names and types that modules have throughout the library.
What is not recognised is grouped as in any network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import nn

from models.gene_grouping import ROOT, Granularity, group_tensors, served_layer
from models.tensor_names import NamedTensors

ATTENTION, FEED_FORWARD = "attention", "feed_forward"

_ATTENDS = re.compile(r"att(entio)?n(?!.*norm)", re.IGNORECASE)
_EMBEDS = re.compile(r"embed", re.IGNORECASE)
_SCALES = re.compile(r"scale|gamma|lambda", re.IGNORECASE)
# Of two norms or scales of one layer, the one with such a name goes with attention, if names must decide.
_FIRST = re.compile(r"att(entio)?n|before|input|(^|_)1$|_1$|norm1$|scale1$", re.IGNORECASE)


def group_transformer(tensors: NamedTensors, granularity: Granularity) -> dict[str, list[str]]:
    """Tensors of each gene by its name.

    ``layer``: of every encoder layer the attention part and the feed-forward part, each with its norm and scale;
    embeddings together with their norm; every other layer with its norm, the final one with what it follows.
    ``block``: every encoder layer, or every block of a stage, as a whole.  ``tensor``: every parameter.
    """
    if granularity == "tensor":
        return group_tensors(tensors, granularity)
    parts = _Parts(tensors)
    groups: dict[str, list[str]] = {}
    for module in parts.order:
        name = parts.part_of[module]
        if name == ROOT:
            groups |= {tensor: [tensor] for tensor in tensors.modules[module]}
            continue
        if granularity == "block":
            name = parts.block_of(module) or name
        groups.setdefault(name, []).extend(tensors.modules[module])
    return groups


class _Parts:
    """Which part of a network every module with tensors belongs to.

    Attributes:
        part_of: Name of the part, by module.
        order: Modules in the order of their parts' first layers.
    """

    def __init__(self, tensors: NamedTensors) -> None:
        self._tensors = tensors
        self._modules: dict[str, nn.Module] = dict(tensors.network.named_modules())
        self._norms = {
            name
            for name in tensors.modules
            if name in tensors.norms or "norm" in type(self._modules[name]).__name__.lower()
        }
        self._layers = [name for name in tensors.modules if name not in self._norms and name]
        self._encoder_layers = self._find_encoder_layers()
        self._stage_blocks = self._find_stage_blocks()
        self.part_of: dict[str, str] = {}
        for module in tensors.modules:
            self.part_of[module] = self._part(module)
        places = {part: i for i, part in reversed(list(enumerate(self._named_parts())))}
        self.order = sorted(tensors.modules, key=lambda m: places.get(self.part_of[m], len(places)))

    def block_of(self, module: str) -> str | None:
        """The encoder layer or the block of a stage that a module's part lies in."""
        place = self.part_of[module]
        blocks = [*self._encoder_layers, *self._stage_blocks]
        return next((block for block in blocks if _is_inside(place, block)), None)

    def _named_parts(self) -> list[str]:
        return [self.part_of[module] for module in self._layers if self._scaled(module) is None]

    def _part(self, module: str) -> str:
        layer = _enclosing(module, self._encoder_layers)
        if layer is not None:
            return f"{layer}.{self._half(layer, module)}"
        if module in self._norms and (served := self._served(module)) is not None:
            return self._part(served)
        embedding = self._embedding(module)
        if embedding is not None:
            return embedding
        return self._scaled(module) or module

    def _served(self, norm: str) -> str | None:
        return served_layer(norm, list(self._tensors.modules), set(self._layers))

    def _embedding(self, module: str) -> str | None:
        """The outermost module that embeds, for everything in it; look-up tables side by side are one."""
        if isinstance(self._modules[module], nn.Embedding):
            parent = module.rpartition(".")[0]
            if not _EMBEDS.search(parent):
                tables = [
                    name
                    for name, own in self._modules.items()
                    if isinstance(own, nn.Embedding) and name.rpartition(".")[0] == parent
                ]
                return tables[0]
        path = module.split(".")
        for depth, name in enumerate(path, start=1):
            if not _EMBEDS.search(name):
                continue
            # Of a list of embeddings, one per stage, each is for itself.
            is_list = isinstance(self._modules[".".join(path[:depth])], nn.ModuleList)
            return ".".join(path[: depth + is_list])
        return None

    def _scaled(self, module: str) -> str | None:
        """For a module that has nothing of its own but a scale of what its last layer gives: that layer."""
        names = [name.rpartition(".")[2] for name in self._tensors.modules[module]]
        inside = [name for name in self._layers if _is_inside(name, module) and name != module]
        if inside and all(_SCALES.search(name) for name in names):
            return inside[-1]
        return None

    def _half(self, layer: str, module: str) -> str:
        """Attention or feed-forward, for a module inside an encoder layer."""
        child = module.removeprefix(layer).lstrip(".").partition(".")[0]
        if not child:
            # Scales that the layer holds itself are few; they go with the part that is computed last.
            return FEED_FORWARD
        if child in self._attending(layer):
            return ATTENTION
        if not self._is_accessory(f"{layer}.{child}"):
            return FEED_FORWARD
        return self._half_of_accessory(layer, child)

    def _half_of_accessory(self, layer: str, child: str) -> str:
        """A norm or a scale beside the parts: the first half of their kind, as they stand, is attention's."""
        is_norm = f"{layer}.{child}" in self._norms
        beside = [
            name
            for name, _ in self._modules[layer].named_children()
            if self._is_accessory(f"{layer}.{name}")
            and (f"{layer}.{name}" in self._norms) == is_norm
        ]
        if len(beside) == 1:
            return ATTENTION if _FIRST.search(child) else FEED_FORWARD
        return ATTENTION if beside.index(child) < len(beside) // 2 else FEED_FORWARD

    def _is_accessory(self, module: str) -> bool:
        """Whether a child of an encoder layer is a norm, or nothing but a scale."""
        if module in self._norms:
            return True
        own = self._tensors.modules.get(module)
        return own is not None and bool(_SCALES.search(module.rpartition(".")[2]))

    def _attending(self, layer: str) -> list[str]:
        return _attending_children(self._modules[layer])

    def _find_encoder_layers(self) -> list[str]:
        """The outermost members of lists that attend with one part and compute with others."""
        found: list[str] = []
        for name, module in self._modules.items():
            parent = self._modules.get(name.rpartition(".")[0])
            is_member = isinstance(parent, nn.ModuleList | nn.Sequential) and name != ""
            if is_member and _enclosing(name, found) is None and _attending_children(module):
                found.append(name)
        return found

    def _find_stage_blocks(self) -> list[str]:
        """Members of lists outside of encoder layers: of a stage its blocks, else the members themselves."""
        found: list[str] = []
        for name, module in self._modules.items():
            is_list = isinstance(module, nn.ModuleList | nn.Sequential) and len(module) > 0
            if not is_list or _enclosing(name, [*found, *self._encoder_layers]) is not None:
                continue
            members = dict(module.named_children())
            if not _are_alike(members) or any(map(_is_stage, members.values())):
                continue
            if len(members) > 1 or _is_stage(self._modules[name.rpartition(".")[0]]):
                found += [f"{name}.{member}" for member in members]
        return found


def _attending_children(module: nn.Module) -> list[str]:
    return [
        name
        for name, child in module.named_children()
        if _ATTENDS.search(name) and any(True for _ in child.parameters())
    ]


def _are_alike(members: Mapping[str, nn.Module]) -> bool:
    has_parameters = all(any(True for _ in member.parameters()) for member in members.values())
    return has_parameters and len({type(member) for member in members.values()}) == 1


def _is_stage(module: nn.Module) -> bool:
    """Whether a module's own members are the blocks: a stage, or a list of lists."""
    return "stage" in type(module).__name__.lower() or isinstance(module, nn.ModuleList)


def _enclosing(module: str, places: list[str]) -> str | None:
    return next((place for place in places if _is_inside(module, place)), None)


def _is_inside(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}.")
