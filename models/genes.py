"""Genes: which tensors are kept or transferred as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from models.gene_grouping import Granularity, group_by_globs, group_tensors
from models.tensor_names import NamedTensors, matching
from search.errors import InvalidInputError

Grouping = Callable[[NamedTensors, Granularity], dict[str, list[str]]]


class GenomeOptions(BaseModel):
    """What is one gene, and which tensors are decided beforehand.

    Patterns are globs over tensor names, ``"conv1.*"`` say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    granularity: Granularity = Field("layer", description="what is kept or transferred as one")
    keep: tuple[str, ...] = Field((), description="tensors that are always kept")
    transfer: tuple[str, ...] = Field((), description="tensors that are always transferred")
    groups: dict[str, tuple[str, ...]] | None = Field(
        None, description="with granularity groups: gene name -> patterns"
    )


@dataclass(frozen=True, slots=True)
class Gene:
    """Tensors that share one bit; ``parameters`` counts the trainable numbers in them."""

    name: str
    tensors: tuple[str, ...]
    parameters: int


@dataclass(frozen=True, slots=True)
class FixedTensor:
    """A tensor that is no gene, and why.

    ``is_chosen`` where the user decided it: by a pin, or by groups that leave the tensor out.  Else there was no
    choice, as for a head that the source has in another shape.
    """

    name: str
    reason: str
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class GeneMap:
    """Every tensor of a network's state: in one gene, always kept, or always transferred.

    A tied tensor is listed under the first of its names; ``aliases`` maps its other names to that one.  ``tensors`` are
    all of them in the order of the network.
    """

    genes: tuple[Gene, ...]
    kept: tuple[FixedTensor, ...]
    transferred: tuple[FixedTensor, ...]
    tensors: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_genes(self) -> int:
        """Length of a mask."""
        return len(self.genes)


def build_gene_map(
    network: nn.Module,
    source_shapes: Mapping[str, tuple[int, ...]],
    options: GenomeOptions,
    group: Grouping = group_tensors,
) -> GeneMap:
    """Decide the genes of a network.

    Args:
        network: The target's architecture; may be on the meta device.
        source_shapes: Shape of every tensor in the source's state.
        options: Granularity, pins and groups.
        group: How the architecture's family groups tensors, where the user gives no groups.

    Raises:
        InvalidInputError: A pattern matches nothing, a tensor is named twice, or no gene is left.
    """
    tensors = NamedTensors(network)
    fixed_keep = _without_counterpart(tensors, source_shapes)
    fixed_transfer: dict[str, FixedTensor] = {}
    for decision, patterns in (("keep", options.keep), ("transfer", options.transfer)):
        for pattern in patterns:
            for name in matching(tensors.names, pattern, f"genome.{decision}"):
                if decision == "transfer" and name in fixed_keep:
                    raise InvalidInputError(
                        "genome.transfer",
                        repr(pattern),
                        f"tensors that can be: {name} {fixed_keep[name].reason}",
                    )
                pins = fixed_keep if decision == "keep" else fixed_transfer
                pins.setdefault(name, FixedTensor(name, f"pinned by {pattern!r}", is_chosen=True))
    free = [name for name in tensors.names if name not in fixed_keep.keys() | fixed_transfer.keys()]
    genes = []
    for name, members in _groups(tensors, options, group).items():
        chosen = tuple(tensor for tensor in members if tensor in free)
        if chosen:
            genes.append(Gene(name, chosen, tensors.count_parameters(chosen)))
    grouped = {tensor for gene in genes for tensor in gene.tensors}
    reason = "is in no group" if options.groups else "belongs to no layer with parameters"
    for name in free:
        if name not in grouped:
            fixed_keep[name] = FixedTensor(name, reason, is_chosen=options.groups is not None)
    # A mask over buffers alone would decide nothing that is trained.
    if not any(gene.parameters for gene in genes):
        raise InvalidInputError(
            "genome",
            f"no transferable gene among {len(tensors.names)} tensors",
            "at least one tensor that source and target share and that is not pinned; "
            + "; ".join(f"{fixed.name} {fixed.reason}" for fixed in [*fixed_keep.values()][:3]),
        )
    return GeneMap(
        tuple(genes),
        tuple(fixed_keep.values()),
        tuple(fixed_transfer.values()),
        tuple(tensors.names),
        tensors.aliases,
    )


def _without_counterpart(
    tensors: NamedTensors, source_shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, FixedTensor]:
    """Tensors that the source cannot give, with the reason; tied tensors share one fate."""
    fixed: dict[str, FixedTensor] = {}
    for name, shape in tensors.shapes.items():
        given = source_shapes.get(name)
        if given is None:
            fixed[name] = FixedTensor(name, "is missing in the source")
        elif tuple(given) != shape:
            reason = f"has shape {tuple(given)} in the source, {shape} in the target"
            fixed[name] = FixedTensor(name, reason)
    return fixed


def _groups(tensors: NamedTensors, options: GenomeOptions, group: Grouping) -> dict[str, list[str]]:
    """Members of each gene by its name, before pins."""
    if (options.granularity == "groups") != (options.groups is not None):
        raise InvalidInputError(
            "genome.groups",
            options.groups,
            "groups exactly when granularity is 'groups': {name: [patterns]}",
        )
    if options.groups is not None:
        return group_by_globs(tensors, options.groups)
    return group(tensors, options.granularity)
