"""Tests that all layouts compute the same for networks of the library transformers, dropout and masks included."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from models.checkpoints import State
from models.data.dataset import Examples
from models.finetuning.full import FullConfig, FullFineTuning
from models.layout import Recipe
from models.population import LayoutName, build_layout
from models.recipe.freezing import nothing_frozen
from models.recipe.minibatches import Minibatches
from tests.models.huggingface.cases import examples_of, network_of, shape_of

N_CANDIDATES, N_SAMPLES = 3, 8
# Dropout is 0.1 in all text models by default, on attention too.
COMPARED = ["bert", "vit", "resnet"]


def doubled(tensors: Mapping[str, Tensor]) -> State:
    return {n: x.double() if x.is_floating_point() else x for n, x in tensors.items()}


def population_of(model_type: str) -> State:
    states = [network_of(model_type, seed).state_dict() for seed in range(N_CANDIDATES)]
    return {n: torch.stack([doubled(state)[n] for state in states]) for n in states[0]}


def trained(model_type: str, layout: LayoutName, *, channels_last: bool = False) -> State:
    """State of a population after four steps, and its logits."""
    state, drawn = population_of(model_type), examples_of(shape_of(model_type), N_SAMPLES)
    data = Examples(doubled(drawn.inputs), drawn.labels)
    network = network_of(model_type).double()
    computed = build_layout(layout, network, channels_last=channels_last)
    minibatches = torch.arange(N_SAMPLES).view(2, -1).repeat(2, 1)
    recipe = Recipe(
        FullFineTuning(FullConfig()), (0.01,) * N_CANDIDATES, nothing_frozen(N_CANDIDATES)
    )
    torch.manual_seed(0)
    computed.train(state, data, Minibatches.common(minibatches), recipe)
    return state | {"logits": computed.logits(state, data)}


@pytest.mark.parametrize("model_type", COMPARED)
def test_fused_layouts_compute_what_the_loop_computes(model_type: str) -> None:
    expected = trained(model_type, "loop")
    is_image = "x" in shape_of(model_type).inputs
    fused: list[tuple[LayoutName, bool]] = [("vmap", False), ("stacked", is_image)]
    for layout, channels_last in fused:
        found = trained(model_type, layout, channels_last=channels_last)
        for name, tensor in expected.items():
            close = torch.allclose(found[name], tensor, rtol=1e-6, atol=1e-9)
            assert close, (layout, name, (found[name] - tensor).abs().max())


def test_the_mask_keeps_filling_out_of_what_is_said() -> None:
    network, inputs = network_of("bert").eval(), examples_of(shape_of("bert"), 4).inputs
    other = {**inputs, "input_ids": inputs["input_ids"] + 7 * (1 - inputs["attention_mask"])}
    torch.testing.assert_close(network(**other), network(**inputs))
    assert not torch.allclose(network(input_ids=other["input_ids"]), network(**inputs))
