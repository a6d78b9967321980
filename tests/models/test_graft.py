"""Tests of grafting."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.genes import GeneMap, GenomeOptions, build_gene_map
from models.graft import graft, graft_population, graft_tensor
from models.weights_source import state_shapes
from search.errors import GenomeLengthError
from search.genome import Genome


def two_layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def filled(value: float) -> dict[str, Tensor]:
    return {
        name: torch.full_like(tensor, value) for name, tensor in two_layers().state_dict().items()
    }


def genes(**options: object) -> GeneMap:
    network = two_layers()
    return build_gene_map(network, state_shapes(network), GenomeOptions.model_validate(options))


def test_one_keeps_the_target_and_zero_transfers_the_source() -> None:
    grafted = graft(filled(1), filled(0), genes(), Genome.from_bitstring("10"))
    assert {name: tensor.unique().tolist() for name, tensor in grafted.items()} == {
        "0.weight": [1],
        "0.bias": [1],
        "1.weight": [1],
        "1.bias": [1],
        "1.running_mean": [1],
        "1.running_var": [1],
        "1.num_batches_tracked": [1],
        "2.weight": [0],
        "2.bias": [0],
    }


def test_a_population_equals_its_candidates_one_by_one() -> None:
    masks = [Genome.from_bitstring(bits) for bits in ("00", "01", "10", "11")]
    keeps = torch.tensor([mask.keeps for mask in masks])
    population = graft_population(filled(1), filled(0), genes(), keeps)
    for row, mask in enumerate(masks):
        for name, tensor in graft(filled(1), filled(0), genes(), mask).items():
            assert torch.equal(population[name][row], tensor)


def test_pins_come_before_the_mask() -> None:
    pinned = genes(keep=["0.bias"], transfer=["0.weight"])
    for bits in ("00", "11"):
        grafted = graft(filled(1), filled(0), pinned, Genome.from_bitstring(bits))
        assert grafted["0.bias"].unique().tolist() == [1]
        assert grafted["0.weight"].unique().tolist() == [0]


def test_what_the_source_lacks_is_not_looked_for() -> None:
    network, source = two_layers(), filled(0)
    del source["2.bias"]
    without = build_gene_map(
        network, {name: tuple(tensor.shape) for name, tensor in source.items()}, GenomeOptions()
    )
    grafted = graft(filled(1), source, without, Genome.from_bitstring("00"))
    assert grafted["2.bias"].unique().tolist() == [1]


def test_training_a_graft_leaves_both_networks_untouched() -> None:
    target, source = filled(1), filled(0)
    for bits in ("00", "11"):
        for tensor in graft(target, source, genes(), Genome.from_bitstring(bits)).values():
            tensor.fill_(5)
    assert all((tensor == 1).all() for tensor in target.values())
    assert all((tensor == 0).all() for tensor in source.values())


def test_a_graft_loads_strictly_tied_tensors_included() -> None:
    network = nn.ModuleDict({"first": nn.Linear(4, 4), "second": nn.Linear(4, 4)})
    network["second"].weight = network["first"].weight
    tied = build_gene_map(network, state_shapes(network), GenomeOptions())
    state = network.state_dict()
    network.load_state_dict(graft(state, state, tied, Genome.from_bitstring("10")), strict=True)


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(GenomeLengthError, match="3 bits, the model has 2 genes"):
        graft(filled(1), filled(0), genes(), Genome.from_bitstring("010"))


def test_tensors_of_different_shapes_are_refused_with_both() -> None:
    with pytest.raises(ValueError, match=r"target is \(2,\), source is \(3,\)"):
        graft_tensor(torch.zeros(2), torch.zeros(3), torch.tensor([True]))


def test_scalars_are_grafted() -> None:
    grafted = graft_tensor(torch.tensor(1), torch.tensor(0), torch.tensor([True, False, True]))
    assert grafted.tolist() == [1, 0, 1]
