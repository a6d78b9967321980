"""Tests of which tensors form a gene, and which are none."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from models.genes import FixedTensor, GeneMap, GenomeOptions, build_gene_map
from models.weights_source import state_shapes
from search.errors import InvalidInputError
from tests.models.small_task import build_network


class Encoder(nn.Module):
    """Two pre-norm blocks and a last norm, as transformers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4)) for _ in range(2)
        )
        self.norm = nn.LayerNorm(4)


class Transformer(nn.Module):
    """Parameters of its own, an encoder, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(4))
        self.encoder = Encoder()
        self.head = nn.Linear(4, 2)


class Tied(nn.Module):
    """An output layer that shares the weight of the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.body = nn.Linear(4, 4)
        self.output = nn.Linear(4, 5)
        self.output.weight = self.embedding.weight


def gene_map(network: nn.Module, **options: object) -> GeneMap:
    return build_gene_map(network, state_shapes(network), GenomeOptions.model_validate(options))


def tensors_by_gene(genes: GeneMap) -> dict[str, tuple[str, ...]]:
    return {gene.name: gene.tensors for gene in genes.genes}


def names(fixed: Iterable[FixedTensor]) -> list[str]:
    return [tensor.name for tensor in fixed]


def small_cnn(**options: object) -> nn.Module:
    return build_network("small_cnn", {"width": 4, "hidden": 8, **options})


def test_the_default_network_has_nine_genes_that_read_well() -> None:
    assert list(tensors_by_gene(gene_map(build_network("small_cnn", {})))) == [
        *(f"conv{number}" for number in range(1, 7)),
        *(f"linear{number}" for number in range(1, 4)),
    ]


def test_a_norm_travels_with_the_layer_before_it_statistics_included() -> None:
    assert tensors_by_gene(gene_map(small_cnn(norm="batch")))["conv2"] == (
        "conv2.weight",
        "norm2.weight",
        "norm2.bias",
        "norm2.running_mean",
        "norm2.running_var",
        "norm2.num_batches_tracked",
    )


def test_a_norm_without_a_layer_before_it_in_its_block_travels_with_the_one_after() -> None:
    genes = tensors_by_gene(gene_map(Transformer()))
    assert genes["encoder.blocks.1.1"][:2] == (
        "encoder.blocks.1.0.weight",
        "encoder.blocks.1.0.bias",
    )


def test_a_shortcut_keeps_its_own_norm() -> None:
    genes = tensors_by_gene(gene_map(build_network("resnet_cifar", {"depth": 8, "width": 4})))
    shortcut = genes["blocks.1.shortcut.0"]
    assert shortcut[0] == "blocks.1.shortcut.0.weight"
    assert "blocks.1.shortcut.1.running_mean" in shortcut
    assert "stem_norm.weight" in genes["stem"]


def test_parameters_of_the_network_itself_are_genes_by_their_own_name() -> None:
    assert tensors_by_gene(gene_map(Transformer()))["class_token"] == ("class_token",)


def test_parameters_count_trainable_numbers_only() -> None:
    gene = gene_map(small_cnn(norm="batch")).genes[0]
    assert gene.parameters == 4 * 1 * 9 + 4 + 4


def test_tensor_granularity_has_a_gene_per_parameter_buffers_with_the_first() -> None:
    genes = tensors_by_gene(gene_map(small_cnn(norm="batch"), granularity="tensor"))
    assert genes["norm1.weight"] == (
        "norm1.weight",
        "norm1.running_mean",
        "norm1.running_var",
        "norm1.num_batches_tracked",
    )
    assert genes["norm1.bias"] == ("norm1.bias",)


def test_blocks_are_the_repeated_children() -> None:
    network = build_network("resnet_cifar", {"depth": 8, "width": 4})
    assert list(tensors_by_gene(gene_map(network, granularity="block"))) == [
        "stem",
        "blocks.0",
        "blocks.1",
        "blocks.2",
        "head",
    ]


def test_a_norm_after_the_blocks_travels_with_the_last_one() -> None:
    genes = tensors_by_gene(gene_map(Transformer(), granularity="block"))
    assert list(genes) == ["class_token", "encoder.blocks.0", "encoder.blocks.1", "head"]
    assert "encoder.norm.weight" in genes["encoder.blocks.1"]


@pytest.mark.parametrize("granularity", ["layer", "tensor", "block"])
@pytest.mark.parametrize(
    "network", [Transformer(), Tied(), small_cnn(norm="batch")], ids=lambda n: type(n).__name__
)
def test_every_tensor_is_in_exactly_one_place(network: nn.Module, granularity: str) -> None:
    genes = gene_map(network, granularity=granularity)
    placed = [name for gene in genes.genes for name in gene.tensors]
    placed += [*names(genes.kept), *names(genes.transferred), *genes.aliases]
    assert sorted(placed) == sorted(network.state_dict())
    assert genes.tensors == tuple(
        name for name in network.state_dict() if name not in genes.aliases
    )


def test_tied_tensors_are_one_gene() -> None:
    genes = gene_map(Tied())
    assert tensors_by_gene(genes) == {
        "embedding": ("embedding.weight",),
        "body": ("body.weight", "body.bias"),
        "output": ("output.bias",),
    }
    assert genes.aliases == {"output.weight": "embedding.weight"}


def test_buffers_without_parameters_are_kept() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Module())
    network[1].register_buffer("frequencies", torch.ones(3))
    assert names(gene_map(network).kept) == ["1.frequencies"]


def test_a_head_of_another_size_is_kept_with_the_reason() -> None:
    network = small_cnn()
    source = state_shapes(network) | {"linear3.weight": (10, 8), "linear3.bias": (10,)}
    genes = build_gene_map(network, source, GenomeOptions())
    assert "linear3" not in tensors_by_gene(genes)
    assert genes.kept[0] == FixedTensor(
        "linear3.weight", "has shape (10, 8) in the source, (3, 8) in the target"
    )


def test_a_tensor_that_the_source_lacks_is_kept_with_the_reason() -> None:
    network = small_cnn()
    source = state_shapes(network)
    del source["conv1.bias"]
    genes = build_gene_map(network, source, GenomeOptions())
    assert genes.kept == (FixedTensor("conv1.bias", "is missing in the source"),)
    assert tensors_by_gene(genes)["conv1"] == ("conv1.weight",)


def test_pinned_tensors_are_no_genes() -> None:
    genes = gene_map(small_cnn(), keep=["linear3.*"], transfer=["conv1.*", "conv2.weight"])
    assert names(genes.kept) == ["linear3.weight", "linear3.bias"]
    assert names(genes.transferred) == ["conv1.weight", "conv1.bias", "conv2.weight"]
    assert genes.kept[0].reason == "pinned by 'linear3.*'"
    assert all(fixed.is_chosen for fixed in (*genes.kept, *genes.transferred))
    assert next(iter(tensors_by_gene(genes))) == "conv2"
    assert tensors_by_gene(genes)["conv2"] == ("conv2.bias",)


def test_a_tensor_pinned_both_ways_is_refused() -> None:
    with pytest.raises(
        InvalidInputError, match=r"genome\.transfer: 'conv1\.weight'.*pinned by 'conv1"
    ):
        gene_map(small_cnn(), keep=["conv1.*"], transfer=["conv1.weight"])


def test_what_the_source_lacks_cannot_be_pinned_to_transfer() -> None:
    network = small_cnn()
    source = {name: shape for name, shape in state_shapes(network).items() if name != "conv1.bias"}
    options = GenomeOptions(transfer=("conv1.*",))
    with pytest.raises(InvalidInputError, match=r"conv1\.bias is missing in the source"):
        build_gene_map(network, source, options)


def test_a_pattern_that_matches_nothing_is_refused_with_a_near_name() -> None:
    with pytest.raises(
        InvalidInputError, match=r"genome\.keep: 'linear3\.wieght'.*linear3\.weight"
    ):
        gene_map(small_cnn(), keep=["linear3.wieght"])


def test_own_groups_leave_the_rest_kept() -> None:
    groups = {"features": ["conv*"], "classifier": ["linear1.*", "linear2.*"]}
    genes = gene_map(small_cnn(), granularity="groups", groups=groups)
    assert [gene.name for gene in genes.genes] == ["features", "classifier"]
    assert genes.kept[0] == FixedTensor("linear3.weight", "is in no group", is_chosen=True)


def test_a_tensor_in_two_groups_is_refused() -> None:
    groups = {"early": ["conv*"], "first": ["conv1.*"]}
    with pytest.raises(
        InvalidInputError, match=r"genome\.groups\.first: conv1\.\w+.*'early' has it"
    ):
        gene_map(small_cnn(), granularity="groups", groups=groups)


def test_a_group_pattern_that_matches_nothing_is_refused_by_the_group_name() -> None:
    with pytest.raises(InvalidInputError, match=r"genome\.groups\.odd: 'transformer\*'"):
        gene_map(small_cnn(), granularity="groups", groups={"odd": ["transformer*"]})


@pytest.mark.parametrize("options", [{"granularity": "groups"}, {"groups": {"a": ["conv*"]}}])
def test_groups_and_their_granularity_come_together(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=r"genome\.groups"):
        gene_map(small_cnn(), **options)


def test_a_network_without_a_free_gene_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="genome: no transferable gene among 18 tensors"):
        gene_map(small_cnn(), keep=["*"])


def test_the_meta_device_gives_the_same_genes() -> None:
    with torch.device("meta"):
        network = build_network("small_cnn", {"norm": "batch"})
    assert gene_map(network) == gene_map(build_network("small_cnn", {"norm": "batch"}))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        GenomeOptions.model_validate({"granularities": "layer"})
