"""What every registered model family promises; a new file is tested as soon as it exists."""

from __future__ import annotations

import copy
import pickle
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.families import FAMILIES
from models.family import ModelFamily, build_family
from models.genes import GenomeOptions, build_gene_map
from models.population.vmap import VmapLayout
from models.randomness import seeded_torch
from models.weights_source import state_shapes
from search.errors import InvalidInputError, UnknownPluginError
from tests.contracts.family_cases import case_of, install_fakes

T = TypeVar("T")
LABELS = torch.arange(6) % 3
# These have no fused form: candidates are trained one by one.
LOOP_ONLY = {"gru", "lstm"}


@pytest.fixture(params=FAMILIES.names())
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param in ("timm", "torchvision"):
        install_fakes(monkeypatch)
    return str(request.param)


def family_of(kind: str) -> ModelFamily:
    case = case_of(kind)
    return build_family(FAMILIES.config(kind).model_validate(case.options), case.surroundings)


def build(kind: str, seed: int = 0) -> nn.Module:
    with seeded_torch(seed):
        return family_of(kind).build(case_of(kind).shape)


def samples(kind: str) -> dict[str, Tensor]:
    shape = case_of(kind).shape
    return {name: torch.randn(len(LABELS), *axes) for name, axes in shape.inputs.items()}


def unpickled(sent: T) -> T:
    """What another process gets."""
    received: T = pickle.loads(pickle.dumps(sent))  # noqa: S301 - its own bytes
    return received


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
    # Whatever a user's own function raises is a fault of the function.
    field = "model.factory" if kind == "python" else "dataset: inputs"
    with pytest.raises(InvalidInputError, match=field):
        family_of(kind).build(DataShape({"of no family": (5,)}, 3))


def test_named_inputs_give_logits(kind: str) -> None:
    assert build(kind)(**samples(kind)).shape == (len(LABELS), case_of(kind).shape.n_classes)


def test_networks_are_copied_and_sent_to_other_processes(kind: str) -> None:
    network, inputs = build(kind).eval(), samples(kind)
    expected = network(**inputs)
    for copied in (copy.deepcopy(network), unpickled(network)):
        torch.testing.assert_close(copied(**inputs), expected)


def test_families_draw_the_same_weights_in_other_processes(kind: str) -> None:
    family, shape = family_of(kind), case_of(kind).shape
    # What it remembers once it was used goes along.
    family.preprocessing()
    states = []
    for one in (family, unpickled(family)):
        with seeded_torch(5):
            states.append(one.build(shape).state_dict())
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def test_one_step_of_training_reaches_every_parameter(kind: str) -> None:
    network = build(kind)
    loss = cross_entropy(network(**samples(kind)), LABELS)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("granularity", ["layer", "tensor", "block"])
def test_genes_hold_every_tensor_once(kind: str, granularity: str) -> None:
    network = build(kind)
    options = GenomeOptions.model_validate({"granularity": granularity})
    genes = build_gene_map(network, state_shapes(network), options, family_of(kind).group)
    tensors = [name for gene in genes.genes for name in gene.tensors]
    assert sorted(tensors) == sorted(network.state_dict())
    assert sum(gene.parameters for gene in genes.genes) == sum(
        parameter.numel() for parameter in network.parameters()
    )
    assert all(gene.name for gene in genes.genes)


def test_a_population_can_be_fused_or_is_refused_with_the_reason(kind: str) -> None:
    network, inputs = build(kind), samples(kind)
    state = {
        name: tensor.repeat(2, *[1] * tensor.ndim) for name, tensor in network.state_dict().items()
    }
    layout, part = VmapLayout(copy.deepcopy(network)), Examples(inputs, LABELS)
    if kind in LOOP_ONLY:
        with pytest.raises(RuntimeError, match=r"recurrent layer .* trained one by one"):
            layout.logits(state, part)
        return
    logits = layout.logits(state, part)
    torch.testing.assert_close(logits[1], network.eval()(**inputs), rtol=1e-4, atol=1e-5)


def test_companion_files_are_nothing_or_make_a_folder_with_the_weights(kind: str) -> None:
    files = family_of(kind).companion_files(case_of(kind).shape, ("a", "b", "c"))
    assert all(isinstance(content, bytes) and "/" not in name for name, content in files.items())


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownPluginError, match="one of: gru, lstm, mlp, python, resnet_cifar"):
        FAMILIES.config("vgg")
