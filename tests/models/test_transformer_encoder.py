"""Tests of the transformer encoder; what all families promise is in ``tests/contracts``."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from models.data.shapes import DataShape
from models.data.splits import TaskData
from models.evaluator import GraftEvaluator, Task
from models.families import FAMILIES
from models.family import build_family
from models.finetuning.full import FullConfig
from models.fixed_target import FixedTarget
from models.genes import GeneMap, GenomeOptions, build_gene_map
from models.plans.plan import Plan
from models.population import LayoutName
from models.randomness import seeded_torch
from models.recipe.strategy import build_strategy
from models.surroundings import NOTHING
from models.weights_source import state_shapes
from search.errors import InvalidInputError
from tests.models.small_task import candidates, examples

SEQUENCES = DataShape({"x": (6, 5)}, 3)
SMALL: Mapping[str, object] = {"width": 8, "layers": 2, "heads": 2, "feed_forward": 12}


def build(shape: DataShape = SEQUENCES, **options: object) -> nn.Module:
    config = FAMILIES.config("transformer_encoder").model_validate({**SMALL, **options})
    with seeded_torch(0):
        return build_family(config, NOTHING).build(shape)


def genes_of(network: nn.Module, granularity: str) -> GeneMap:
    options = GenomeOptions.model_validate({"granularity": granularity})
    return build_gene_map(network, state_shapes(network), options)


def test_layers_are_the_projections_and_each_takes_the_norm_before_it() -> None:
    tensors = {gene.name: gene.tensors for gene in genes_of(build(layers=1), "layer").genes}
    assert list(tensors) == [
        "embedding",
        "positions",
        *(f"encoder.blocks.0.attention.{name}" for name in ("query", "key", "value", "output")),
        *(f"encoder.blocks.0.feed_forward.{name}" for name in ("expand", "contract")),
        "head",
    ]
    assert "encoder.blocks.0.attention.norm.weight" in tensors["encoder.blocks.0.attention.query"]
    expand = tensors["encoder.blocks.0.feed_forward.expand"]
    assert "encoder.blocks.0.feed_forward.norm.weight" in expand
    assert "encoder.norm.weight" in tensors["encoder.blocks.0.feed_forward.contract"]


def test_blocks_are_the_encoder_s_layers() -> None:
    genes = [gene.name for gene in genes_of(build(), "block").genes]
    assert genes == ["embedding", "positions", "encoder.blocks.0", "encoder.blocks.1", "head"]


def test_it_computes_what_pytorch_s_own_pre_norm_encoder_computes() -> None:
    network = build().double()
    reference = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(
            8, 2, 12, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        ),
        num_layers=2,
        norm=nn.LayerNorm(8),
        enable_nested_tensor=False,
    ).double()
    own, state = network.state_dict(), {}
    for block in range(2):
        here, there = f"encoder.blocks.{block}", f"layers.{block}"
        for kind in ("weight", "bias"):
            state[f"{there}.self_attn.in_proj_{kind}"] = torch.cat(
                [own[f"{here}.attention.{name}.{kind}"] for name in ("query", "key", "value")]
            )
            for name, other in (
                ("attention.output", "self_attn.out_proj"),
                ("attention.norm", "norm1"),
                ("feed_forward.norm", "norm2"),
                ("feed_forward.expand", "linear1"),
                ("feed_forward.contract", "linear2"),
            ):
                state[f"{there}.{other}.{kind}"] = own[f"{here}.{name}.{kind}"]
            state[f"norm.{kind}"] = own[f"encoder.norm.{kind}"]
    reference.load_state_dict(state)
    x = torch.randn(4, 6, 8, dtype=torch.float64)
    torch.testing.assert_close(network.get_submodule("encoder")(x), reference(x))


def test_positions_tell_two_orders_apart() -> None:
    network, x = build(), torch.randn(1, 6, 5)
    assert not torch.allclose(network(x=x), network(x=x.flip(1)))
    nn.init.zeros_(network.get_parameter("positions.weight"))
    torch.testing.assert_close(network(x=x), network(x=x.flip(1)))


def test_dropout_changes_training_and_leaves_scoring_alone() -> None:
    network, x = build(dropout=0.5), torch.randn(2, 6, 5)
    assert not torch.equal(network(x=x), network(x=x))
    network.eval()
    assert torch.equal(network(x=x), network(x=x))


def measured_losses(plan: Plan, dropout: float) -> list[float | None]:
    """Validation losses of three masks."""
    network = build(dropout=dropout)
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append({name: torch.randn_like(x) / 4 for name, x in network.state_dict().items()})
    source, target = states
    train, validation = examples(9, SEQUENCES), examples(7, SEQUENCES, "validation")
    task = Task(
        network=network,
        genes=genes_of(network, "layer"),
        source=source,
        target=FixedTarget(target),
        data=TaskData(train, validation, validation, ("a", "b", "c")),
        strategy=build_strategy(FullConfig(batch_size=4, learning_rate=0.01)),
        metric="accuracy",
        seed=0,
    )
    masks = candidates(task, fidelity=3, count=3)
    evaluator = GraftEvaluator(task, plan, torch.device("cpu"))
    size = plan.chunk_size
    return [e.loss for i in range(0, 3, size) for e in evaluator.evaluate(masks[i : i + size])]


@pytest.mark.parametrize("layout", ["vmap", "stacked"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_fused_chunk_scores_as_one_by_one(layout: LayoutName, dropout: float) -> None:
    fused = Plan(layout=layout, chunks=(1, 3), dtype="float64", threads=1)
    loop = Plan(layout="loop", dtype="float64", threads=1)
    losses = measured_losses(loop, dropout)
    assert None not in losses
    assert measured_losses(fused, dropout) == pytest.approx(losses, rel=1e-6)


@pytest.mark.parametrize(
    "inputs", [{"x": (64,)}, {"x": (1, 8, 8)}, {"tokens": (6, 5)}, {"x": (6, 5), "mask": (6,)}]
)
def test_what_is_no_sequence_is_refused(inputs: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(InvalidInputError, match=r"dataset: inputs of shape .*\(time, features\)"):
        build(DataShape(inputs, 3))


def test_heads_that_do_not_divide_the_width_are_refused_with_both_numbers() -> None:
    with pytest.raises(ValidationError, match=r"heads \(3\) must divide width \(8\)"):
        build(heads=3)


@pytest.mark.parametrize("options", [{"layers": 0}, {"dropout": 1.0}, {"feed_forward": 0}])
def test_options_out_of_bounds_are_refused_by_name(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        FAMILIES.config("transformer_encoder").model_validate(options)
