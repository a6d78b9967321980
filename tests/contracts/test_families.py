"""What every registered model family promises; a new file is tested as soon as it exists."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.families import FAMILIES
from models.family import build_family
from models.genes import GenomeOptions, build_gene_map
from models.population.vmap import VmapLayout
from models.randomness import seeded_torch
from models.surroundings import NOTHING
from models.weights_source import state_shapes
from search.errors import InvalidInputError, UnknownPluginError

# An image and a sequence; a family is tested on the first that it takes.
SHAPES = (DataShape({"x": (1, 8, 8)}, 3), DataShape({"x": (5, 4)}, 3))
LABELS = torch.arange(6) % 3


@pytest.fixture(params=FAMILIES.names())
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def shape_of(kind: str) -> DataShape:
    family = build_family(FAMILIES.config(kind).model_validate({}), NOTHING)
    for shape in SHAPES:
        try:
            with torch.device("meta"):
                family.build(shape)
        except InvalidInputError:
            continue
        return shape
    raise AssertionError(f"{kind} takes none of {[dict(shape.inputs) for shape in SHAPES]}")


def build(kind: str, seed: int = 0) -> nn.Module:
    with seeded_torch(seed):
        return build_family(FAMILIES.config(kind).model_validate({}), NOTHING).build(shape_of(kind))


def samples(kind: str) -> torch.Tensor:
    return torch.randn(len(LABELS), *shape_of(kind).inputs["x"])


def test_options_have_a_schema_and_refuse_unknown_keys(kind: str) -> None:
    schema = FAMILIES.config(kind).model_json_schema()
    assert schema["properties"]["kind"]["const"] == kind
    assert schema["additionalProperties"] is False
    assert schema["description"]


def test_the_same_draws_give_the_same_weights(kind: str) -> None:
    first, again, other = (build(kind, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_meta_device_shows_the_same_tensors(kind: str) -> None:
    with torch.device("meta"):
        network = build(kind)
    assert all(tensor.is_meta for tensor in network.state_dict().values())
    assert state_shapes(network) == state_shapes(build(kind))


def test_data_that_do_not_fit_are_refused(kind: str) -> None:
    family = build_family(FAMILIES.config(kind).model_validate({}), NOTHING)
    with pytest.raises(InvalidInputError, match="dataset: inputs"):
        family.build(DataShape({"of no family": (5,)}, 3))


def test_named_inputs_give_logits(kind: str) -> None:
    assert build(kind)(x=samples(kind)).shape == (len(LABELS), shape_of(kind).n_classes)


def test_one_step_of_training_reaches_every_parameter(kind: str) -> None:
    network = build(kind)
    loss = cross_entropy(network(x=samples(kind)), LABELS)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("granularity", ["layer", "tensor", "block"])
def test_genes_hold_every_tensor_once(kind: str, granularity: str) -> None:
    network = build(kind)
    options = GenomeOptions.model_validate({"granularity": granularity})
    genes = build_gene_map(network, state_shapes(network), options)
    tensors = [name for gene in genes.genes for name in gene.tensors]
    assert sorted(tensors) == sorted(network.state_dict())
    assert sum(gene.parameters for gene in genes.genes) == sum(
        parameter.numel() for parameter in network.parameters()
    )
    assert all(gene.name for gene in genes.genes)


def test_a_population_can_be_fused(kind: str) -> None:
    network, x = build(kind), samples(kind)
    state = {
        name: tensor.repeat(2, *[1] * tensor.ndim) for name, tensor in network.state_dict().items()
    }
    logits = VmapLayout(network).logits(state, Examples({"x": x}, LABELS))
    torch.testing.assert_close(logits[1], network.eval()(x=x), rtol=1e-4, atol=1e-5)


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownPluginError, match="one of: mlp, resnet_cifar, small_cnn"):
        FAMILIES.config("vgg")
