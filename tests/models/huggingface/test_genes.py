"""Genes of the library's networks: parts of encoder layers, embeddings, heads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.genes import GeneMap, GenomeOptions, build_gene_map
from models.huggingface.genes import group_transformer
from models.tensor_names import NamedTensors
from models.weights_source import state_shapes
from tests.models.huggingface.cases import inline, shape_of

# First and last genes, and where encoder layers lie.
ENCODERS = {
    "bert": (["bert.embeddings"], "bert.encoder.layer", ["bert.pooler.dense", "classifier"]),
    "roberta": (
        ["roberta.embeddings"],
        "roberta.encoder.layer",
        ["classifier.dense", "classifier.out_proj"],
    ),
    "distilbert": (
        ["distilbert.embeddings"],
        "distilbert.transformer.layer",
        ["pre_classifier", "classifier"],
    ),
    "gpt2": (["transformer.wte"], "transformer.h", ["score"]),
    "vit": (["vit.embeddings"], "vit.layers", ["classifier"]),
    "deit": (["deit.embeddings"], "deit.layers", ["classifier"]),
}


def genes_of(model_type: str, granularity: str) -> GeneMap:
    family = inline(model_type)
    with torch.device("meta"):
        network = family.build(shape_of(model_type))
    options = GenomeOptions.model_validate({"granularity": granularity})
    return build_gene_map(network, state_shapes(network), options, family.group)


def tensors_of(genes: GeneMap) -> dict[str, set[str]]:
    return {gene.name: set(gene.tensors) for gene in genes.genes}


@pytest.mark.parametrize("model_type", sorted(ENCODERS))
def test_an_encoder_layer_is_an_attention_and_a_feed_forward_gene(model_type: str) -> None:
    first, layers, last = ENCODERS[model_type]
    parts = [f"{layers}.{n}.{part}" for n in range(2) for part in ("attention", "feed_forward")]
    assert [gene.name for gene in genes_of(model_type, "layer").genes] == [*first, *parts, *last]
    blocks = [f"{layers}.{n}" for n in range(2)]
    assert [gene.name for gene in genes_of(model_type, "block").genes] == [*first, *blocks, *last]


def test_norms_after_what_they_serve_go_with_it() -> None:
    layer = "bert.encoder.layer.0"
    genes = tensors_of(genes_of("bert", "layer"))
    assert f"{layer}.attention.output.LayerNorm.weight" in genes[f"{layer}.attention"]
    assert f"{layer}.output.LayerNorm.weight" in genes[f"{layer}.feed_forward"]
    assert "bert.embeddings.LayerNorm.bias" in genes["bert.embeddings"]
    layer = "distilbert.transformer.layer.1"
    genes = tensors_of(genes_of("distilbert", "layer"))
    assert f"{layer}.sa_layer_norm.weight" in genes[f"{layer}.attention"]
    assert f"{layer}.output_layer_norm.weight" in genes[f"{layer}.feed_forward"]


def test_norms_before_what_they_serve_go_with_it_and_the_final_one_with_the_last_layer() -> None:
    genes = tensors_of(genes_of("vit", "layer"))
    assert "vit.layers.0.layernorm_before.weight" in genes["vit.layers.0.attention"]
    assert "vit.layers.0.layernorm_after.weight" in genes["vit.layers.0.feed_forward"]
    assert "vit.layernorm.weight" in genes["vit.layers.1.feed_forward"]
    assert genes["vit.embeddings"] >= {"vit.embeddings.cls_token"}
    genes = tensors_of(genes_of("gpt2", "layer"))
    assert "transformer.h.1.ln_1.weight" in genes["transformer.h.1.attention"]
    assert "transformer.ln_f.weight" in genes["transformer.h.1.feed_forward"]
    assert "transformer.wpe.weight" in genes["transformer.wte"]


def test_convolutional_networks_are_grouped_layer_by_layer_and_block_by_block() -> None:
    layers = tensors_of(genes_of("resnet", "layer"))
    first = "resnet.encoder.stages.0.layers.0.layer.0"
    assert f"{first}.normalization.running_mean" in layers[f"{first}.convolution"]
    blocks = [gene.name for gene in genes_of("resnet", "block").genes]
    stages = "resnet.encoder.stages"
    assert blocks == [
        "resnet.embedder",
        f"{stages}.0.layers.0",
        f"{stages}.1.layers.0",
        f"{stages}.1.layers.1",
        "classifier.1",
    ]


def test_scales_go_with_the_layer_whose_output_they_scale() -> None:
    genes = genes_of("convnext", "layer")
    layer = "convnext.encoder.stages.1.layers.0"
    named = tensors_of(genes)
    assert f"{layer}.layer_scale_parameter" in named[f"{layer}.pwconv2"]
    assert f"{layer}.layernorm.weight" in named[f"{layer}.dwconv"]
    order = [gene.name for gene in genes.genes if gene.name.startswith(layer)]
    assert order == [f"{layer}.{name}" for name in ("dwconv", "pwconv1", "pwconv2")]


def test_every_parameter_is_a_gene_where_tensors_are() -> None:
    genes = genes_of("bert", "tensor")
    assert [gene.name for gene in genes.genes] == list(genes.tensors)


def test_an_architecture_that_is_not_recognised_is_grouped_as_any_network() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    groups = group_transformer(NamedTensors(network), "layer")
    assert list(groups) == ["0", "2"]
    assert "1.running_mean" in groups["0"]


class WithRoot(nn.Module):
    """Holds a parameter itself, and embeddings that are tied to the head."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.embed_tokens = nn.Embedding(4, 3)
        self.head = nn.Linear(3, 4, bias=False)
        self.head.weight = self.embed_tokens.weight


def test_tied_embeddings_are_one_gene_and_the_network_s_own_parameters_each_one() -> None:
    groups = group_transformer(NamedTensors(WithRoot()), "layer")
    assert groups == {"scale": ["scale"], "embed_tokens": ["embed_tokens.weight"]}
