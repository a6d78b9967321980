"""Tests of computing a frozen prefix once per step, and once per sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.population import LayoutName, build_layout, prefix_cache
from models.population.prefix_cache import frozen_modules
from models.population.prefix_groups import same_prefix
from models.randomness import seeded_torch
from models.recipe.freezing import Freezing
from models.recipe.minibatches import Minibatches
from tests.models.small_task import N_CLASSES, examples, plain_recipe

SIZE, SAMPLES = 4, 16
MINIBATCHES = torch.arange(SAMPLES).view(2, 8).repeat(3, 1)
PREFIX = ("first.weight", "first.bias", "second.weight", "second.bias")


class Half(nn.Module):
    """Two layers to freeze, with or without dropout between them, and one to train."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 8), nn.Linear(8, 8)
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(8, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(torch.tanh(self.first(x.flatten(1))))
        logits: Tensor = self.head(torch.tanh(self.second(hidden)))
        return logits


def freezing(bits: Sequence[bool]) -> Freezing:
    """All candidates freeze the prefix; ``bits`` tells whose they have."""
    return Freezing((frozenset(PREFIX),) * len(bits), dict.fromkeys(PREFIX, tuple(bits)))


def population(network: nn.Module, bits: Sequence[bool]) -> State:
    """Candidates with equal bits have equal prefixes; heads differ."""
    with seeded_torch(3):
        return {
            name: torch.stack(
                [
                    (x + 0.1 * bit if name in PREFIX else x + 0.1 * torch.randn_like(x)).double()
                    for bit in bits
                ]
            )
            for name, x in network.state_dict().items()
        }


def data() -> Examples:
    drawn = examples(SAMPLES)
    return Examples({"x": drawn.inputs["x"].double()}, drawn.labels)


def trained(name: LayoutName, bits: Sequence[bool], dropout: float = 0.0) -> State:
    network = Half(dropout).double()
    with torch.no_grad(), seeded_torch(1):
        for weight in network.parameters():
            weight.copy_(torch.randn_like(weight) / 4)
    state = population(network, bits)
    layout = build_layout(name, network)
    recipe = plain_recipe(freezing(bits))
    with seeded_torch(2):
        layout.train(state, data(), Minibatches.common(MINIBATCHES), recipe)
    return state


@contextmanager
def counted_linears(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Rows that ordinary linear layers compute, call by call; trained layers go another way."""
    rows: list[int] = []
    plain = torch.nn.functional.linear

    def counting(x: Tensor, *args: Tensor) -> Tensor:
        rows.append(len(x))
        return plain(x, *args)

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "linear", counting)
        yield rows


def assert_same(found: State, expected: State) -> None:
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "bits", [(True,) * 4, (True, False, True, False), (True, True, True, False)]
)
def test_sharing_and_caching_change_no_result(bits: tuple[bool, ...]) -> None:
    assert_same(trained("stacked", bits), trained("loop", bits))


def test_behind_dropout_nothing_is_looked_up() -> None:
    bits = (True,) * SIZE
    assert_same(trained("stacked", bits, dropout=0.5), trained("loop", bits, dropout=0.5))


def test_a_shared_prefix_is_computed_once_per_sample_and_once_more_to_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with counted_linears(monkeypatch) as rows:
        trained("stacked", (True,) * SIZE)
    # Two frozen layers: two minibatches of the first epoch, one of the second for the comparison.
    assert rows == [8] * 2 * 3


def test_what_does_not_fit_is_computed_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_cache, "CACHE_BYTES", 10)
    with counted_linears(monkeypatch) as rows:
        state = trained("stacked", (True,) * SIZE)
    assert rows == [8] * 2 * len(MINIBATCHES)
    monkeypatch.undo()
    assert_same(state, trained("loop", (True,) * SIZE))


def test_a_chunk_is_cut_into_groups_of_equal_prefixes() -> None:
    assert same_prefix(freezing((True, False, True, False))) == [[0, 2], [1, 3]]
    assert same_prefix(freezing((True, True, True))) == [[0, 1, 2]]


def test_groups_that_are_too_small_to_gain_are_left_together() -> None:
    kept = {"a": (True, False, True, False), "b": (True, True, False, False)}
    assert same_prefix(Freezing((frozenset({"a", "b"}),) * 4, kept)) == [[0, 1, 2, 3]]
    assert same_prefix(Freezing((frozenset(),) * 4, {})) == [[0, 1, 2, 3]]


def test_only_the_outermost_frozen_modules_are_looked_up() -> None:
    block = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network = nn.Sequential(nn.ModuleList([block, nn.Linear(2, 2)]), nn.ReLU(), nn.Linear(2, 2))
    tensors = {
        name: [f"{name}.weight", f"{name}.bias"]
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
    }
    frozen = {tensor for name, own in tensors.items() if name != "2" for tensor in own}
    assert list(frozen_modules(network, tensors, frozen)) == ["0.0", "0.1"]
    assert list(frozen_modules(network, tensors, frozen - {"0.0.1.bias"})) == ["0.0.0", "0.1"]
    assert frozen_modules(network, tensors, ()) == {}
