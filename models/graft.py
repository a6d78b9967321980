"""Grafting: a network whose genes come from the target or from the source."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, where

from models.checkpoints import State
from models.genes import GeneMap
from search.errors import GenomeLengthError
from search.genome import Genome


def graft_tensor(target: Tensor, source: Tensor, keep: Tensor) -> Tensor:
    """Weights of one tensor for a whole population, without a loop over candidates.

    Axes: ``P`` candidates evaluated together, ``*shape`` the tensor's own axes.

    Args:
        target: The target network's own weights, ``(*shape)``.
        source: The source network's weights, ``(*shape)``, same dtype and device.
        keep: Bool ``(P,)``; True where the candidate keeps the target's own weights.

    Returns:
        ``(P, *shape)``: a new tensor, so that fine-tuning one candidate leaves ``target``
        and ``source`` untouched.

    Raises:
        ValueError: ``target`` and ``source`` differ in shape.
    """
    if target.shape != source.shape:
        raise ValueError(f"target is {tuple(target.shape)}, source is {tuple(source.shape)}")
    # Trailing singleton axes let (P,) broadcast over (*shape), scalars included.
    per_candidate = keep.view(-1, *[1] * target.ndim)
    return where(per_candidate, target, source)


def graft_population(
    target: Mapping[str, Tensor], source: Mapping[str, Tensor], genes: GeneMap, keeps: Tensor
) -> State:
    """State of a whole population.

    Args:
        target: State of the target network.
        source: State of the source network; only tensors that are genes or pinned to it are read.
        genes: Which tensor belongs to which gene.
        keeps: Bool ``(P, G)``, on the device of the states.

    Returns:
        ``(P, *shape)`` per tensor; new tensors.

    Raises:
        GenomeLengthError: The masks have another length than the gene map.
    """
    n_candidates, n_bits = keeps.shape
    if n_bits != genes.n_genes:
        raise GenomeLengthError(n_bits, genes.n_genes)
    state: State = {}
    for fixed in genes.kept:
        state[fixed.name] = _repeated(target[fixed.name], n_candidates)
    for fixed in genes.transferred:
        state[fixed.name] = _repeated(source[fixed.name], n_candidates)
    for index, gene in enumerate(genes.genes):
        for name in gene.tensors:
            state[name] = graft_tensor(target[name], source[name], keeps[:, index])
    return state


def graft(
    target: Mapping[str, Tensor], source: Mapping[str, Tensor], genes: GeneMap, genome: Genome
) -> State:
    """State of one network, complete: it loads strictly, tied tensors included."""
    device = next(iter(target.values())).device
    keeps = torch.tensor([genome.keeps], dtype=torch.bool, device=device)
    population = graft_population(target, source, genes, keeps)
    return complete_state({name: tensor[0] for name, tensor in population.items()}, genes)


def complete_state(state: Mapping[str, Tensor], genes: GeneMap) -> State:
    """Add each tied tensor under its other names; tensors are not copied."""
    return {**state, **{alias: state[name] for alias, name in genes.aliases.items()}}


def _repeated(tensor: Tensor, count: int) -> Tensor:
    return tensor.unsqueeze(0).repeat(count, *[1] * tensor.ndim)
