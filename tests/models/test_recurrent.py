"""Recurrent families: what they compute, on numbers and on text, and how they are trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.data.byte_text import N_BYTE_TOKENS, ByteText
from models.data.shapes import DataShape
from models.data.splits import TaskData
from models.families import FAMILIES
from models.family import build_family
from models.genes import GenomeOptions, build_gene_map
from models.plans.plan import Plan
from models.randomness import seeded_torch
from models.recurrent.network import TokenNetwork, turned_round
from models.surroundings import NOTHING, Surroundings
from models.weights_source import state_shapes
from search.errors import InvalidInputError
from tests.models.huggingface.cases import write_tokenizer
from tests.models.small_task import LOOP, build_task, candidates, evaluator, examples

SEQUENCES = DataShape({"x": (7, 4)}, 3)
TEXT = DataShape({"input_ids": (9,), "attention_mask": (9,)}, 3)


def build(kind: str, shape: DataShape = SEQUENCES, **options: object) -> nn.Module:
    config = FAMILIES.config(kind).model_validate({"width": 5, "embedding": 4, **options})
    with seeded_torch(0):
        return build_family(config, NOTHING).build(shape)


def encoded(*texts: str) -> dict[str, Tensor]:
    return dict(ByteText().encode(texts, 9))


@pytest.mark.parametrize(("kind", "cell"), [("gru", nn.GRU), ("lstm", nn.LSTM)])
def test_it_computes_what_pytorch_s_own_bidirectional_layers_compute(
    kind: str, cell: type[nn.GRU] | type[nn.LSTM]
) -> None:
    network = build(kind, bidirectional=True).double()
    reference = cell(4, 5, num_layers=2, batch_first=True, bidirectional=True).double()
    own, state = network.state_dict(), {}
    for name in reference.state_dict():
        kind_of_weight, layer, back = name.partition("_l")[0], name.partition("_l")[2][0], "reverse"
        direction = "backwards" if back in name else "forwards"
        state[name] = own[f"encoder.layers.{layer}.{direction}.{kind_of_weight}_l0"]
    reference.load_state_dict(state)
    x = torch.randn(3, 7, 4, dtype=torch.float64)
    steps, _ = reference(x)
    ends = torch.cat([steps[:, -1, :5], steps[:, 0, 5:]], dim=1)
    expected = nn.functional.linear(ends, own["head.weight"], own["head.bias"])
    torch.testing.assert_close(network(x=x), expected)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_filling_does_not_change_what_is_said(bidirectional: bool) -> None:
    network = build("gru", TEXT, bidirectional=bidirectional)
    together = network(**encoded("abc", "defghijkl"))
    torch.testing.assert_close(together[:1], network(**encoded("abc")))
    unfilled = {"input_ids": encoded("abc")["input_ids"]}
    torch.testing.assert_close(together[:1], network(**unfilled))


def test_a_text_of_no_token_is_one_of_filling() -> None:
    assert torch.isfinite(build("lstm", TEXT)(**encoded("", "a"))).all()


def test_sequences_are_turned_round_by_their_own_lengths() -> None:
    x = torch.arange(8.0).view(2, 4, 1)
    turned = turned_round(x, torch.tensor([4, 2]))
    assert turned.squeeze(-1).tolist() == [[3, 2, 1, 0], [5, 4, 6, 7]]


def test_bytes_are_tokens_cut_after_so_many() -> None:
    text = ByteText()
    tokens = text.encode(["ab", "\u00e9\ud800x"], 3)
    assert tokens["input_ids"].tolist() == [[98, 99, 0], [196, 170, 64]]
    assert tokens["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert tokens["input_ids"].max() < N_BYTE_TOKENS
    assert text.encode([""], 3)["input_ids"].tolist() == [[0]]


def test_a_folder_s_tokenizer_gives_the_vocabulary(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "words", pad_token="[PAD]", padding_side="left")
    config = FAMILIES.config("gru").model_validate({"tokenizer": "words"})
    family = build_family(config, Surroundings.of(tmp_path))
    text = family.preprocessing().text
    assert text is not None
    # Filling comes after the text, whatever the tokenizer says.
    inputs = text.encode(["a", "a sentence"], 4)
    assert inputs["input_ids"].tolist() == [[3, 0], [3, 4]]
    network = family.build(DataShape(dict.fromkeys(inputs, (2,)), 3))
    assert isinstance(network, TokenNetwork)
    assert network.embedding.num_embeddings == 10


def test_each_direction_of_each_layer_is_a_gene_and_each_layer_a_block() -> None:
    network = build("lstm", TEXT, bidirectional=True)
    genes = build_gene_map(network, state_shapes(network), GenomeOptions())
    directions = [
        f"encoder.layers.{n}.{way}" for n in range(2) for way in ("forwards", "backwards")
    ]
    assert [gene.name for gene in genes.genes] == ["embedding", *directions, "head"]
    options = GenomeOptions.model_validate({"granularity": "block"})
    blocks = build_gene_map(network, state_shapes(network), options)
    assert [gene.name for gene in blocks.genes] == [
        "embedding",
        "encoder.layers.0",
        "encoder.layers.1",
        "head",
    ]


@pytest.mark.parametrize("layout", ["vmap", "stacked"])
def test_fused_layouts_refuse_it_with_the_reason(layout: str) -> None:
    network = build("gru", DataShape({"x": (8, 8)}, 3))
    state = network.state_dict()
    task = build_task(network, state, state)
    plan = Plan.model_validate({"layout": layout, "chunks": (1, 2), "threads": 1})
    with pytest.raises(
        RuntimeError, match=r"encoder.layers.0.forwards is a recurrent layer \(GRU\)"
    ):
        evaluator(task, plan).rehearse(1)


@pytest.mark.parametrize(
    "inputs", [{"x": (8,)}, {"x": (1, 8, 8)}, {"input_ids": (6, 2)}, {"input_ids": (6,), "y": (6,)}]
)
def test_what_is_neither_a_sequence_nor_text_is_refused(
    inputs: dict[str, tuple[int, ...]],
) -> None:
    with pytest.raises(InvalidInputError, match=r"\(time, features\), or text"):
        build("gru", DataShape(inputs, 3))


def test_the_loop_trains_it() -> None:
    network = build("gru", dropout=0.2)
    torch.manual_seed(1)
    source = {name: torch.randn_like(x) / 4 for name, x in network.state_dict().items()}
    part = examples(12, SEQUENCES)
    data = TaskData(part, part, part, ("a", "b", "c"))
    task = replace(build_task(network, source, network.state_dict()), data=data)
    asked = candidates(task, fidelity=3, count=2)
    losses = [evaluator(task, LOOP).evaluate([one])[0].loss for one in asked]
    assert None not in losses
    assert losses[0] != losses[1]
    assert [evaluator(task, LOOP).evaluate([one])[0].loss for one in asked] == losses
